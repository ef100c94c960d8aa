"""What happened, as values. Logs, metrics and answers listen; deciding code only emits."""

from dataclasses import dataclass
from typing import ClassVar

from headwater.planning.status import DeploymentStatus


@dataclass(frozen=True, slots=True)
class RevisionRead:
    """A revision was fetched, parsed and expanded."""

    name: ClassVar[str] = "source.revision_read"
    revision: str
    deployments: int
    diagnostics: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A fetch failed, or what it brought is refused. What was applied before stays."""

    name: ClassVar[str] = "source.failed"
    reason: str


@dataclass(frozen=True, slots=True)
class CloudListed:
    name: ClassVar[str] = "cloud.listed"
    cloud: str
    machines: int
    unknown: int
    complete: bool
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class PassEnded:
    """One pass over one deployment. `result` is `unchanged`, `changed`, `waiting` or `failed`."""

    name: ClassVar[str] = "pass.ended"
    deployment: str
    result: str
    actions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """The trail of who did what, and why.

    `action` is `create`, `terminate`, `contextualise`; of volumes `attach`, `retag`, `discard`.
    """

    name: ClassVar[str] = "action.ended"
    deployment: str
    instance: str
    action: str
    reason: str
    seconds: float
    error: str = ""
    revision: str = ""
    """The revision that the run brings about."""
    plan: str = ""
    """The digest of the plan that asked for it."""
    approval: str = ""
    """The digest that a person has approved for this plan; empty where none was needed."""


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A recipe's whole contextualisation ended on an instance."""

    name: ClassVar[str] = "context.ended"
    deployment: str
    instance: str
    succeeded: bool
    seconds: float
    step: str = ""
    exit_code: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """The check of an instance's machine stands differently: healthy, failing or unhealthy."""

    name: ClassVar[str] = "health.changed"
    deployment: str
    instance: str
    state: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A hook or a report ended on an instance. `kind` is as the manifest says: `preScale`."""

    name: ClassVar[str] = "task.ended"
    deployment: str
    instance: str
    kind: str
    succeeded: bool
    seconds: float
    exit_code: int | None = None
    words: str = ""
    report: str = ""
    """The file that is kept; empty where there is none."""
    size: int = 0
    """Its bytes."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status of a deployment differs from the last one told. None: the deployment is gone."""

    name: ClassVar[str] = "deployment.status_changed"
    deployment: str
    status: DeploymentStatus | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run came to rest. `result` is `success`, `failure`, `cancelled` or `expired`."""

    name: ClassVar[str] = "run.ended"
    deployment: str
    revision: str
    result: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class LoopDetected:
    """Passes carry out the same plan again and again, and nothing changes."""

    name: ClassVar[str] = "pass.repeats"
    deployment: str
    passes: int
    """In a row."""


@dataclass(frozen=True, slots=True)
class LeakFound:
    """Machines of ours that nobody asks for and nothing remembers, seen twice: they are removed."""

    name: ClassVar[str] = "machine.leaked"
    deployment: str
    machines: int


Event = (
    RevisionRead
    | SourceFailed
    | CloudListed
    | PassEnded
    | ActionEnded
    | StepEnded
    | HealthChanged
    | TaskFinished
    | StatusChanged
    | RunEnded
    | LoopDetected
    | LeakFound
)
