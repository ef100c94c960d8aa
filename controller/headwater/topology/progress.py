"""What machines tell: a closed set of events, and the requests of their recipes."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from headwater.topology.keys import MachineId
from headwater.topology.secrets import Value


@dataclass(frozen=True, slots=True)
class Connected:
    """The line stands and the agent has answered."""

    machine: MachineId


@dataclass(frozen=True, slots=True)
class HostKeyTold:
    """The machine has made itself a host key, over a connection that proved its one-time one."""

    machine: MachineId
    key: str
    """In OpenSSH form."""
    proven: bool
    """It has answered with it: from now on only this one is believed."""


@dataclass(frozen=True, slots=True)
class LineLost:
    """The line broke or could not be made; another attempt follows by itself."""

    machine: MachineId
    reason: str


@dataclass(frozen=True, slots=True)
class LineRefused:
    """The line cannot stand: another host key, no login, no Python. No attempt follows."""

    machine: MachineId
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    machine: MachineId
    context: str
    position: int
    """0-based, into the steps of the context."""
    step: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A context has ended, or failed at a step. Told again on every reconnection."""

    machine: MachineId
    context: str
    succeeded: bool
    step: str = ""
    """The step that failed, or the last one."""
    exit_code: int | None = None
    """None where no process ended by itself: timed out, aborted, interrupted."""
    reason: str = ""
    """`exit`, `timeout`, `aborted`, `interrupted`, `unstartable`; empty on success."""
    words: str = ""
    """The failing step's own last line of error output, at most 400 characters."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that a step printed, from `offset` of the context's output on."""

    machine: MachineId
    context: str
    offset: int
    content: bytes


class HealthState(StrEnum):
    HEALTHY = "healthy"
    FAILING = "failing"
    """Its check does not hold, and may yet again."""
    UNHEALTHY = "unhealthy"
    """It has failed so many times in a row as the manifest allows."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How a machine's check stands: told when it changes, and again on every reconnection."""

    machine: MachineId
    context: str
    check: str
    """Its digest."""
    state: HealthState
    words: str = ""
    """What is wrong, at most 400 characters."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task has ended; its report, where it collects one, has been told before."""

    machine: MachineId
    task: str
    succeeded: bool
    step: str = ""
    """The step that failed, or the last one."""
    exit_code: int | None = None
    reason: str = ""
    """As of a context; `uncollected` where the report could not be made."""
    words: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReportPiece:
    """Bytes of the gzipped tar of a task's report directory, from `offset` on."""

    machine: MachineId
    task: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing of the step that runs goes on before one of these questions is answered."""

    machine: MachineId
    questions: frozenset[int]


MachineEvent = (
    Connected
    | HostKeyTold
    | LineLost
    | LineRefused
    | StepStarted
    | Ended
    | Output
    | TaskEnded
    | ReportPiece
    | Blocked
    | Checked
)


class Verb(Enum):
    GET = "get"
    SET = "set"
    ABORT = "abort"
    CANCEL_ABORT = "cancel-abort"
    DISPLAY = "display"


@dataclass(frozen=True, slots=True)
class Request:
    """A recipe's question. Timeouts are kept on the machine, which cancels what it gave up."""

    machine: MachineId
    verb: Verb
    key: str = ""
    value: str = field(default="", repr=False)
    """What to set (a secret, perhaps), show, or the reason of an abort."""
    wait: bool = True
    """For get: wait until the value is set."""
    ignore_abort: bool = False
    id: int = field(default=0, compare=False)
    """By which `Blocked` names it; counted on each machine."""
    patience: float | None = field(default=None, compare=False)
    """Seconds from now until the machine gives it up; None for never."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`code` is the exit code of the verb on the machine: 0, or 7, 8, 9 as in semantics.md 6."""

    code: int
    value: Value = ""
    error: str = ""
    secret: bool = False
    """What was set is a secret."""
