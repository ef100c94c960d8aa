"""Machines that are reached over lines that drop, stall and refuse; their agents outlive them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from faults.simulated_tasks import Tasks
from faults.weather import Fault, Weather
from headwater.reconcile.ports import Conversation
from headwater.topology.context import Context, Host, Target, Task
from headwater.topology.keys import MachineId
from headwater.topology.progress import (
    Connected,
    Ended,
    LineLost,
    LineRefused,
    MachineEvent,
    StepStarted,
    TaskEnded,
)

FAILING = "exit 7"
KEY_FILE = PurePath("login")
REDIAL = 10.0


class Agent:
    """On one machine: runs each context once, journals it, and tells whoever has the line."""

    def __init__(
        self, machine: MachineId, weather: Weather, begins: Callable[[MachineId], None]
    ) -> None:
        """`begins` is called before a context is begun."""
        self.machine = machine
        self._begins = begins
        self.journal: dict[str, Ended] = {}
        self.begun: list[str] = []
        """Work digests, in the order in which they were begun."""
        self.tell: Callable[[MachineEvent], bool] | None = None
        """False where nobody heard."""
        self.refused = False
        """It could not be talked to for certain: nobody can know what it does."""
        self.heard: dict[str, float] = {}
        """When a controller was last told of each end."""
        self.tasks = Tasks(machine, weather, self._say, self._go_on)
        self._weather = weather
        self._wanted: Context | None = None
        self._running: tuple[Context, asyncio.TimerHandle] | None = None
        self._finished = 0.0
        """When the last context ended."""

    @property
    def runs(self) -> bool:
        return self._running is not None

    @property
    def serves(self) -> str:
        """The digest of the work that was done last and well, as some controller has heard."""
        last = next(reversed(self.journal.values()), None)
        if last is None or not last.succeeded or self.runs or self.refused:
            return ""
        digest = _digest(last.context)
        told = (at for context, at in self.heard.items() if _digest(context) == digest)
        return digest if max(told, default=-1.0) >= self._finished else ""

    @property
    def last(self) -> str:
        """The digest of the work that was begun last; empty while there is none."""
        return self.begun[-1] if self.begun else ""

    def want(self, context: Context) -> None:
        """Turn to this context at the end of what runs."""
        self._wanted = context
        if self.last != _digest(context.id):
            self.journal.pop(context.id, None)  # Something else has been run since.
        if ended := self.journal.get(context.id):
            self._say(ended)
        elif self._running is None:
            self._begins(self.machine)
            self._go_on()
        elif self._running[0].id == context.id:
            self._say(StepStarted(self.machine, context.id, 0, "deploy"))

    def stop(self, reason: str = "aborted") -> None:
        if self._running is not None:
            self._running[1].cancel()
            self._finish(self._running[0], reason)
        self.tasks.stop(reason)

    def _go_on(self) -> None:
        """One thing at a time; tasks come before the context."""
        wanted = self._wanted
        if self._running is not None or self.tasks.begin():
            return
        if wanted is not None and wanted.id not in self.journal:
            self._begin(wanted)

    def _begin(self, context: Context) -> None:
        self._weather.tell(f"agent of {self.machine} begins {context.id}")
        self.begun.append(_digest(context.id))
        seconds = self._weather.dice.choice([0.1, 3.0, 40.0])
        timer = asyncio.get_running_loop().call_later(seconds, self._finish, context, "")
        self._running = (context, timer)
        self._say(StepStarted(self.machine, context.id, 0, "deploy"))

    def _finish(self, context: Context, reason: str) -> None:
        fails = any(FAILING in step.script for step in context.steps)
        ended = Ended(
            self.machine,
            context.id,
            succeeded=not (fails or reason),
            step="deploy",
            exit_code=None if reason else 7 * fails,
            reason=reason or "exit" * fails,
        )
        self._weather.tell(f"agent of {self.machine} ends {context.id} {ended.reason}")
        self._running = None
        self._finished = asyncio.get_running_loop().time()
        self.journal[context.id] = ended
        if self._wanted is None or self._wanted.id == context.id:
            self._say(ended)
        self._go_on()

    def _say(self, event: MachineEvent) -> bool:
        if self.tell is None or not self.tell(event):
            return False
        if isinstance(event, Ended):
            self.heard[event.context] = asyncio.get_running_loop().time()
        return True


def _digest(context: str) -> str:
    return context.partition(".")[0]


@dataclass(eq=False)
class _Line:
    target: Target
    context: Context
    stands: bool = False
    refused: bool = False
    """It is tried again for another context only."""
    stalls: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)
    """Asked for, and their ends not heard."""


@dataclass
class SimulatedMachines:
    """Satisfies the Machines port, for one controller; `agents` outlive it."""

    agents: dict[MachineId, Agent]
    begins: Callable[[MachineId], None]
    is_up: Callable[[MachineId], bool]
    weather: Weather
    conversation: Conversation | None = None
    public_key: str = "ssh-ed25519 AAAAlogin"
    private_key_file: PurePath = KEY_FILE
    lines: dict[MachineId, _Line] = field(default_factory=dict)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def contextualise(self, target: Target, context: Context) -> None:
        line = self.lines.get(target.machine)
        tasks = line.tasks if line is not None else {}
        if line is not None and line.refused and line.context.id != context.id:
            line = None
        if line is None:
            self.lines[target.machine] = line = _Line(target, context, tasks=tasks)
            self._dial(line, 0.2)
        line.target, line.context = target, context
        if line.stands:
            self._agent(line).want(context)

    def run_task(self, machine: MachineId, task: Task) -> None:
        line = self.lines.get(machine)
        if line is not None:
            line.tasks[task.id] = task
            if line.stands:
                self._take(line, task)

    def _take(self, line: _Line, task: Task) -> None:
        machine, conversation = line.target.machine, self.conversation
        if conversation is not None:
            self._agent(line).tasks.take(
                task,
                printed=conversation.output_offset(machine, task.id),
                reported=conversation.report_offset(machine, task.id),
            )

    def tell_hosts(self, deployment: str, hosts: Sequence[Host]) -> None:
        """Hosts files are no part of this world."""

    def stop_steps(self, machine: MachineId, reason: str) -> None:
        del reason
        line = self.lines.get(machine)
        if line is not None and line.stands:
            self._agent(line).stop()

    def forget(self, machine: MachineId) -> None:
        if line := self.lines.pop(machine, None):
            self._hang_up(line)

    def drop(self, machine: MachineId) -> None:
        """The line breaks, and another attempt follows by itself."""
        line = self.lines.get(machine)
        if line is not None and line.stands:
            self._hang_up(line)
            self._say(line, LineLost(machine, "connection reset by peer"))
            self._dial(line, REDIAL)

    def kill(self) -> None:
        """The controller is no more."""
        for machine in list(self.lines):
            self.forget(machine)

    def _dial(self, line: _Line, after: float) -> None:
        asyncio.get_running_loop().call_later(after, self._connect, line)

    def _connect(self, line: _Line) -> None:
        machine = line.target.machine
        if self.lines.get(machine) is not line or line.stands:
            return
        if not self.is_up(machine) or self.weather.strikes(Fault.LINE_UNREACHABLE):
            self._say(line, LineLost(machine, "no route to host"))
            self._dial(line, REDIAL)
        elif self.weather.strikes(Fault.LINE_REFUSED):
            line.refused = self._agent(line).refused = True
            self._say(line, LineRefused(machine, "another host key"))
        else:
            line.stands, line.stalls = True, self.weather.strikes(Fault.LINE_STALLED)
            agent = self._agent(line)
            agent.tell = lambda event: self._say(line, event)
            self._say(line, Connected(machine))
            agent.want(line.context)
            for task in list(line.tasks.values()):
                self._take(line, task)
            agent.refused = False
            if line.stalls:
                asyncio.get_running_loop().call_later(60.0, self._give_up, line)

    def _give_up(self, line: _Line) -> None:
        """Nothing was heard for too long."""
        line.stalls = False
        if self.lines.get(line.target.machine) is line:
            self.drop(line.target.machine)

    def _hang_up(self, line: _Line) -> None:
        if line.stands:
            line.stands = False
            self._agent(line).tell = None
            self._agent(line).tasks.hang_up()

    def _agent(self, line: _Line) -> Agent:
        machine = line.target.machine
        return self.agents.setdefault(machine, Agent(machine, self.weather, self.begins))

    def _say(self, line: _Line, event: MachineEvent) -> bool:
        if self.lines.get(line.target.machine) is not line or line.stalls:
            return False
        if self.conversation is not None:
            self.conversation.on_event(event)
            if isinstance(event, TaskEnded):
                line.tasks.pop(event.task, None)
        return True
