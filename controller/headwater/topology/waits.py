"""Which waiting gets will never be answered, and why. Pure.

What is told is what would have happened anyway, only sooner: a get whose value nobody can set any
more ends as if its timeout had passed. In a circle of waits nothing would happen until the first
timeout, so that get ends, its recipe goes on (with its fallback, or to its end), and the others
wait on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.parameters import GIVEN, Source

ABSENT = "is not in the deployment"


@dataclass(frozen=True, slots=True)
class Wait:
    """A get that waits: question `id` of a machine."""

    machine: MachineId
    id: int
    asker: InstanceKey
    missing: tuple[Source, ...]
    """All that must be set before it is answered."""
    until: datetime | None
    """When it gives up by itself; None for never."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """Who may still set the values of an instance."""

    busy: frozenset[MachineId]
    """Machines that run its recipes now."""
    later: bool = False
    """A machine is about to run them, or to run them again."""
    end: str = ""
    """Why nobody does where nobody does: `has ...`, of the instance."""


@dataclass(frozen=True, slots=True)
class Futile:
    wait: Wait
    why: str


def futile(
    waits: Iterable[Wait],
    prospects: Mapping[InstanceKey, Prospect],
    only: Mapping[MachineId, frozenset[int]],
) -> list[Futile]:
    """The gets to end now, those that end by themselves first first.

    `only`: the questions without whose answer nothing goes on at all on a machine.
    """
    left = list(waits)
    asked = {(wait.machine, wait.id) for wait in left}
    stuck = {
        machine: ids
        for machine, ids in only.items()
        if ids and all((machine, id) in asked for id in ids)
    }
    found: list[Futile] = []
    while more := _Graph(left, prospects, stuck).ended():
        found += more
        ended = {each.wait for each in more}
        left = [wait for wait in left if wait not in ended]
        # Whoever is answered goes on.
        stuck = {m: ids for m, ids in stuck.items() if m not in {wait.machine for wait in ended}}
    return found


class _Graph:
    """One look: gets wait for instances, instances' machines for their gets."""

    def __init__(
        self,
        waits: Iterable[Wait],
        prospects: Mapping[InstanceKey, Prospect],
        stuck: Mapping[MachineId, frozenset[int]],
    ) -> None:
        self._waits = list(waits)
        self._prospects = prospects
        self._stuck: dict[MachineId, list[Wait]] = {machine: [] for machine in stuck}
        for wait in self._waits:
            if wait.id in stuck.get(wait.machine, ()):
                self._stuck[wait.machine].append(wait)
        self._moving: set[MachineId] = set()
        while more := {
            machine
            for machine, own in self._stuck.items()
            if machine not in self._moving and any(self._has_hope(wait) for wait in own)
        }:
            self._moving |= more

    def ended(self) -> list[Futile]:
        """All gets that only their own timeout can end, or the first one of a circle."""
        hopeless = [wait for wait in self._waits if not self._has_hope(wait)]
        sealed = [wait for wait in hopeless if self._sealed(wait) is not None]
        first = sorted(hopeless, key=_patience)[:1]
        return [Futile(wait, self._why(wait)) for wait in sealed or first]

    def _has_hope(self, wait: Wait) -> bool:
        return all(self._may_be_set(source) for source in wait.missing)

    def _may_be_set(self, source: Source) -> bool:
        key, name = source
        prospect = self._prospects.get(key)
        if prospect is None:
            return False
        if name in GIVEN or prospect.later:
            return True
        return any(m not in self._stuck or m in self._moving for m in prospect.busy)

    def _sealed(self, wait: Wait) -> Source | None:
        """What is missing and has no writer left at all."""
        for source in wait.missing:
            if not self._may_be_set(source):
                prospect = self._prospects.get(source[0])
                if prospect is None or not prospect.busy:
                    return source
        return None

    def _why(self, wait: Wait) -> str:
        key, name = self._sealed(wait) or self._next(wait)
        wanted = f"{key.instance}:{name} will never be set: "
        prospect = self._prospects.get(key)
        if prospect is None or not prospect.busy:
            return f"{wanted}{key.instance} {prospect.end if prospect else ABSENT}"
        if key == wait.asker:
            return f"{wanted}{key.instance} waits for its own value"
        return wanted + ", ".join(self._circle(wait))

    def _circle(self, wait: Wait) -> Iterator[str]:
        """Who waits for whom, until one comes up again."""
        seen: set[Wait] = set()
        while wait not in seen:
            seen.add(wait)
            key, name = self._next(wait)
            yield f"{wait.asker.instance} waits for {key.instance}:{name}"
            [machine, *_] = sorted(self._prospects[key].busy)
            wait = min(self._stuck[machine], key=_patience)

    def _next(self, wait: Wait) -> Source:
        return next(source for source in wait.missing if not self._may_be_set(source))


def _patience(wait: Wait) -> tuple[object, ...]:
    """Orders by when a get gives up; those that never do come last."""
    return (wait.until is None, wait.until, wait.asker, wait.id)
