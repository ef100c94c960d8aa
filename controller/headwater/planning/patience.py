"""How long a run waits for what only a cloud or a machine can tell."""

from collections.abc import Iterator
from datetime import datetime

from headwater.planning.records import WorkState, later
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.planning.waits import waits
from headwater.topology.keys import InstanceKey

WORD_GRACE = 60.0
"""Seconds for the word of an agent, which stops its recipes itself when their time is up."""


def overdue(seat: Seat, situation: Situation) -> str:
    """Why it has kept the run waiting too long, in words; empty while it has not."""
    due = _due(seat, situation)
    late = due is not None and situation.now >= due
    return _words(seat, situation) if late else ""


def limits(situation: Situation) -> Iterator[datetime]:
    """When that may come true although nothing happens."""
    for seat in seats(situation).values():
        due = _due(seat, situation)
        if due is not None and due > situation.now:
            yield due


def _due(seat: Seat, situation: Situation) -> datetime | None:
    desired, record, started = situation.desired, seat.record, situation.run.started
    if desired is None or situation.suspended:
        return None
    if record is not None and record.state is WorkState.RUNNING and record.begun is not None:
        return later(max(record.begun, started), desired.execute_timeout + WORD_GRACE)
    comes = seat.alive or waits(situation)
    if desired.is_test and not comes and _never_was(seat.spec.key, situation):
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
