"""Tasks of one machine: how they are named, how long they are waited for, what became of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import RunTask
from headwater.planning.records import Record, TaskRecord, WorkState
from headwater.planning.situation import Situation
from headwater.topology.hooks import NAMES, Hooks
from headwater.topology.keys import MachineId
from headwater.topology.machines import Machine

PREFIX = "task_"
"""Of every task's id, and of no context's."""
GRACE = timedelta(seconds=30)
"""Beyond a task's own time, for the way of its report; and as long on a line that is broken."""
LAST_KINDS = (RecipeKind.PRE_SCALE, RecipeKind.REPORT)
"""What is done before a machine goes, in this order."""


def new(
    machine: Machine, record: Record, kind: RecipeKind, cause: str, situation: Situation
) -> Iterator[RunTask]:
    """The task, unless it was asked for before: once per machine, context and cause."""
    id = f"{PREFIX}{record.context}_{cause}_{NAMES[kind]}"
    if any(task.id == id for task in situation.tasks.asked(machine.id)):
        return
    stays = situation.desired is not None and machine.key in situation.desired.instances
    tells = kind is not RecipeKind.REPORT
    yield RunTask(
        machine=machine,
        id=id,
        kind=kind,
        reason=f"{cause}, run {situation.run.number}",
        instances=(machine.key.instance,) if tells else (),
        change=("replace" if stays else "remove") if tells else "",
        leaves=cause == "leaving",
    )


def is_about(task: TaskRecord, record: Record) -> bool:
    """It belongs to the context that the machine was given last."""
    return task.id.startswith(f"{PREFIX}{record.context}_")


def is_pending(task: TaskRecord, machine: Machine, situation: Situation) -> bool:
    return not task.has_ended and situation.now < limit(task, machine, situation)


def limit(task: TaskRecord, machine: Machine, situation: Situation) -> datetime:
    hooks, record = situation.tasks.hooks.get(machine.key.node), situation.records.get(machine.id)
    if hooks is None or silence(machine, record):
        return task.since + GRACE
    return task.since + timedelta(seconds=timeout(task.kind, hooks)) + GRACE


def timeout(kind: RecipeKind, hooks: Hooks) -> float:
    """Seconds for the recipes of a task."""
    return hooks.report_timeout if kind in LAST_KINDS else hooks.execute_timeout


def silence(machine: Machine, record: Record | None) -> str:
    """Why a machine cannot be talked to; empty where it can."""
    if not machine.is_reachable:
        return f"its cloud says it is {machine.state.value}"
    if record is None:
        return "it has not been spoken to yet"
    return record.words if record.reason == "refused" else record.trouble


def complaint(machine: MachineId, situation: Situation) -> str:
    """What went wrong last with a task of the machine; empty where nothing did."""
    asked = situation.tasks.asked(machine)
    last = {task.kind: task for task in asked if task.has_ended}
    return "; ".join(explain(task) for task in last.values() if task.state is WorkState.FAILED)


def explain(task: TaskRecord) -> str:
    """In the machine's own words."""
    words = f": {task.words}" if task.words else ""
    name = task.step or NAMES[task.kind]
    match task.reason:
        case "exit":
            return f"{name} exited with {task.exit_code}{words}"
        case "timeout":
            return f"{name} ran into its timeout and was stopped{words}"
        case "uncollected":
            return f"the report could not be made{words}"
        case _:
            return f"{name}: {task.reason}{words}"
