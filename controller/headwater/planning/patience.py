"""How long a run waits for what only a cloud or a machine can tell."""

from collections.abc import Iterator
from datetime import datetime

from headwater.planning.records import WorkState, later
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey

WORD_GRACE = 60.0
"""Seconds for the word of an agent, which stops its recipes itself when their time is up."""


def overdue(situation: Situation) -> str:
    """Who kept the run waiting too long, in words; empty while nobody has."""
    for key, seat in _waited_for(situation):
        if (due := _due(key, seat, situation)) is not None and situation.now >= due:
            return f"{key.instance}: {_words(seat, situation)}"
    return ""


def limits(situation: Situation) -> Iterator[datetime]:
    """When that may come true although nothing happens."""
    for key, seat in _waited_for(situation):
        if (due := _due(key, seat, situation)) is not None:
            yield due


def _waited_for(situation: Situation) -> Iterator[tuple[InstanceKey, Seat]]:
    if not situation.suspended:
        yield from seats(situation).items()


def _due(key: InstanceKey, seat: Seat, situation: Situation) -> datetime | None:
    desired, record, started = situation.desired, seat.record, situation.run.started
    if desired is None:
        return None
    if record is not None and record.state is WorkState.RUNNING and record.begun is not None:
        return later(max(record.begun, started), desired.execute_timeout + WORD_GRACE)
    if desired.is_test and not seat.alive and _never_was(key, situation):
        return later(started, desired.provision_timeout)
    return None


def _never_was(key: InstanceKey, situation: Situation) -> bool:
    """No machine of this run has played it; a service waits for one as long as it takes."""
    return situation.incarnations.get(key, 0) <= situation.ended.get(key, 0)


def _words(seat: Seat, situation: Situation) -> str:
    desired, record = situation.desired, seat.record
    if desired is None:
        return ""
    if record is None:
        return f"no machine within {desired.provision_timeout:g} s"
    why = record.trouble or "its agent is silent"
    limit = f"{desired.execute_timeout:g} s and {WORD_GRACE:g} s more"
    return f"{record.step} told no end within {limit}: {why}"
