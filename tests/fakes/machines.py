"""Machines whose agents are simulated: contexts run once, and are journaled as real ones are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import PurePath

from fakes.tasks import Outcome, TaskJournal, TaskRunner
from headwater.errors import Transient
from headwater.reconcile.ports import Conversation
from headwater.topology.context import Context, Host, Target, Task
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import (
    Blocked,
    Checked,
    Connected,
    Ended,
    HealthState,
    LineLost,
    LineRefused,
    MachineEvent,
    Reply,
    Request,
    StepStarted,
    Verb,
)

_ids = count(1)


class RecipeFailed(Exception):  # it is an event
    """The exit code and the last words of a simulated recipe."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(frozen=True, slots=True)
class Guest:
    """What a simulated recipe sees of its machine."""

    key: InstanceKey
    machine: MachineId
    conversation: Conversation

    async def get(self, name: str, patience: float | None = 60.0) -> str:
        """Raises RecipeFailed where the verb would exit with anything but 0."""
        reply = await self.ask(Verb.GET, name, patience=patience)
        if reply.code:
            raise RecipeFailed(reply.code, f"ss-get: {reply.error}")
        return reply.value if isinstance(reply.value, str) else reply.value.reveal()

    async def set(self, name: str, value: str) -> Reply:
        return await self.ask(Verb.SET, name, value)

    async def ask(
        self, verb: Verb, name: str = "", value: str = "", patience: float | None = None
    ) -> Reply:
        """The recipe does nothing else meanwhile, and the agent says so."""
        id = next(_ids)
        request = Request(self.machine, verb, name, value, id=id, patience=patience)
        asyncio.get_running_loop().call_soon(self._tell_blocked, id)
        return await self.conversation.on_request(request)

    def _tell_blocked(self, id: int) -> None:
        self.conversation.on_event(Blocked(self.machine, frozenset({id})))


Script = Callable[[Guest], Awaitable[None]]


@dataclass
class Agents:
    """What is on the machines: it outlives every controller."""

    journals: dict[MachineId, dict[str, Ended]] = field(default_factory=dict)
    begun: list[tuple[InstanceKey, str]] = field(default_factory=list)
    """Every context that was ever begun, in order."""
    tasks: dict[MachineId, TaskJournal] = field(default_factory=dict)


class FakeMachines:
    """Satisfies the Machines port. What goes wrong is set from outside:

    - `silent`: these instances never answer.
    - `held`: these begin their recipes and do not end them.
    - `failing[key]`: their deploy exits with 7 and says this.
    - `refusing[key]`: their line is refused with this.
    - `sick[key]`: their check has never held, and says this; `fall_ill` and `recover` change it
      for a machine that is there.
    - `scripts[node]`: runs as the recipe of the node's instances; it may ask and wait.
    - `outcomes[key]`: what becomes of the instance's tasks, or of the task of this id; else they
      succeed and leave nothing.

    Agents move when `work` is called, or by themselves where `prompt` is true.
    """

    public_key = "ssh-ed25519 AAAAlogin"
    private_key_file = PurePath("login")

    def __init__(self, agents: Agents | None = None, *, prompt: bool = False) -> None:
        self.agents = agents or Agents()
        self.conversation: Conversation | None = None
        self.prompt = prompt
        self.lines: dict[MachineId, tuple[Target, Context]] = {}
        self.hosts: dict[str, Sequence[Host]] = {}
        self.stopped: list[tuple[MachineId, str]] = []
        self.forgotten: list[MachineId] = []
        self.calls = 0
        self.silent: set[InstanceKey] = set()
        self.held: set[InstanceKey] = set()
        self.failing: dict[InstanceKey, str] = {}
        self.refusing: dict[InstanceKey, str] = {}
        self.sick: dict[InstanceKey, str] = {}
        self.scripts: dict[str, Script] = {}
        self.asked: list[tuple[InstanceKey, Task]] = []
        """Every task that was asked for over a line, in order."""
        self.outcomes: dict[InstanceKey | str, Outcome] = {}
        self._runners: dict[MachineId, TaskRunner] = {}
        self._connected: set[MachineId] = set()
        self._ill: dict[MachineId, str] = {}
        self._checked: dict[MachineId, tuple[str, str]] = {}
        """The context and check of which the line has been told how it stands."""
        self._running: dict[MachineId, str] = {}
        self._tasks: dict[MachineId, asyncio.Task[None]] = {}

    async def run(self) -> None:
        await asyncio.Event().wait()

    def contextualise(self, target: Target, context: Context) -> None:
        self.calls += 1
        self.lines[target.machine] = (target, context)
        self._hurry(target.machine)

    def run_task(self, machine: MachineId, task: Task) -> None:
        self.calls += 1
        if machine in self.lines:
            self.asked.append((self.lines[machine][0].key, task))
            self._runner(machine).waiting[task.id] = task
            if machine in self._connected and task.id in self._runner(machine).journal.ended:
                self._runner(machine).tell_end(self._speaker(), task)
            self._hurry(machine)

    def tell_hosts(self, deployment: str, hosts: Sequence[Host]) -> None:
        self.calls += 1
        self.hosts[deployment] = hosts

    def stop_steps(self, machine: MachineId, reason: str) -> None:
        self.calls += 1
        self.stopped.append((machine, reason))
        if context := self._running.get(machine):
            self._end(
                machine, Ended(machine, context, succeeded=False, step="deploy", reason="aborted")
            )
        if machine in self._runners:
            self._runners[machine].stop(self._speaker())
        self._hurry(machine)

    def forget(self, machine: MachineId) -> None:
        self.calls += 1
        self.forgotten.append(machine)
        self.lines.pop(machine, None)
        self._connected.discard(machine)
        self._checked.pop(machine, None)
        self._running.pop(machine, None)
        self._runners.pop(machine, None)
        if task := self._tasks.pop(machine, None):
            task.cancel()

    def work(self) -> bool:
        """Every agent does what it can. False when none could do anything."""
        return sum(self._turn(machine) for machine in list(self.lines)) > 0

    def release(self, key: InstanceKey) -> None:
        """A held recipe ends well."""
        self.held.discard(key)
        for machine, context in list(self._running.items()):
            if self.lines[machine][0].key == key:
                self._end(machine, Ended(machine, context, succeeded=True, step="deploy"))

    def fall_ill(self, machine: MachineId, words: str = "no answer") -> None:
        """What was healthy is not any more."""
        self._ill[machine] = words
        self._tell_health(machine, HealthState.FAILING)
        self._tell_health(machine, HealthState.UNHEALTHY)

    def recover(self, machine: MachineId) -> None:
        self._ill.pop(machine, None)
        self.sick.pop(self.lines[machine][0].key, None)
        self._tell_health(machine, HealthState.HEALTHY)

    def _tell_health(self, machine: MachineId, state: HealthState) -> None:
        target, context = self.lines[machine]
        words = self._ill.get(machine) or self.sick.get(target.key, "")
        if context.check is not None:
            said = "" if state is HealthState.HEALTHY else words
            self._tell(Checked(machine, context.id, context.check.digest, state, said))

    def _check(self, machine: MachineId, context: Context) -> bool:
        """The state of the check, once for each line, context and check."""
        asked = (context.id, context.check.digest if context.check else "")
        if self._checked.get(machine) == asked:
            return False
        self._checked[machine] = asked
        ails = machine in self._ill or self.lines[machine][0].key in self.sick
        self._tell_health(machine, HealthState.UNHEALTHY if ails else HealthState.HEALTHY)
        return context.check is not None

    def release_task(self, key: InstanceKey) -> None:
        """A held task ends as its outcome says."""
        for machine, runner in self._runners.items():
            if self.lines[machine][0].key == key and runner.journal.running is not None:
                runner.finish(self._speaker())
                self._hurry(machine)

    def break_line(self, machine: MachineId, reason: str = "connection reset") -> None:
        self._connected.discard(machine)
        self._tell(LineLost(machine, reason))
        self._hurry(machine)

    def reboot(self, machine: MachineId) -> None:
        """What ran there was interrupted, and its agent says so."""
        if self._runner(machine).journal.running is not None:
            self._runner(machine).finish(self._speaker(), "interrupted")
        else:
            context = self._running[machine]
            reason = "interrupted"
            self._end(
                machine, Ended(machine, context, succeeded=False, step="deploy", reason=reason)
            )

    def _turn(self, machine: MachineId) -> bool:
        if machine not in self.lines:
            return False
        target, context = self.lines[machine]
        if target.key in self.silent:
            return False
        if target.key in self.refusing:
            self._tell(LineRefused(machine, self.refusing.pop(target.key)))
            return True
        return self._work_on(target, context)

    def _work_on(self, target: Target, context: Context) -> bool:
        machine, runner = target.machine, self._runner(target.machine)
        busy = self._running.get(machine) == context.id
        new = not (busy and not runner.waiting) and self._connect(machine)
        ended = self.agents.journals.get(machine, {}).get(context.id)
        if new:
            if ended is not None:
                self._tell(ended)
            runner.tell_ends(self._speaker())
        if busy or runner.journal.running is not None:
            return new
        if self._begin_task(target):
            return True
        if ended is None:
            self._begin(target, context)
            return True
        return (ended.succeeded and self._check(machine, context)) or new

    def _begin_task(self, target: Target) -> bool:
        """Before the next step of the context."""
        runner = self._runner(target.machine)

        def outcome_of(task: Task) -> Outcome:
            return self.outcomes.get(task.id, self.outcomes.get(target.key, Outcome()))

        if not runner.begin(self._speaker(), outcome_of):
            return False
        if runner.journal.running is not None and not runner.journal.running[1].held:
            runner.finish(self._speaker())
        self._hurry(target.machine)
        return True

    def _runner(self, machine: MachineId) -> TaskRunner:
        journal = self.agents.tasks.setdefault(machine, TaskJournal())
        return self._runners.setdefault(machine, TaskRunner(machine, journal, self._tell))

    def _hurry(self, machine: MachineId) -> None:
        if self.prompt:
            asyncio.get_running_loop().call_soon(self._turn, machine)

    def _connect(self, machine: MachineId) -> bool:
        if machine in self._connected:
            return False
        self._connected.add(machine)
        self._checked.pop(machine, None)
        self._tell(Connected(machine))
        return True

    def _begin(self, target: Target, context: Context) -> None:
        machine, key = target.machine, target.key
        self.agents.begun.append((key, context.id))
        self._running[machine] = context.id
        self._tell(StepStarted(machine, context.id, 0, "deploy"))
        if key.node in self.scripts:
            if before := self._tasks.pop(machine, None):
                before.cancel()
            self._tasks[machine] = asyncio.get_running_loop().create_task(
                self._run(Guest(key, machine, self._speaker()), context.id)
            )
        elif key in self.failing:
            self._end(machine, _failed(machine, context.id, self.failing[key]))
        elif key not in self.held:
            self._end(machine, Ended(machine, context.id, succeeded=True, step="deploy"))

    async def _run(self, guest: Guest, context: str) -> None:
        try:
            await self.scripts[guest.key.node](guest)
        except RecipeFailed as failed:
            ended = _failed(guest.machine, context, failed.words)
            self._end(guest.machine, replace(ended, exit_code=failed.code))
            return
        self._end(guest.machine, Ended(guest.machine, context, succeeded=True, step="deploy"))

    def _end(self, machine: MachineId, ended: Ended) -> None:
        self._running.pop(machine, None)
        self.agents.journals.setdefault(machine, {})[ended.context] = ended
        self._tell(ended)
        self._hurry(machine)

    def _tell(self, event: MachineEvent) -> bool:
        """What cannot be kept ends the line, and is told again on the next one."""
        try:
            self._speaker().on_event(event)
        except Transient:
            self._connected.discard(event.machine)
            asyncio.get_running_loop().call_later(1.0, self._turn, event.machine)
            return False
        return True

    def _speaker(self) -> Conversation:
        assert self.conversation is not None
        return self.conversation


def _failed(machine: MachineId, context: str, words: str) -> Ended:
    return Ended(
        machine, context, succeeded=False, step="deploy", exit_code=7, reason="exit", words=words
    )
