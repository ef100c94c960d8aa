"""The order of deployments: `dependsOn` when they are made, and the other way round at the end."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from headwater.planning.status import DeploymentStatus

if TYPE_CHECKING:
    from headwater.planning.situation import Situation


class Until(Enum):
    """What ends a wait."""

    PROGRESS = auto()
    """It passes by itself."""
    PERSON = auto()
    """Somebody has to say yes, or to change a manifest."""
    REPAIR = auto()
    """The other one has failed."""


@dataclass(frozen=True, slots=True)
class Wait:
    why: str
    until: Until = Until.PROGRESS


def waits(situation: "Situation") -> tuple[Wait, ...]:
    """Why nothing is made yet, or nothing removed; of no concern to what was made already."""
    begun = situation.desired is not None and (situation.machines or situation.incarnations)
    return () if begun else situation.waits


def for_dependencies(
    names: Iterable[str], statuses: Mapping[str, DeploymentStatus], revision: str
) -> Iterator[Wait]:
    """One for each that is not Ready, as `revision` wants it."""
    for name in names:
        status = statuses.get(name)
        if status is None or status.observed_revision != revision:
            yield Wait(f"waits for {name}, which has not been looked at yet")
        elif not status.is_ready:
            why, until = _trouble(status)
            yield Wait(f"waits for {name}: {why}", until)


def _trouble(status: DeploymentStatus) -> tuple[str, Until]:
    """The first that applies."""
    if status.suspended:
        return f"it is suspended: {status.suspended}", Until.PERSON
    if status.held_up:
        return status.held_up, Until.PERSON
    if (stalled := status.condition("Stalled")) and stalled.status:
        return stalled.message or stalled.reason, Until.REPAIR
    return f"{status.phase.value}, {status.ready}/{status.desired} ready", Until.PROGRESS


def for_dependents(names: Iterable[str], removed: Iterable[str]) -> Iterator[Wait]:
    """One for each that is still there; those that are `removed` too go first."""
    going = frozenset(removed)
    for name in names:
        if name in going:
            yield Wait(f"{name} depends on it and goes first")
        else:
            words = f"{name} is still there and depends on it: remove that, or its 'dependsOn'"
            yield Wait(words, Until.PERSON)
