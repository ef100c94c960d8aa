"""Each wanted instance with the machines that play it, sorted into named buckets."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headwater.planning.records import Record
from headwater.planning.situation import Situation
from headwater.topology.desired import InstanceSpec
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine, MachineState

MACHINE_CHANGED = "image, size, cloud or network changed"
RECIPE_CHANGED = "recipe or inputs changed"
ADOPTED = "found by its tags; its agent is asked what it has run"

ALIVE = frozenset({MachineState.PENDING, MachineState.RUNNING, MachineState.UNKNOWN})
DEAD = frozenset({MachineState.STOPPED, MachineState.FAILED})


@dataclass(frozen=True, slots=True)
class Seat:
    """One wanted instance. `current` is the machine that matches the specification."""

    spec: InstanceSpec
    current: Machine | None
    record: Record | None
    """Of the current machine."""
    outdated: tuple[Machine, ...]
    """Alive, but of another specification; one that serves comes first."""
    spare: tuple[Machine, ...]
    """Alive and matching, but one is enough."""
    dead: tuple[Machine, ...]
    leaving: tuple[Machine, ...]
    outdated_serves: bool
    """One of the outdated machines is in order and still serves."""
    may_serve: bool
    """One of them does, or did and has not begun anew what it was told to."""

    @property
    def ready(self) -> bool:
        """Its machine has been contextualised, and its check holds where there is one."""
        return self._is_available and not (self.record and self.record.is_adopted)

    @property
    def _is_available(self) -> bool:
        return self.record is not None and self.record.is_in_order

    @property
    def available(self) -> bool:
        """Some machine is in order and serves, of this revision or the one before."""
        return self.outdated_serves or self._is_available

    @property
    def alive(self) -> int:
        return (self.current is not None) + len(self.outdated) + len(self.spare)


def seats(situation: Situation) -> Mapping[InstanceKey, Seat]:
    """Every wanted instance's seat, in the order of the manifest.

    A pass asks a dozen times for the same ones: the last answer is kept.
    """
    global _last  # noqa: PLW0603  # one answer of a pure function
    on = (situation.desired, situation.machines, situation.records, situation.inputs)
    asked, answer = _last
    if not all(map(operator.is_, asked, on)):
        answer = _seats(situation)
        _last = (on, answer)
    return answer


_last: tuple[tuple[object, ...], Mapping[InstanceKey, Seat]] = ((object(),) * 4, {})


def _seats(situation: Situation) -> Mapping[InstanceKey, Seat]:
    if situation.desired is None:
        return {}
    by_key = group(situation.machines)
    return {
        key: _seat(spec, by_key.get(key, ()), situation)
        for key, spec in situation.desired.instances.items()
    }


def group(machines: Iterable[Machine]) -> dict[InstanceKey, list[Machine]]:
    grouped: dict[InstanceKey, list[Machine]] = {}
    for machine in machines:
        grouped.setdefault(machine.key, []).append(machine)
    return grouped


def _seat(spec: InstanceSpec, machines: Iterable[Machine], situation: Situation) -> Seat:
    records = situation.records
    alive = [machine for machine in machines if machine.state in ALIVE]
    outdated = [machine for machine in alive if _is_outdated(machine, spec, situation)]
    matching = [machine for machine in alive if machine not in outdated]
    if len(matching) > 1:  # Rare; and every pass comes here for every instance.
        matching.sort(key=lambda machine: _preference(machine, spec, situation))
    current = matching[0] if matching else None
    return Seat(
        spec=spec,
        current=current,
        record=records.get(current.id) if current else None,
        outdated=tuple(sorted(outdated, key=lambda machine: _usefulness(machine, records))),
        spare=tuple(matching[1:]),
        dead=tuple(sorted(_in(DEAD, machines), key=lambda machine: machine.id)),
        leaving=tuple(_in({MachineState.STOPPING}, machines)),
        outdated_serves=any(
            has_succeeded(machine, records, adopted=current is None) for machine in outdated
        ),
        may_serve=any(_serves(machine, records) for machine in outdated),
    )


def _in(states: Iterable[MachineState], machines: Iterable[Machine]) -> list[Machine]:
    return [machine for machine in machines if machine.state in states]


def has_succeeded(
    machine: Machine, records: Mapping[MachineId, Record], *, adopted: bool = False
) -> bool:
    """`adopted`: one of before the ledger counts too."""
    record = records.get(machine.id)
    done = record is not None and record.is_in_order
    return done and (adopted or not _is_adopted(machine, records))


def _is_adopted(machine: Machine, records: Mapping[MachineId, Record]) -> bool:
    record = records.get(machine.id)
    return record is not None and record.is_adopted


def _usefulness(machine: Machine, records: Mapping[MachineId, Record]) -> tuple[object, ...]:
    """Orders outdated machines by it: the one that serves, and of several the newest, comes first.

    An older one may be on its way out already.
    """
    return (
        not _serves(machine, records),
        _is_adopted(machine, records),
        -machine.tags.incarnation,
        *_age(machine),
    )


def has_served(machine: Machine, records: Mapping[MachineId, Record]) -> bool:
    """It may serve, or will again; or it is older than the ledger, and nobody knows."""
    record = records.get(machine.id)
    return record is not None and record.has_served


def _serves(machine: Machine, records: Mapping[MachineId, Record]) -> bool:
    record = records.get(machine.id)
    return record is not None and record.serves


def _preference(machine: Machine, spec: InstanceSpec, situation: Situation) -> tuple[object, ...]:
    """The oldest healthy one is kept (semantics.md 1), if it can be one that needs no re-run."""
    record = situation.records.get(machine.id)
    return (
        not _serves(machine, situation.records),
        _is_adopted(machine, situation.records),
        record is not None and bool(staleness(record, spec, situation)),
        machine.state is not MachineState.RUNNING,
        *_age(machine),
    )


def _age(machine: Machine) -> tuple[object, ...]:
    """Orders by it: the oldest first."""
    return (machine.created is None, machine.created, machine.tags.incarnation, machine.id)


def _is_outdated(machine: Machine, spec: InstanceSpec, situation: Situation) -> bool:
    if machine.tags.machine_digest != spec.machine_digest or machine.id.cloud != spec.machine.cloud:
        return True
    policy = situation.desired.update.on_recipe_change if situation.desired else ""
    record = situation.records.get(machine.id)
    return policy == "replace" and record is not None and bool(staleness(record, spec, situation))


def staleness(record: Record, spec: InstanceSpec, situation: Situation) -> str:
    """Why what the machine has run is not what is wanted now; empty when it is.

    An input counts once it was told: a value that appears after the recipes have ended was not
    read by them.
    """
    if record.is_adopted:
        return ""
    if record.work_digest != spec.work.digest:
        return RECIPE_CHANGED
    present = situation.inputs.get(spec.key, {})
    changed = [
        name
        for name, told in sorted(record.inputs.items())
        if name in present and present[name] != told
    ]
    return f"input {', '.join(changed)} changed" if changed else ""
