"""The tasks of simulated agents: each runs once, in order; its end is told until it is heard."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from headwater.reconcile.ports import Conversation
from headwater.topology.context import Task
from headwater.topology.keys import MachineId
from headwater.topology.progress import MachineEvent, Output, ReportPiece, TaskEnded

PIECE = 64 * 1024
TOLD_BEFORE = "its report is not kept on the machine any more"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a task, and what its recipes leave."""

    exit_code: int = 0
    printed: bytes = b""
    report: Mapping[str, bytes] = field(default_factory=dict)
    """Files in the report directory."""
    uncollected: str = ""
    """Why the report cannot be made."""
    held: bool = False
    """It begins, and does not end by itself."""


@dataclass
class TaskJournal:
    """What one machine knows of its tasks: it outlives every controller."""

    begun: list[str] = field(default_factory=list)
    ended: dict[str, TaskEnded] = field(default_factory=dict)
    printed: dict[str, bytes] = field(default_factory=dict)
    archives: dict[str, bytes] = field(default_factory=dict)
    running: tuple[Task, Outcome] | None = None


class TaskRunner:
    """On one machine. `tell` is False where nobody heard."""

    def __init__(
        self, machine: MachineId, journal: TaskJournal, tell: Callable[[MachineEvent], bool]
    ) -> None:
        self.machine = machine
        self.journal = journal
        self.waiting: dict[str, Task] = {}
        """Asked for by this controller, which has not heard the end."""
        self._tell = tell

    def begin(self, conversation: Conversation, outcome_of: Callable[[Task], Outcome]) -> bool:
        """The next task, where none runs; False where none is to run."""
        task = next((t for t in self.waiting.values() if t.id not in self.journal.ended), None)
        if task is None or self.journal.running is not None:
            return False
        outcome = outcome_of(task)
        self.journal.running = (task, outcome)
        self.journal.begun.append(task.id)
        self.journal.printed[task.id] = outcome.printed
        for event in self._output(conversation, task):
            self._tell(event)
        return True

    def finish(self, conversation: Conversation, reason: str = "") -> None:
        """What runs ends, as its outcome says or for this reason."""
        assert self.journal.running is not None
        task, outcome = self.journal.running
        self.journal.running = None
        reason = reason or ("exit" if outcome.exit_code else "")
        step = task.steps[-1].name if task.steps else ""
        ended = TaskEnded(
            machine=self.machine,
            task=task.id,
            succeeded=not (reason or (task.collects and outcome.uncollected)),
            step=step,
            exit_code=outcome.exit_code if reason in ("exit", "") else None,
            reason="uncollected" if task.collects and outcome.uncollected else reason,
            words=_words(task, outcome),
        )
        self.journal.ended[task.id] = ended
        if task.collects and not outcome.uncollected:
            self.journal.archives[task.id] = packed(outcome.report)
        self.tell_end(conversation, task)

    def stop(self, conversation: Conversation) -> None:
        """What runs and what waits ends as aborted, but no task that collects."""
        if self.journal.running is not None and not self.journal.running[0].collects:
            self.finish(conversation, "aborted")
        for task in list(self.waiting.values()):
            runs = self.journal.running is not None and self.journal.running[0].id == task.id
            if not (runs or task.collects or task.id in self.journal.ended):
                self.journal.ended[task.id] = TaskEnded(
                    self.machine, task.id, succeeded=False, reason="aborted"
                )
                self.tell_end(conversation, task)

    def tell_ends(self, conversation: Conversation) -> None:
        """A new line knows of nothing."""
        for task in list(self.waiting.values()):
            if task.id in self.journal.ended:
                self.tell_end(conversation, task)

    def tell_end(self, conversation: Conversation, task: Task) -> None:
        """After what was printed and collected, from what is kept of it on."""
        ended = self.journal.ended[task.id]
        archive = self.journal.archives.get(task.id)
        have = conversation.report_offset(self.machine, task.id)
        if task.collects and ended.reason != "uncollected" and archive is None and not have:
            ended = TaskEnded(
                self.machine, task.id, succeeded=False, reason="uncollected", words=TOLD_BEFORE
            )
        told = self._output(conversation, task)
        told += [
            ReportPiece(self.machine, task.id, *piece) for piece in _pieces(archive or b"", have)
        ]
        if all(self._tell(event) for event in [*told, ended]):
            self.waiting.pop(task.id, None)
            self.journal.archives.pop(task.id, None)

    def _output(self, conversation: Conversation, task: Task) -> list[MachineEvent]:
        """What the controller has not of what was printed."""
        have = conversation.output_offset(self.machine, task.id)
        printed = self.journal.printed.get(task.id, b"")
        return [Output(self.machine, task.id, *piece) for piece in _pieces(printed, have)]


def _words(task: Task, outcome: Outcome) -> str:
    if task.collects and outcome.uncollected:
        return outcome.uncollected
    return outcome.printed.decode().rstrip("\n").rpartition("\n")[2] if outcome.exit_code else ""


def _pieces(content: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    for place in range(offset, len(content), PIECE):
        yield place, content[place : place + PIECE]


def packed(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar, the same for the same files."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 1, buffer, mtime=0) as outer,
        tarfile.open(fileobj=outer, mode="w") as archive,
    ):
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
