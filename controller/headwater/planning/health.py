"""What a check that does not hold leads to: waiting, a failed run, another machine.

Before it has held for the first time, an instance is not ready, and its run fails when that takes
too long. Afterwards the instance is replaced, within the limits of updates, and ever more seldom:
what is wrong with each new machine again is wrong with what runs there.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from headwater.manifests.resolved import Update
from headwater.planning.actions import Action, Terminate
from headwater.planning.budget import portion
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import Seat, seats, staleness
from headwater.planning.situation import Situation
from headwater.planning.status import Condition
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import MachineState

BACKOFF = (timedelta(minutes=2), timedelta(minutes=8))
"""How long after its first and its second replacement an instance may be replaced again."""
MOST = len(BACKOFF) + 1
WITHIN = timedelta(hours=1)
"""So many replacements in this time, and a person has to look."""
GIVEN_UP = "Unhealthy"
"""Why a deployment is Stalled whose instances are not replaced any more."""
UNHEALTHY_PERCENT = "40%"


def words_of(record: Record) -> str:
    """Why its check does not hold."""
    told = record.health.words if record.health else ""
    return told or record.trouble or "its check has told nothing yet"


def unsound(seat: Seat, situation: Situation) -> str:
    """Why a machine whose recipes succeeded and whose check does not hold is given them again.

    It serves nobody: that takes nothing away.
    """
    record = seat.record
    if record is None or record.is_sound or situation.desired is None:
        return ""
    ignored = situation.desired.update.on_recipe_change == "ignore"
    if not (record.is_sick and ignored) and (stale := staleness(record, seat.spec, situation)):
        return stale
    failed = record.health is not None and record.run < situation.run.number
    return "retry" if failed and not record.is_sick else ""


def deadline(seat: Seat, situation: Situation) -> datetime | None:
    """When an instance whose check has never held fails its run; None where that is not awaited.

    A new run gives it all the time again.
    """
    record = seat.record
    if record is None or record.state is not WorkState.SUCCEEDED or record.is_sound:
        return None
    if record.is_sick:
        return None
    since = max(record.ended or record.since, situation.run.started)
    return since + timedelta(seconds=seat.spec.work.timeout)


def failure(seat: Seat, situation: Situation) -> str:
    """Why the run fails for this instance's check; empty where it does not."""
    limit, record = deadline(seat, situation), seat.record
    if limit is None or record is None or situation.now < limit:
        return ""
    return f"not healthy within {seat.spec.work.timeout:.0f} s: {words_of(record)}"


def _is_to_replace(seat: Seat) -> bool:
    record, machine = seat.record, seat.current
    running = machine is not None and machine.state is MachineState.RUNNING
    return running and record is not None and record.is_sick


def sick(situation: Situation) -> tuple[Seat, ...]:
    """Instances that were in order and are not any more."""
    return tuple(seat for seat in seats(situation).values() if _is_to_replace(seat))


def replaceable(
    situation: Situation, every: Mapping[InstanceKey, Seat], held: list[str]
) -> Iterator[tuple[Seat, str]]:
    """Whose machine goes for its health now, with the check's words."""
    desired = situation.desired
    if desired is None:
        return
    for keys in desired.nodes.values():
        node = [every[key] for key in keys]
        ill = [s for s in node if _is_to_replace(s) and not unsound(s, situation)]
        room = _room(node, ill, desired.update) if ill else 0
        for seat in ill:
            if pause := _pause(seat, situation):
                held.append(pause)
            elif room > 0 and seat.record is not None:
                room -= 1
                yield seat, words_of(seat.record)
            else:
                held.append(f"{seat.spec.key.instance}: unhealthy, replaced within the limits")


def _room(node: list[Seat], ill: list[Seat], update: Update) -> int:
    """How many of a node may be under repair at once, less those that are."""
    most = max(portion(update.max_unavailable, len(node)), 1)
    return most - sum(not seat.available and seat not in ill for seat in node)


def _pause(seat: Seat, situation: Situation) -> str:
    """Why a sick instance is not replaced yet."""
    key, due = seat.spec.key, _due(seat, situation)
    if _has_given_up(seat, situation):
        return f"{key.instance}: unhealthy, not replaced any more"
    if due is None or situation.now >= due:
        return ""
    return f"{key.instance}: unhealthy again; replaced at {due:%H:%M:%S} at the earliest"


def _due(seat: Seat, situation: Situation) -> datetime | None:
    """When it may be replaced once more; None for at once."""
    recent = [at for at in _replacements(seat, situation) if situation.now - at < WITHIN]
    return recent[-1] + BACKOFF[min(len(recent), len(BACKOFF)) - 1] if recent else None


def _replacements(seat: Seat, situation: Situation) -> tuple[datetime, ...]:
    """A new run begins to count anew."""
    times = situation.replacements.get(seat.spec.key, ())
    return tuple(at for at in times if at >= situation.run.started)


def _has_given_up(seat: Seat, situation: Situation) -> bool:
    last = _replacements(seat, situation)[-MOST:]
    return len(last) == MOST and last[-1] - last[0] <= WITHIN


def given_up(situation: Situation) -> str:
    """Which instance a person must look at, and why; empty when there is none."""
    for seat in sick(situation):
        if seat.record is not None and _has_given_up(seat, situation):
            return (
                f"{seat.spec.key.instance} was replaced {MOST} times within an hour and is "
                f"unhealthy again: {words_of(seat.record)}; commit a change, or `headwater retry`"
            )
    return ""


def too_many(situation: Situation) -> str:
    """Why no machine goes for its health now; empty when some may."""
    total, ill = len(situation.desired.instances) if situation.desired else 0, len(sick(situation))
    if ill <= max(1, portion(UNHEALTHY_PERCENT, total)):
        return ""
    return (
        f"{ill} of {total} instances are unhealthy at once, "
        "more likely their check or what they all need is wrong"
    )


def replaced(actions: Iterable[Action], situation: Situation) -> tuple[InstanceKey, ...]:
    """Whose machine these actions end for its health."""
    ill = {seat.current.id for seat in sick(situation) if seat.current}
    return tuple(a.key for a in actions if isinstance(a, Terminate) and a.machine.id in ill)


def looks(situation: Situation) -> Iterator[datetime]:
    """When to look again without being asked."""
    for seat in seats(situation).values():
        if limit := deadline(seat, situation):
            yield limit
        due = _due(seat, situation) if _is_to_replace(seat) else None
        if due and due > situation.now and not _has_given_up(seat, situation):
            yield due


def condition(situation: Situation) -> tuple[Condition, ...]:
    """Healthy, where there is something to check."""
    checked = [seat for seat in seats(situation).values() if seat.spec.check]
    waiting = [seat for seat in checked if not seat.available]
    told = [
        f"{seat.spec.key.instance}: {words_of(seat.record)}"
        for seat in waiting
        if seat.record and seat.record.health and not seat.record.is_sound
    ]
    if not checked:
        return ()
    if not waiting:
        return (Condition("Healthy", status=True, reason="ChecksHold"),)
    if not told:
        busy = f"{len(waiting)} of {len(checked)} not checked yet"
        return (Condition("Healthy", status=False, reason="Progressing", message=busy),)
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return (Condition("Healthy", status=False, reason="Unhealthy", message=told[0] + more),)
