"""What machines are asked beside their contextualisation: kept, asked, and heard of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import RunTask
from headwater.planning.asking import timeout
from headwater.planning.live import advanced
from headwater.planning.records import (
    MachineTasks,
    Record,
    Run,
    TaskMemory,
    TaskRecord,
    WorkState,
)
from headwater.planning.situation import Situation
from headwater.reconcile.hostkeys import believed
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.memory import Memory
from headwater.reconcile.ports import Clock, Machines, Reports
from headwater.topology.context import Context, Target, Task
from headwater.topology.hooks import Hooks
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine
from headwater.topology.reports import report_name
from headwater.topology.surroundings import Nodes, environment

SEED_CHANGES = {"add": "vm_add", "remove": "vm_remove", "replace": "vm_resize"}
"""As SlipStream's hooks were told."""
RUNNING = frozenset({WorkState.WAITING, WorkState.RUNNING})


@dataclass(slots=True)
class Tasks:
    """Each task is durable before it is sent, and sent again until its end is."""

    ledger: Ledger
    machines: Machines
    reports: Reports
    clock: Clock
    memory: Memory
    nodes: Callable[[str], Nodes]
    """Of a deployment, by name."""
    _lined: set[MachineId] = field(default_factory=set)
    """Machines that were given a line since this process began."""
    _sent: set[tuple[MachineId, str]] = field(default_factory=set)

    def ask(self, actions: Iterable[RunTask], run: Run) -> None:
        """Keep what a machine is to do, all of it at once, then send it.

        After a kill in between it is sent again; before, all of it is due again.
        """
        by_machine: dict[MachineId, list[RunTask]] = {}
        for action in actions:
            by_machine.setdefault(action.machine.id, []).append(action)
        for mine in by_machine.values():
            self._ask(mine[0].machine, mine, run)

    def _ask(self, machine: Machine, actions: Sequence[RunTask], run: Run) -> None:
        record = self.ledger.records[machine.id]
        known = self.ledger.tasks.get(machine.id, MachineTasks(machine.key))
        new = tuple(self._record(action, run) for action in actions)
        told = max(known.told, *(action.told for action in actions))
        asked = (*_kept(known, record), *new)
        self.ledger.set_tasks(machine.id, MachineTasks(machine.key, asked, told))
        if record.state in RUNNING and any(action.leaves for action in actions):
            self.machines.stop_steps(machine.id, "the instance goes")
        for task in new:
            self._send(machine, record, task)

    def _record(self, action: RunTask, run: Run) -> TaskRecord:
        reports = action.kind is RecipeKind.REPORT
        return TaskRecord(
            id=action.id,
            kind=action.kind,
            since=self.clock(),
            run=run.number,
            file=self._file(action.key, run) if reports else "",
            instances=action.instances,
            change=action.change,
        )

    def _file(self, key: InstanceKey, run: Run) -> str:
        """A name that no other report of the run has: times are told in seconds."""
        taken = {view.file for view in self.reports.views(key.deployment) if view.run == run.number}
        for tasks in self.ledger.tasks.values():
            taken |= {task.file for task in tasks.asked} if tasks.key == key else set()
        at = self.clock()
        while (name := report_name(key, at)) in taken:
            at += timedelta(seconds=1)
        return name

    def resume(self, situation: Situation) -> None:
        """Send again what an earlier process asked and has not heard the end of."""
        for machine in situation.machines:
            for task in situation.tasks.asked(machine.id):
                record = situation.records.get(machine.id)
                if record and not task.has_ended and (machine.id, task.id) not in self._sent:
                    self._send(machine, record, task)

    def connected(self, machine: MachineId) -> None:
        """It has been given a line, perhaps another one: what is open is sent again."""
        self._lined.add(machine)
        self._sent = {sent for sent in self._sent if sent[0] != machine}

    def _send(self, machine: Machine, record: Record, task: TaskRecord) -> None:
        hooks = self.memory.hooks(machine.key.deployment).get(machine.key.node)
        if hooks is None or not machine.is_reachable:
            return
        self._sent.add((machine.id, task.id))
        if machine.id not in self._lined and (line := target(self.ledger, machine, hooks.user)):
            # Its context is known there by its id: nothing of it is run by this.
            self._lined.add(machine.id)
            self.machines.contextualise(line, Context(record.context, ()))
        nodes = self.nodes(machine.key.deployment)
        self.machines.run_task(machine.id, as_task(machine, task, hooks, nodes))

    def forget(self, machine: MachineId) -> None:
        """Close the line; what it was sent is not awaited any more."""
        self.machines.forget(machine)
        self._lined.discard(machine)
        self._sent = {sent for sent in self._sent if sent[0] != machine}

    def notice(self, situation: Situation) -> Situation:
        """The situation with the live set as it is now, kept."""
        live = advanced(situation)
        if live is situation.tasks.live:
            return situation
        self.memory.set_live(situation.deployment, live)
        return replace(situation, tasks=replace(situation.tasks, live=live))

    def of(self, name: str, machines: Iterable[Machine]) -> TaskMemory:
        known = self.ledger.tasks
        return TaskMemory(
            hooks=self.memory.hooks(name),
            machines={machine.id: known[machine.id] for machine in machines if machine.id in known},
            live=self.memory.live(name),
            replaces=self.memory.replaces(name),
        )


def _kept(known: MachineTasks, record: Record) -> tuple[TaskRecord, ...]:
    """What is open, what belongs to the present context, and what was asked last."""
    mine = f"_{record.context}_"
    last = known.asked[-1:]
    return tuple(t for t in known.asked if not t.has_ended or mine in t.id or t in last)


def target(ledger: Ledger, machine: Machine, user: str) -> Target | None:
    """How the machine is reached; None while its cloud has not told."""
    if machine.address is None or machine.host_key is None:
        return None
    trusted = believed(ledger, machine)
    return Target(
        machine=machine.id,
        key=machine.key,
        address=machine.address,
        port=machine.port,
        user=user,
        host_key=trusted.host_key,
        one_time=trusted.one_time,
        inside=machine.inside or "",
    )


def as_task(machine: Machine, task: TaskRecord, hooks: Hooks, nodes: Nodes) -> Task:
    return Task(
        id=task.id,
        steps=hooks.steps.get(task.kind, ()),
        environment=(*environment(machine.key, machine.id.cloud, nodes), *scaling(task)),
        timeout=timeout(task.kind, hooks),
        collects=task.kind is RecipeKind.REPORT,
    )


def scaling(task: TaskRecord) -> tuple[tuple[str, str], ...]:
    """What a hook is told, by our names and by the seed's."""
    if not task.change:
        return ()
    nodes = dict.fromkeys(instance.rpartition(".")[0] for instance in task.instances)
    node, names = " ".join(nodes), " ".join(task.instances)
    return (
        ("HEADWATER_SCALING_NODE", node),
        ("HEADWATER_SCALING_INSTANCES", names),
        ("HEADWATER_SCALING_ACTION", task.change),
        ("SLIPSTREAM_SCALING_NODE", node),
        ("SLIPSTREAM_SCALING_VMS", names),
        ("SLIPSTREAM_SCALING_ACTION", SEED_CHANGES[task.change]),
    )
