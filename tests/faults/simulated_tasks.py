"""The tasks of a simulated agent: each runs once, and its report takes a while to be told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from faults.weather import Weather
from headwater.topology.context import Task
from headwater.topology.keys import MachineId
from headwater.topology.progress import MachineEvent, Output, ReportPiece, TaskEnded

PRINTED = b"at work\n"
REPORT = b"a gzipped tar of some length"
PIECE = 10
PAUSE = 0.5
FAILING = "exit 7"


@dataclass(eq=False)
class _Account:
    """What one line is told of one task."""

    task: Task
    printed: int
    reported: int


class Tasks:
    """`say` is False where nobody heard; `idle` is called when another step may begin."""

    def __init__(
        self,
        machine: MachineId,
        weather: Weather,
        say: Callable[[MachineEvent], bool],
        idle: Callable[[], None],
    ) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, TaskEnded] = {}
        self._machine = machine
        self._weather = weather
        self._say = say
        self._idle = idle
        self._queue: list[Task] = []
        self._running: asyncio.TimerHandle | None = None
        self._accounts: dict[str, _Account] = {}

    @property
    def runs(self) -> bool:
        return self._running is not None

    def take(self, task: Task, *, printed: int, reported: int) -> None:
        """Run it after those that came before; tell of it from these bytes on."""
        self._accounts[task.id] = account = _Account(task, printed, reported)
        if task.id in self.ends:
            self._tell(account)
        elif task.id not in [waiting.id for waiting in self._queue]:
            self._queue.append(task)
            self._idle()

    def begin(self) -> bool:
        """The next one; False where there is none."""
        if not self._queue or self.runs:
            return self.runs
        task = self._queue[0]
        self._weather.tell(f"agent of {self._machine} begins task {task.id}")
        self.begun.append(task.id)
        seconds = self._weather.dice.choice([0.1, 3.0, 40.0])
        self._running = asyncio.get_running_loop().call_later(seconds, self._finish, task, "")
        return True

    def stop(self, reason: str) -> None:
        """Aborted are the hooks, also those that wait; interrupted is what runs."""
        for position, task in enumerate(list(self._queue)):
            runs = position == 0 and self.runs
            if (reason == "interrupted" and runs) or (reason == "aborted" and not task.collects):
                self._finish(task, reason)

    def hang_up(self) -> None:
        """The line is no more: nothing is told of what it asked for."""
        self._accounts.clear()

    def _finish(self, task: Task, reason: str) -> None:
        if self._running is not None and task is self._queue[0]:
            self._running.cancel()
            self._running = None
        self._queue.remove(task)
        fails = any(FAILING in step.script for step in task.steps)
        self._weather.tell(f"agent of {self._machine} ends task {task.id} {reason}")
        self.ends[task.id] = TaskEnded(
            self._machine,
            task.id,
            succeeded=not (fails or reason),
            step=task.steps[-1].name if task.steps else "",
            exit_code=None if reason else 7 * fails,
            reason=reason or "exit" * fails,
        )
        if account := self._accounts.get(task.id):
            self._tell(account)
        self._idle()

    def _tell(self, account: _Account) -> None:
        """What is printed, the report piece by piece, the end; from the start on a later line."""
        task = account.task
        if self._accounts.get(task.id) is not account:
            return
        report = REPORT if task.collects else b""
        if account.printed < len(PRINTED):
            event: MachineEvent = Output(
                self._machine, task.id, account.printed, PRINTED[account.printed :]
            )
            account.printed = len(PRINTED)
        elif account.reported < len(report):
            piece = report[account.reported : account.reported + PIECE]
            event = ReportPiece(self._machine, task.id, account.reported, piece)
            account.reported += len(piece)
        else:
            self._say(self.ends[task.id])
            return
        if self._say(event):
            asyncio.get_running_loop().call_later(PAUSE, self._tell, account)
