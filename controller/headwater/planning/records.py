"""What was begun and what became of it: the planner's memory of each machine and run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from headwater.manifests.resolved import RecipeKind
from headwater.topology.hooks import Hooks
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine


class WorkState(StrEnum):
    WAITING = "waiting"
    """Asked for; the machine has not answered yet."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """One machine's contextualisation."""

    key: InstanceKey
    work_digest: str
    generation: int
    """Counts the contexts given to this machine; with the digest it names the context.

    0: nothing is known of them.
    """
    run: int
    """The run that asked for it."""
    state: WorkState
    since: datetime
    """When this context was asked for."""
    step: str = ""
    exit_code: int | None = None
    reason: str = ""
    words: str = ""
    seconds: float = 0.0
    trouble: str = ""
    """Why the line does not stand at present; empty while it does."""
    served: bool = False
    """The machine served when this context was asked for."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Referenced inputs as the recipes were told them."""

    @property
    def is_adopted(self) -> bool:
        """The machine is older than the ledger: it counts as serving until its agent has told."""
        return self.generation == 0

    @property
    def serves(self) -> bool:
        """Its work is done; or it was, and what is to be done anew has not begun."""
        again = self.state is WorkState.WAITING and self.served
        return again or self.state is WorkState.SUCCEEDED

    @property
    def has_served(self) -> bool:
        """It may do so again: what it was told to do anew has not succeeded yet."""
        return self.served or self.state is WorkState.SUCCEEDED

    @property
    def context(self) -> str:
        return f"{self.work_digest}.{self.generation}"


@dataclass(frozen=True, slots=True)
class Run:
    """Bringing a deployment to one revision."""

    number: int
    revision: str
    digest: str
    """Of the desired system."""
    started: datetime
    ended: datetime | None = None
    abort: str = ""
    """The first reason wins; it holds until the next run."""
    by_person: bool = False
    """A person aborted it: nothing is rolled back."""
    approved: frozenset[str] = frozenset()
    """The rules of the guard that a person has let this run through."""
    version: str = ""
    """The Headwater that last carried out a plan for this deployment."""
    protect: bool = False
    orphan: bool = False
    depends_on: tuple[str, ...] = ()
    """What the manifest said last, for when it is gone: its safety and its order outlive it."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Instances whose machines a cloud refused for good, and why: not asked again in this run."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task of a machine: asked for once, whatever becomes of it."""

    id: str
    kind: RecipeKind
    since: datetime
    """When it was asked for."""
    run: int
    """The run that asked for it."""
    file: str = ""
    """The name that its report is kept by; empty where it collects none."""
    instances: tuple[str, ...] = ()
    """Those that came, go, or went: what a hook is told."""
    change: str = ""
    """`add`, `remove` or `replace`."""
    state: WorkState = WorkState.WAITING
    """Running is not told apart from waiting."""
    step: str = ""
    exit_code: int | None = None
    reason: str = ""
    words: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state in {WorkState.SUCCEEDED, WorkState.FAILED}


@dataclass(frozen=True, slots=True)
class MachineTasks:
    """What one machine was asked, in order."""

    key: InstanceKey
    asked: tuple[TaskRecord, ...] = ()
    told: int = 0
    """The number of the live set that its hooks have been told of."""


@dataclass(frozen=True, slots=True)
class Live:
    """Who is live, and who was as far back as somebody has not been told otherwise."""

    number: int = 0
    """Of the present set; 0: the first run has not come to rest."""
    sets: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Incarnations by instance (`wn.3`), by number."""
    joined: Mapping[str, int] = field(default_factory=dict)
    """The number of the set in which each present incarnation came."""


@dataclass(frozen=True, slots=True)
class TaskMemory:
    """All that is remembered of one deployment's tasks."""

    hooks: Mapping[str, Hooks] = field(default_factory=dict)
    """By node, as the manifest said last: they outlive it. Nodes without any are not in it."""
    machines: Mapping[MachineId, MachineTasks] = field(default_factory=dict)
    live: Live = Live()
    replaces: Mapping[InstanceKey, int] = field(default_factory=dict)
    """Incarnations that were made in place of an outdated one."""

    def asked(self, machine: MachineId) -> tuple[TaskRecord, ...]:
        return known.asked if (known := self.machines.get(machine)) else ()


def next_run(run: Run | None, revision: str, digest: str, now: datetime) -> Run:
    """The run after `run`: a fresh start that keeps what the manifest said of its safety."""
    if run is None:
        return Run(1, revision, digest, now)
    return Run(
        number=run.number + 1,
        revision=revision,
        digest=digest,
        started=now,
        protect=run.protect,
        orphan=run.orphan,
        depends_on=run.depends_on,
        version=run.version,
    )


def with_safety_of(run: Run, machines: Iterable[Machine]) -> Run:
    """The run of machines that only their tags tell of: one that is to be kept keeps them all."""
    tags = [machine.tags for machine in machines]
    return replace(
        run,
        protect=run.protect or any(tag.protect for tag in tags),
        orphan=run.orphan or any(tag.orphan for tag in tags),
    )
