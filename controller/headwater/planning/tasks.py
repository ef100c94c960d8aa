"""Which tasks are due now, and what waits for them: reports on every exit, hooks around changes.

A task never fails a run. Each is due once per machine, context and cause: its id tells them.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import Action, Create, RunTask, Terminate
from headwater.planning.asking import is_pending, limit, new, silence
from headwater.planning.failure import tolerated
from headwater.planning.farewell import farewell
from headwater.planning.live import changes
from headwater.planning.planner import Plan
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import Seat, seats, staleness
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey, MachineId

ENDED = frozenset({WorkState.SUCCEEDED, WorkState.FAILED})


def with_tasks(situation: Situation, plan: Plan) -> Plan:
    """The plan with what is due; the end of a machine waits for what the machine has to do.

    Where an end waits, so does the machine that was to be made in its place after it.
    """
    if situation.suspended or not situation.tasks.hooks:
        return plan
    actions, due, held = list[Action](), list[RunTask](), list[str]()
    leaving, waiting = set[MachineId](), set[InstanceKey]()
    for action in plan.actions:
        if not isinstance(action, Terminate):
            actions.append(action)
            continue
        last = farewell(action, situation)
        due += last.due
        leaving.add(action.machine.id)
        if last.awaited:
            waiting.add(action.key)
            held.append(f"{action.key.instance}: goes after its {' and '.join(last.awaited)}")
        else:
            actions.append(replace(action, reason=action.reason + last.skipped))
    beside = (*_reports(situation), *_scaled(situation), *changes(situation))
    return replace(
        plan,
        actions=tuple(a for a in actions if not _is_instead(a, waiting)),
        held=(*plan.held, *held),
        tasks=(*due, *(task for task in beside if task.machine.id not in leaving)),
    )


def _is_instead(action: Action, waiting: set[InstanceKey]) -> bool:
    return isinstance(action, Create) and not action.replaces and action.key in waiting


def reports_awaited(situation: Situation) -> bool:
    """Reports are under way, or are due now; those that nobody can bring any more do not count.

    Work that still runs is none of them: its own state tells.
    """
    return any(True for _ in _awaited(situation))


def awaited(situation: Situation) -> int:
    """How many."""
    return len(set(_awaited(situation)))


def _awaited(situation: Situation) -> Iterator[MachineId]:
    for machine in situation.machines if situation.tasks.hooks else ():
        for task in situation.tasks.asked(machine.id):
            if task.kind is RecipeKind.REPORT and is_pending(task, machine, situation):
                yield machine.id
    if not situation.suspended:
        yield from (task.machine.id for task in _reports(situation))


def next_deadline(situation: Situation) -> datetime | None:
    """When what is awaited counts as not coming any more."""
    limits = [
        limit(task, machine, situation)
        for machine in situation.machines
        for task in situation.tasks.asked(machine.id)
        if is_pending(task, machine, situation)
    ]
    return min(limits, default=None)


def _reports(situation: Situation) -> Iterator[RunTask]:
    """On the exit of a run: from each that failed or was stopped, at once; from all, at its end."""
    every = seats(situation) if situation.tasks.hooks else {}
    lost = tolerated(situation)
    over = all(_is_over(seat, situation) for key, seat in every.items() if key not in lost)
    for seat in every.values():
        hooks = situation.tasks.hooks.get(seat.spec.key.node)
        machine, record = seat.current, seat.record
        if machine is None or record is None or hooks is None or not hooks.reports:
            continue
        if record.is_adopted or record.state not in ENDED or silence(machine, record):
            continue
        if situation.run.abort or _has_failed(record, situation):
            number = situation.run.number
            yield from new(machine, record, RecipeKind.REPORT, f"failed-{number}", situation)
        elif over:
            yield from new(machine, record, RecipeKind.REPORT, "ready", situation)


def _has_failed(record: Record, situation: Situation) -> bool:
    """For good, as far as this run goes."""
    mine = record.run == situation.run.number and record.reason != "interrupted"
    return record.state is WorkState.FAILED and mine


def _is_over(seat: Seat, situation: Situation) -> bool:
    """Nothing is left to be done for the instance in this run."""
    record = seat.record
    if record is None or record.is_adopted or seat.outdated or seat.spare:
        return False
    if record.state is WorkState.FAILED:
        return _has_failed(record, situation)
    ignored = situation.desired is None or situation.desired.update.on_recipe_change == "ignore"
    fresh = ignored or not staleness(record, seat.spec, situation)
    return record.is_in_order and fresh


def _scaled(situation: Situation) -> Iterator[RunTask]:
    """On what came in the place of an outdated machine, once that one is gone."""
    every = seats(situation) if situation.tasks.replaces else {}
    for key, incarnation in situation.tasks.replaces.items():
        hooks, seat = situation.tasks.hooks.get(key.node), every.get(key)
        if hooks is None or not hooks.has(RecipeKind.POST_SCALE) or seat is None:
            continue
        machine, record = seat.current, seat.record
        if machine is None or record is None or not seat.ready or seat.outdated:
            continue
        if machine.tags.incarnation == incarnation and not silence(machine, record):
            yield from new(machine, record, RecipeKind.POST_SCALE, "replaced", situation)
