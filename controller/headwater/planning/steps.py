"""What became of each step of a run's recipes, from our own records."""

from collections.abc import Iterator

from headwater.planning.failure import explain
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.planning.status import StepView

MACHINE = "machine"
"""Stands for all that comes before an instance's recipes."""


def steps(situation: Situation) -> tuple[StepView, ...]:
    """One row per step of every instance, in the order in which they run."""
    return tuple(
        view for seat in seats(situation).values() for view in _of_seat(seat, situation.run.abort)
    )


def _of_seat(seat: Seat, abort: str) -> Iterator[StepView]:
    record, instance = seat.record, seat.spec.key.instance
    component = seat.spec.work.steps[0].origin if seat.spec.work.steps else ""
    came = record is not None and record.begun is not None
    if record is not None and record.state is WorkState.SUCCEEDED:
        came = True
    message = "" if came else _why_not(seat, abort)
    yield StepView(instance, MACHINE, component, "passed" if came else "failed", message=message)
    for position, step in enumerate(seat.spec.work.steps):
        result = _result(record, position) if record is not None and came else "skipped"
        failed = record is not None and result == "failed"
        yield StepView(
            instance=instance,
            step=step.name,
            component=step.origin,
            result=result,
            exit_code=record.exit_code if record and failed else None,
            message=explain(record) if record and failed else "",
            seconds=record.seconds if record else 0.0,
        )


def _result(record: Record, position: int) -> str:
    if record.state is WorkState.SUCCEEDED or position < record.position:
        return "passed"
    return "failed" if position == record.position else "skipped"


def _why_not(seat: Seat, abort: str) -> str:
    if seat.record is not None and (seat.record.words or seat.record.trouble):
        return seat.record.words or seat.record.trouble
    return abort or "no machine came up"
