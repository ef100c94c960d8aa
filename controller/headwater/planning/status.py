"""The status of a deployment: one model for the API, the command line, notes and metrics."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEPENDENCY_HELD = "DependencyHeld"
"""The reason of Stalled while a deployment that comes first waits for a person."""


class Phase(StrEnum):
    """The phases of a run (semantics.md 5). Derived, never set by hand."""

    INITIALIZING = "Initializing"
    PROVISIONING = "Provisioning"
    EXECUTING = "Executing"
    SENDING_REPORTS = "SendingReports"
    READY = "Ready"
    FINALIZING = "Finalizing"
    DONE = "Done"
    ABORTED = "Aborted"
    CANCELLED = "Cancelled"
    """Superseded, or its manifest removed, while it was under way."""


@dataclass(frozen=True, slots=True)
class Condition:
    """As in Kubernetes: Ready, Reconciling, Stalled, Healthy. `reason` is CamelCase."""

    type: str
    status: bool
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    instance: str
    """`wn.3`"""
    state: str
    """missing | pending | unreachable | contextualising | checking | ready | unhealthy | failed |
    outdated | unwanted | stopping"""
    machine: str = ""
    cloud: str = ""
    address: str = ""
    incarnation: int = 0
    step: str = ""
    message: str = ""
    """The first failure's own words, or what the recipe displays of itself."""


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    volume: str
    """`web.1/scratch`"""
    state: str
    """missing | creating | available | attached | changing | failed | ended"""
    size: int
    """Bytes: what there is, or else what is asked for."""
    retain: bool
    id: str = ""
    cloud: str = ""
    machine: str = ""
    """Which has it."""
    message: str = ""
    """Why it is there although the manifest says something else of it, or nothing."""


@dataclass(frozen=True, slots=True)
class OutcomeStatus:
    """One of the last actions."""

    at: datetime
    action: str
    instance: str
    succeeded: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    name: str
    phase: Phase
    conditions: tuple[Condition, ...]
    desired: int
    ready: int
    failed: int = 0
    description: str = ""
    observed_revision: str = ""
    attempted_revision: str = ""
    applied_revision: str = ""
    run: int = 0
    """The number of the present run."""
    verdict: str = ""
    """`passed` or `failed` of a test that is over; `expired` of what its ttl has ended."""
    reason: str = ""
    """Why the present run fails: the first reason; empty while it does not."""
    started: datetime | None = None
    """When the present run began."""
    ended: datetime | None = None
    """When it came to rest, Ready or failed; of a test, when its verdict was known."""
    instances: tuple[InstanceStatus, ...] = ()
    volumes: tuple[VolumeStatus, ...] = ()
    outcomes: tuple[OutcomeStatus, ...] = ()
    diagnostics: tuple[str, ...] = ()
    awaited: int = 0
    """Machines whose reports are still to come."""
    reports: int = 0
    """Kept of the present run."""

    def condition(self, type: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type), None)

    @property
    def is_ready(self) -> bool:
        return (c := self.condition("Ready")) is not None and c.status

    @property
    def is_stalled(self) -> bool:
        return (c := self.condition("Stalled")) is not None and c.status

    @property
    def blocked(self) -> str:
        """What the guard holds back until somebody approves; empty when it holds nothing."""
        held = self.condition("Stalled") if self.condition("PlanBlocked") else None
        return held.message if held else ""

    @property
    def held_up(self) -> str:
        """What waits for a person: here, or with a deployment that comes first."""
        stalled = self.condition("Stalled")
        waits = stalled is not None and stalled.reason == DEPENDENCY_HELD
        return stalled.message if stalled and waits else self.blocked

    @property
    def may_go_on(self) -> bool:
        """It rests only until somebody approves, resumes, or makes room."""
        stalled = self.condition("Stalled")
        full = stalled is not None and stalled.status and stalled.reason == "QuotaExceeded"
        return bool(self.held_up or self.suspended) or full

    @property
    def suspended(self) -> str:
        """Why a person had it left as it is; empty when nobody has."""
        held = self.condition("Suspended")
        return held.message if held and held.status else ""

    @property
    def at_rest(self) -> bool:
        """Ready, ended, or Suspended or Stalled with nothing running and no report to come."""
        still = {"contextualising", "stopping"}
        busy = not self.verdict and any(i.state in still for i in self.instances)
        busy = busy or self.awaited > 0
        waits = self.is_stalled or bool(self.suspended)
        return self.is_ready or self.phase is Phase.DONE or (waits and not busy)


@dataclass(frozen=True, slots=True)
class PhaseView:
    phase: Phase
    seconds: float


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: of the history, or the present one."""

    deployment: str
    number: int
    revision: str
    phase: Phase
    """The last one: Ready, Done, Aborted, Cancelled where it has ended."""
    result: str
    """success | failure | cancelled | expired | removed; empty while it is under way."""
    started: datetime
    ended: datetime | None = None
    reason: str = ""
    """Why it did not succeed, in the words of what failed first."""
    instances: int = 0
    phases: tuple[PhaseView, ...] = ()
    approvals: tuple[str, ...] = ()
    """The digests of plans that people let through."""


@dataclass(frozen=True, slots=True)
class StepView:
    """What became of one step of an instance's recipes in its last run."""

    instance: str
    step: str
    """`deploy`; `machine` for what comes before every recipe."""
    component: str
    result: str
    """passed | failed | skipped"""
    exit_code: int | None = None
    message: str = ""
    seconds: float = 0.0
    """Of all of the instance's steps together."""


@dataclass(frozen=True, slots=True)
class ParameterView:
    """A runtime parameter, for people. `writer` is `headwater`, `manifest` or an instance."""

    instance: str
    name: str
    value: str | None
    writer: str
    at: datetime | None = None
    type: str = "string"
    """As declared; of a secret the value is `(secret)`."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report that is kept. `file` is `<node.N>_report_<YYYY-MM-DDTHHMMSSZ>.tgz`."""

    run: int
    instance: str
    file: str
    size: int
    """Bytes."""
    at: datetime
    """When it was asked for."""


@dataclass(frozen=True, slots=True)
class VolumeCount:
    state: str
    """As of VolumeStatus; or leaked: no manifest asks for it, nothing is known of it, and it is
    left alone."""
    number: int


@dataclass(frozen=True, slots=True)
class CloudStatus:
    name: str
    driver: str
    description: str
    machines: int
    unknown: int
    complete: bool
    error: str = ""
    volumes: tuple[VolumeCount, ...] = ()
    """Ours, by state."""


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    repository: str
    branch: str
    path: str
    revision: str = ""
    """The last revision that was read."""
    source_error: str = ""
    diagnostics: tuple[str, ...] = ()
    clouds: tuple[CloudStatus, ...] = ()
    deployments: tuple[DeploymentStatus, ...] = ()
    settled: bool = False
    """Nothing is under way: every deployment is Ready, removed or Stalled."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a person reaches an instance by ssh. `known_hosts` is one line of that file."""

    address: str
    port: int
    user: str
    known_hosts: str
    private_key_file: str


class CommitState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """An answer on a commit. `context` is `headwater` or `headwater/<deployment>`."""

    revision: str
    context: str
    state: CommitState
    description: str
    at: datetime = field(compare=False)
