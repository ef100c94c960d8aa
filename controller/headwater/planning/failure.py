"""Why a run fails, in the words of what failed first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from headwater.planning import health
from headwater.planning.patience import overdue
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import MachineState


def failure(situation: Situation) -> str:
    """Why the present run fails: the first instance's own words; empty when it does not.

    A node of which some may fail fails with the first that is too many.
    """
    found, tolerate = failures(situation), _limits(situation)
    counts = _by_node(found)
    for key, why in found.items():
        count, limit = counts[key.node], tolerate.get(key.node, 0)
        if count > limit:
            also = f"; {count} of node {key.node} have failed, and {limit} may" if limit else ""
            return f"{key.instance}: {why}{also}"
    return ""


def tolerated(situation: Situation) -> Mapping[InstanceKey, str]:
    """The instances that have failed and may: the run goes on without them; with the reasons."""
    tolerate = _limits(situation)
    if not tolerate:
        return {}
    found = failures(situation)
    counts = _by_node(found)
    return {key: why for key, why in found.items() if counts[key.node] <= tolerate.get(key.node, 0)}


def _limits(situation: Situation) -> Mapping[str, int]:
    return situation.desired.tolerate if situation.desired else {}


def _by_node(keys: Iterable[InstanceKey]) -> Counter[str]:
    return Counter(key.node for key in keys)


def failures(situation: Situation) -> dict[InstanceKey, str]:
    """Every instance that has failed in the present run, and why.

    A recipe that fails is not tried again until a new commit or a retry says so; a machine that
    was restarted under a running recipe is.
    """
    return {key: why for key, seat in seats(situation).items() if (why := _failed(seat, situation))}


def _failed(seat: Seat, situation: Situation) -> str:
    record, limit = seat.record, deadline(seat, situation)
    if seat.current is None and (why := situation.run.refused.get(seat.spec.key.instance, "")):
        return why
    if late := overdue(seat, situation):
        return late
    if limit is not None and situation.now >= limit and situation.desired is not None:
        seconds = int(situation.desired.provision_timeout)
        return f"no contact within {seconds} s: {_silence(seat)}"
    if unhealthy := health.failure(seat, situation):
        return unhealthy
    if record is None or record.state is not WorkState.FAILED:
        return ""
    mine = record.run == situation.run.number and record.reason != "interrupted"
    return explain(record) if mine else ""


def deadline(seat: Seat, situation: Situation) -> datetime | None:
    """When a machine that has not answered yet counts as failed; None where none is awaited.

    A new run gives it all the time again.
    """
    machine, record = seat.current, seat.record
    if situation.desired is None or machine is None:
        return None
    if record is None:
        lacks = not machine.is_reachable or seat.spec.volumes  # else its recipes have begun
        since = machine.created if lacks else None
    else:
        since = record.since if _is_awaited(record) else None
    if since is None:
        return None
    limit = timedelta(seconds=situation.desired.provision_timeout)
    return max(since, situation.run.started) + limit


def _is_awaited(record: Record) -> bool:
    """Not spoken to yet. A line that stands has what is new, behind the step that runs."""
    stands = record.generation > 1 and not record.trouble
    return record.state is WorkState.WAITING and not stands


def _silence(seat: Seat) -> str:
    machine, record = seat.current, seat.record
    if record is not None or machine is None:
        return (record.trouble if record else "") or "its agent did not answer"
    if machine.state is not MachineState.RUNNING:
        return machine.told(f"its machine is {machine.state.value}")
    if machine.is_reachable:
        return "it has not been given its volumes"
    missing = "address" if machine.address is None else "host key"
    return machine.told(f"its cloud tells no {missing}")


def explain(record: Record) -> str:
    """What failed on the machine, in its own words."""
    words = f": {record.words}" if record.words else ""
    match record.reason:
        case "exit":
            return f"{record.step} exited with {record.exit_code}{words}"
        case "timeout":
            return f"{record.step} ran into the execute timeout and was stopped{words}"
        case "aborted":
            return f"{record.step} was stopped{words}"
        case "unstartable":
            return f"{record.step} could not be started{words}"
        case _:
            return record.words or record.reason
