"""The live set, and who is yet to be told that it changed: onInstanceAdd, onInstanceRemove.

Level-triggered: every machine is asked about the difference between the set that its hooks were
last told of and the present one, so that changes merge, and none is told twice or lost.
"""

from collections.abc import Iterator, Mapping

from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import RunTask
from headwater.planning.asking import silence
from headwater.planning.records import Live
from headwater.planning.seats import ALIVE, Seat, seats
from headwater.planning.situation import Situation
from headwater.topology.machines import Machine

KINDS = (RecipeKind.ON_INSTANCE_REMOVE, RecipeKind.ON_INSTANCE_ADD)
"""In the order in which a machine is asked."""


def advanced(situation: Situation) -> Live:
    """The live set as it is now; it is counted from the first rest of a run on.

    What a listing may lack has not gone.
    """
    live, run = situation.tasks.live, situation.run
    rested = live.number or run.ended or run.number > 1
    unsure = situation.desired is None or situation.incomplete or situation.limbo
    if unsure or not rested or not any(h.has(*KINDS) for h in situation.tasks.hooks.values()):
        return live
    now, before = _members(situation), live.sets.get(live.number, {})
    if live.number and now == before:
        return live
    number = live.number + 1
    joined = {
        name: live.joined.get(name, number) if before.get(name) == incarnation else number
        for name, incarnation in now.items()
    }
    heard = {_heard(machine, Live(number, {}, joined), situation) for machine in situation.machines}
    sets = {at: members for at, members in live.sets.items() if at in heard}
    return Live(number, {**sets, number: now}, joined)


def _members(situation: Situation) -> dict[str, int]:
    """Whose work is done, and who was live and is still there: a re-run is no departure."""
    live, members = situation.tasks.live, dict[str, int]()
    before = live.sets.get(live.number, {})
    for machine in situation.machines:
        name, incarnation = machine.key.instance, machine.tags.incarnation
        record = situation.records.get(machine.id)
        done = record is not None and record.is_in_order
        if machine.state in ALIVE and (done or before.get(name) == incarnation):
            members[name] = max(incarnation, members.get(name, 0))
    return members


def _heard(machine: Machine, live: Live, situation: Situation) -> int:
    """The number of the set that the machine knows: a newcomer knows the one it came with."""
    known = situation.tasks.machines.get(machine.id)
    return max(known.told if known else 0, live.joined.get(machine.key.instance, live.number))


def changes(situation: Situation) -> Iterator[RunTask]:
    """What the machines that serve are to be told; one task at a time for each and its kind."""
    live = situation.tasks.live
    for seat in seats(situation).values() if live.number else ():
        hooks = situation.tasks.hooks.get(seat.spec.key.node)
        if hooks is None or not hooks.has(*KINDS) or not _listens(seat, situation):
            continue
        machine = seat.current
        if machine is None or (heard := _heard(machine, live, situation)) == live.number:
            continue
        before, now = live.sets.get(heard, {}), live.sets[live.number]
        own = machine.key.instance
        came, went = _difference(now, before, own), _difference(before, now, own)
        for kind, names in ((KINDS[0], went), (KINDS[1], came)):
            if names and hooks.has(kind):
                yield _told(machine, kind, names, came & went, live.number)


def _listens(seat: Seat, situation: Situation) -> bool:
    """It serves, can be talked to, and has ended what it was told before."""
    if seat.current is None or not seat.ready or silence(seat.current, seat.record):
        return False
    asked = situation.tasks.asked(seat.current.id)
    return all(task.has_ended for task in asked if task.kind in KINDS)


def _difference(of: Mapping[str, int], without: Mapping[str, int], own: str) -> set[str]:
    return {name for name, number in of.items() if without.get(name) != number} - {own}


def _told(
    machine: Machine, kind: RecipeKind, names: set[str], both: set[str], number: int
) -> RunTask:
    added = kind is RecipeKind.ON_INSTANCE_ADD
    change = "replace" if names <= both else "add" if added else "remove"
    instances = tuple(sorted(names, key=_natural))
    return RunTask(
        machine=machine,
        id=f"task_live-{number}_{'added' if added else 'removed'}",
        kind=kind,
        reason=f"{' '.join(instances)} {'came' if added else 'went'}",
        instances=instances,
        change=change,
        told=number,
    )


def _natural(instance: str) -> tuple[str, int]:
    """`wn.2` comes before `wn.10`."""
    node, _, index = instance.rpartition(".")
    return node, int(index)
