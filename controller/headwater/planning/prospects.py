"""Who may still set the values of each instance: what a waiting get can hope for."""

from headwater.planning.records import Record, WorkState
from headwater.planning.seats import Seat, seats, staleness
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey
from headwater.topology.waits import Prospect

SILENT = "has ended its recipes without setting it"
FAILED = "has failed without setting it"


def prospects(situation: Situation) -> dict[InstanceKey, Prospect]:
    """Of every instance that is wanted. A value is set before the recipes end, or never."""
    return {key: _prospect(seat, situation) for key, seat in seats(situation).items()}


def _prospect(seat: Seat, situation: Situation) -> Prospect:
    machines = [seat.current] if seat.current else []
    busy = frozenset(
        machine.id
        for machine in (*machines, *seat.outdated, *seat.spare)
        if (record := situation.records.get(machine.id)) and record.state is WorkState.RUNNING
    )
    failed = seat.record is not None and seat.record.state is WorkState.FAILED
    return Prospect(
        busy=busy,
        later=seat.spec.key in situation.limbo or _will_run(seat, situation),
        end=FAILED if failed else SILENT,
    )


def _will_run(seat: Seat, situation: Situation) -> bool:
    """Some machine of the instance has recipes to run that have not begun."""
    record = seat.record
    if seat.current is None or record is None:
        return True
    match record.state:
        case WorkState.WAITING:
            return True
        case WorkState.RUNNING:
            return False
        case WorkState.FAILED:
            return record.reason == "interrupted" or record.run < situation.run.number
        case WorkState.SUCCEEDED:
            return record.is_adopted or _runs_again(record, seat, situation)


def _runs_again(record: Record, seat: Seat, situation: Situation) -> bool:
    desired = situation.desired
    ignored = desired is None or desired.update.on_recipe_change == "ignore"
    return not ignored and bool(staleness(record, seat.spec, situation))
