"""What is done on a machine before it goes."""

from collections.abc import Iterator
from dataclasses import dataclass

from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import RunTask, Terminate
from headwater.planning.asking import LAST_KINDS, is_about, is_pending, new, silence
from headwater.planning.records import Record, WorkState
from headwater.planning.situation import Situation
from headwater.topology.hooks import NAMES, Hooks


@dataclass(frozen=True, slots=True)
class Farewell:
    due: tuple[RunTask, ...] = ()
    awaited: tuple[str, ...] = ()
    """What has been asked, or is now, and may still end: the machine stays until then."""
    skipped: str = ""
    """What it goes without, and why."""


def farewell(action: Terminate, situation: Situation) -> Farewell:
    """Nothing for a machine on which no recipe ever began, or whose node asks for nothing."""
    machine, record = action.machine, situation.records.get(action.machine.id)
    hooks = situation.tasks.hooks.get(machine.key.node)
    if hooks is None or record is None or not _has_begun(record):
        return Farewell()
    due = [
        task
        for kind in _kinds(action, record, hooks, situation)
        for task in new(machine, record, kind, "leaving", situation)
    ]
    why = silence(machine, record)
    unended = [
        task
        for task in situation.tasks.asked(machine.id)
        if task.kind in LAST_KINDS and not task.has_ended
    ]
    pending = [task for task in unended if is_pending(task, machine, situation)]
    missed = [task.kind for task in unended if task not in pending]
    if why:
        missed += [task.kind for task in due]
        due = []
    late = why or f"not done within {int(hooks.report_timeout)} s"
    return Farewell(
        due=tuple(due),
        awaited=tuple(NAMES[kind] for kind in (*(t.kind for t in pending), *(t.kind for t in due))),
        skipped=f"; without its {' and '.join(NAMES[k] for k in missed)}: {late}" if missed else "",
    )


def _has_begun(record: Record) -> bool:
    never = record.generation == 1 and record.state is WorkState.WAITING
    return not (record.is_adopted or never)


def _kinds(
    action: Terminate, record: Record, hooks: Hooks, situation: Situation
) -> Iterator[RecipeKind]:
    """What has ended for good changes no more: one report of it is enough."""
    if hooks.has(RecipeKind.PRE_SCALE):
        yield RecipeKind.PRE_SCALE
    quiet = record.state is WorkState.FAILED or hooks.is_test
    told = quiet and any(
        task.kind is RecipeKind.REPORT and is_about(task, record)
        for task in situation.tasks.asked(action.machine.id)
    )
    if hooks.reports and not told:
        yield RecipeKind.REPORT
