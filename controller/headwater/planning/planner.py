"""The decision: what to do next to bring what is observed closer to what is desired."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headwater.planning.actions import (
    Action,
    Contextualise,
    Create,
    RunTask,
    Terminate,
)
from headwater.planning.budget import Budget, budget
from headwater.planning.decisions import decision, order
from headwater.planning.failure import tolerated
from headwater.planning.health import replaceable, unsound
from headwater.planning.lifecycle import ending
from headwater.planning.prices import Price
from headwater.planning.records import WorkState
from headwater.planning.seats import (
    ADOPTED,
    MACHINE_CHANGED,
    Seat,
    has_served,
    has_succeeded,
    seats,
    staleness,
)
from headwater.planning.situation import DOUBT, Situation
from headwater.planning.volume_rows import remarks
from headwater.planning.volumes import (
    departures,
    fitted,
    fittings,
    mounts,
    obstacle,
    replugged,
    unplugged,
    with_volumes,
)
from headwater.planning.waits import waits
from headwater.topology.digests import digest
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine, MachineState

ORPHANED = "its machines are left alone (deletionPolicy = orphan)"


@dataclass(frozen=True, slots=True)
class Plan:
    deployment: str
    actions: tuple[Action, ...]
    held: tuple[str, ...] = ()
    """What is wanted and not done now, each with its reason."""
    short: tuple[str, ...] = ()
    """What no cloud has room for: a person must make some."""
    withheld: tuple[Action, ...] = ()
    """What waits for an approval."""
    blocked: str = ""
    """Why that waits, and how to approve it; empty when nothing does."""
    approval: str = ""
    """The digest by which a person let it through; empty where no approval was needed."""
    approved: frozenset[str] = frozenset()
    """The rules of the guard that the approval let it through."""
    price: Price | None = None
    """Per hour; None where nobody has asked."""
    tasks: tuple[RunTask, ...] = ()
    """Work beside: no decision, so that no digest, limit or approval looks at it."""
    kept: tuple[str, ...] = ()
    """Volumes that are not as the manifest says, and stay: a person may want to know."""

    @property
    def digest(self) -> str:
        """Of the decisions alone: the same before and after a merge.

        Where some wait for an approval, of those alone: what the others do meanwhile is no reason
        to be asked again.
        """
        decisions = [decision(action) for action in self.withheld or self.actions]
        return digest([self.deployment, decisions])


def plan(situation: Situation) -> Plan:
    """The next actions; none when there is nothing left to do."""
    if (reasons := _standstill(situation)) is not None:
        return Plan(situation.deployment, (), reasons)
    if situation.desired is None:
        return _finish(situation, _all_of(situation), [])
    if (ends := ending(situation)) is not None:
        return _finish(situation, [*ends, *departures(situation)], [])
    if obstacles := (*situation.problems, *situation.unavailable):
        return _finish(situation, [], list(obstacles))
    return _followed(situation)


def _standstill(situation: Situation) -> tuple[str, ...] | None:
    """Why nothing is done at all; None where something may be."""
    if situation.suspended:
        return (f"suspended: {situation.suspended}",)
    if situation.desired is None and situation.run.orphan:
        return (ORPHANED,) if situation.machines else ()
    if ending(situation) is None and (held_up := waits(situation)):
        return tuple(wait.why for wait in held_up)
    return None


def _followed(situation: Situation) -> Plan:
    """What the manifest asks for."""
    every = seats(situation)
    actions = [*_unwanted(situation, every), *departures(situation)]
    held: list[str] = []
    for key, seat in every.items():
        actions += _settle(key, seat, situation, held)
    if not situation.run.abort:
        actions += _heal(situation, every, held)
        actions += _update(situation, every, held)
    return _finish(situation, actions, held)


def _finish(situation: Situation, actions: list[Action], held: list[str]) -> Plan:
    """Could not read is not empty: an incomplete listing creates and deletes nothing."""
    if situation.incomplete:
        kept: list[Action] = [action for action in actions if isinstance(action, Contextualise)]
        if len(kept) < len(actions):
            held = [*held, f"nothing is created or deleted: {situation.incomplete}"]
        actions = kept
    actions = sorted(with_volumes(actions, situation), key=order)
    return Plan(situation.deployment, tuple(actions), tuple(held), kept=remarks(situation))


def _all_of(situation: Situation) -> list[Action]:
    ends = (
        Terminate(machine, "the deployment is no longer in the repository")
        for machine in situation.machines
        if machine.state is not MachineState.STOPPING
    )
    return [*ends, *departures(situation)]


def _unwanted(situation: Situation, every: Mapping[InstanceKey, Seat]) -> Iterator[Action]:
    """Machines of ours that no instance of the manifest asks for."""
    nodes = situation.desired.nodes if situation.desired else {}
    for machine in situation.machines:
        if machine.key in every or machine.state is MachineState.STOPPING:
            continue
        node = machine.key.node
        wanted = f"{node} has {len(nodes[node])} instances now" if node in nodes else ""
        yield Terminate(machine, wanted or f"node {node} is no longer in the manifest")


def _settle(
    key: InstanceKey, seat: Seat, situation: Situation, held: list[str]
) -> Iterator[Action]:
    """What takes nothing from anybody: bring up what is missing, clear what is dead or doubled."""
    yield from _surplus(key, seat, situation)
    if situation.run.abort:
        return
    for machine in seat.dead:
        yield Terminate(machine, machine.told(f"the machine is {machine.state.value}"))
    if seat.current is not None:
        yield from fitted(seat, situation, held)
        reason = _unfinished(seat, situation)
        if reason and not unplugged(seat, situation):
            yield _contextualise(seat, situation, reason)
    elif why := _wait_for(key, seat, situation):
        held.append(f"{key.instance}: {why}; looking again")
    elif not seat.outdated and key.instance not in situation.run.refused:
        yield _create(seat, situation, _why_missing(key, seat, situation))


def _surplus(key: InstanceKey, seat: Seat, situation: Situation) -> Iterator[Action]:
    """One machine is enough for an instance, once it is known to serve where another one may."""
    records = situation.records
    if seat.ready or (seat.current and seat.spec.volumes):  # Two cannot have the same volume.
        for machine in seat.outdated:
            yield Terminate(machine, f"replaced by incarnation {_incarnation(seat.current)}")
    else:
        known = bool(seat.outdated) and has_succeeded(seat.outdated[0], records)
        for machine in seat.outdated[1:]:
            if known or not has_served(machine, records):
                yield Terminate(machine, f"incarnation {_incarnation(seat.outdated[0])} is enough")
    for machine in seat.spare:
        if seat.ready or not has_served(machine, records):
            yield Terminate(
                machine, f"incarnation {_incarnation(seat.current)} plays {key.instance}"
            )


def _wait_for(key: InstanceKey, seat: Seat, situation: Situation) -> str:
    """Why an instance without a machine gets none yet."""
    if key in situation.limbo:
        return "its machine was missing once"
    if not seat.outdated and in_doubt(key, situation):
        return "its creation has had no answer"
    return obstacle(seat.spec, situation)


def in_doubt(key: InstanceKey, situation: Situation) -> bool:
    """A creation without an answer is not repeated before it would show in a listing."""
    since = situation.doubts.get(key)
    return since is not None and situation.now - since < DOUBT


def _why_missing(key: InstanceKey, seat: Seat, situation: Situation) -> str:
    if seat.dead:
        return seat.dead[0].told(f"repair: the machine is {seat.dead[0].state.value}")
    return "repair: the machine is gone" if key in situation.incarnations else "new"


def _unfinished(seat: Seat, situation: Situation) -> str:
    """Why a machine that does not serve is given its recipes (again)."""
    machine, record = seat.current, seat.record
    if machine is None or not machine.is_reachable:
        return ""
    if record is None:
        return "new machine"
    if record.state is WorkState.FAILED:
        if record.reason == "interrupted":
            return "interrupted by a restart of the machine"
        return "retry" if record.run < situation.run.number else ""
    if record.state is WorkState.SUCCEEDED:
        return unsound(seat, situation) or replugged(seat, situation)
    other = record.work_digest != seat.spec.work.digest
    return staleness(record, seat.spec, situation) if other else ""


def _heal(
    situation: Situation, every: Mapping[InstanceKey, Seat], held: list[str]
) -> Iterator[Action]:
    """A machine that was in order and is not any more serves nobody: it goes first."""
    for seat, words in replaceable(situation, every, held):
        if why := obstacle(seat.spec, situation):
            held.append(f"{seat.spec.key.instance}: unhealthy, and {why}")
            continue
        if seat.current is not None:
            yield Terminate(seat.current, f"unhealthy: {words}")
        if not (seat.outdated or seat.spare):  # else another one plays it, or is replaced anew
            yield _create(seat, situation, f"unhealthy: {words}")


def _update(
    situation: Situation, every: Mapping[InstanceKey, Seat], held: list[str]
) -> Iterator[Action]:
    """What takes a serving machine away for a while: within the limits, node by node."""
    desired = situation.desired
    if desired is None:
        return
    first = [node for node in desired.update.order if node in desired.nodes]
    waits_for, lost = "", tolerated(situation)
    for node in [*first, *(node for node in desired.nodes if node not in first)]:
        mine = [every[key] for key in desired.nodes[node] if key not in lost]
        stale = [(seat, reason) for seat in mine if (reason := _stale(seat, situation))]
        if stale and waits_for:
            held.append(f"{node}: {len(stale)} to update, after {waits_for}")
            continue
        left = budget(mine, desired.update, situation.limbo)
        for seat, reason in stale:
            yield from _change(seat, reason, situation, left)
        if left.short:
            held.append(f"{node}: {left.short} more to update, within the limits")
        if node in first and (stale or not all(seat.ready for seat in mine)):
            waits_for = waits_for or node


def _stale(seat: Seat, situation: Situation) -> str:
    if seat.outdated and seat.current is None:
        if seat.spec.key in situation.limbo:
            return ""
        record = situation.records.get(seat.outdated[0].id)
        return (staleness(record, seat.spec, situation) if record else "") or MACHINE_CHANGED
    if seat.record is not None and seat.record.is_adopted:
        return ADOPTED
    if seat.record is None or not seat.ready or seat.outdated:
        return ""
    ignored = situation.desired is None or situation.desired.update.on_recipe_change == "ignore"
    return "" if ignored else staleness(seat.record, seat.spec, situation)


def _change(seat: Seat, reason: str, situation: Situation, left: Budget) -> Iterator[Action]:
    """Replace (make before break where a surge is allowed) or run the recipes again.

    A volume is on one machine at a time: its instance breaks before it is made again.
    """
    moves = bool(seat.spec.volumes)
    if seat.current is not None:
        if not unplugged(seat, situation) and left.take_away():
            yield _contextualise(seat, situation, reason)
    elif moves and obstacle(seat.spec, situation):
        left.short += 1  # `_settle` says why
    elif not moves and seat.may_serve and left.take_extra(doubled=_is_doubled(seat, situation)):
        yield _create(seat, situation, f"replace: {reason}", replaces=True)
    elif not seat.may_serve or left.take_break(absent=not seat.available, must=moves):
        yield Terminate(seat.outdated[0], f"replace: {reason}")
        yield _create(seat, situation, f"replace: {reason}")


def _is_doubled(seat: Seat, situation: Situation) -> bool:
    """More than one of its machines stays: nobody knows which one serves."""
    records = situation.records
    stay = sum(has_served(machine, records) for machine in seat.outdated)
    return stay > 1 and not has_succeeded(seat.outdated[0], records)


def _create(seat: Seat, situation: Situation, reason: str, *, replaces: bool = False) -> Create:
    key = seat.spec.key
    known = (*seat.outdated, *seat.dead, *seat.leaving, *seat.spare, seat.current)
    seen = [machine.tags.incarnation for machine in known if machine]
    last = max([situation.incarnations.get(key, 0), *seen])
    return Create(seat.spec, last + 1, reason, replaces, fittings(seat.spec, situation.stock))


def _contextualise(seat: Seat, situation: Situation, reason: str) -> Contextualise:
    if seat.current is None:
        raise ValueError(f"{seat.spec.key} has no machine to contextualise")
    generation = seat.record.generation + 1 if seat.record else 1
    plugged = mounts(seat, situation)
    return Contextualise(seat.current, seat.spec, generation, reason, plugged)


def _incarnation(machine: Machine | None) -> int:
    return machine.tags.incarnation if machine else 0
