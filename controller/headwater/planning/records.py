"""What was begun and what became of it: the planner's memory of each machine and run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from headwater.manifests.resolved import RecipeKind
from headwater.planning.status import Phase
from headwater.topology.context import Mount
from headwater.topology.hooks import Hooks
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine
from headwater.topology.progress import HealthState


class WorkState(StrEnum):
    WAITING = "waiting"
    """Asked for; the machine has not answered yet."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Health:
    """What a machine's check has told since its context succeeded."""

    state: HealthState
    since: datetime
    words: str = ""
    held: bool = False
    """It has held before, or holds."""

    @property
    def holds(self) -> bool:
        """Failing now and then counts for nothing once it has held."""
        return self.held and self.state is not HealthState.UNHEALTHY


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
    begun: datetime | None = None
    """When its first step began."""
    step: str = ""
    position: int = 0
    """0-based, of that step in the context."""
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
    ended: datetime | None = None
    """When this context ended."""
    check: str = ""
    """The digest of the check that was asked for with it, or since; empty for none."""
    health: Health | None = None
    """Of that check; None until it has told."""
    mounts: tuple[Mount, ...] = ()
    """The volumes that it was told to mount."""

    @property
    def is_adopted(self) -> bool:
        """The machine is older than the ledger: it counts as serving until its agent has told."""
        return self.generation == 0

    @property
    def serves(self) -> bool:
        """It is in order; or it was, and what is to be done anew has not begun."""
        again = self.state is WorkState.WAITING and self.served
        return again or self.is_in_order

    @property
    def is_in_order(self) -> bool:
        """Its work is done, and its check holds where there is one."""
        return self.state is WorkState.SUCCEEDED and self.is_sound

    @property
    def is_sound(self) -> bool:
        return not self.check or (self.health is not None and self.health.holds)

    @property
    def is_sick(self) -> bool:
        """It was in order, and is not any more."""
        was = self.state is WorkState.SUCCEEDED and self.health is not None and self.health.held
        return was and not self.is_sound

    @property
    def has_served(self) -> bool:
        """It may do so again: what it was told to do anew has not succeeded yet."""
        return self.served or self.state is WorkState.SUCCEEDED

    @property
    def context(self) -> str:
        return f"{self.work_digest}.{self.generation}"


class Verdict(StrEnum):
    """What a test has come to."""

    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A run came to a phase."""

    phase: Phase
    at: datetime


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
    aborted: datetime | None = None
    by_person: bool = False
    """A person aborted it: nothing is rolled back."""
    approved: frozenset[str] = frozenset()
    """The rules of the guard that a person has let this run through."""
    approvals: frozenset[str] = frozenset()
    """The digests that this has used up."""
    phases: tuple[Stamp, ...] = ()
    """As it went through them, until it came to rest."""
    verdict: Verdict | None = None
    """Of a test; the first one holds until the next run."""
    decided: datetime | None = None
    """When the verdict was known."""
    expired: datetime | None = None
    """When its time (`ttl`) was found to be up."""
    keep: bool = False
    """A person asked for its machines to stay, whatever the manifest says."""
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


def next_run(run: Run | None, revision: str, digest: str, now: datetime, *, number: int = 1) -> Run:
    """The run after `run`: a fresh start that keeps what the manifest said of its safety.

    The first one that is known has this number.
    """
    if run is None:
        return Run(number, revision, digest, now)
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


def later(at: datetime, seconds: float) -> datetime:
    """So many seconds after; manifests may say numbers beyond the end of all calendars."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=at.tzinfo)
