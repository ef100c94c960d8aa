"""Instances as people see them: one row each."""

from collections.abc import Iterable
from dataclasses import replace

from headwater.planning.asking import complaint
from headwater.planning.failure import explain
from headwater.planning.health import words_of
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import ADOPTED, Seat, staleness
from headwater.planning.situation import Situation
from headwater.planning.status import InstanceStatus
from headwater.topology.machines import Machine, MachineState


def unwanted_status(machine: Machine) -> InstanceStatus:
    leaving = machine.state is MachineState.STOPPING
    return _status_of(machine, "stopping" if leaving else "unwanted", step="", message="")


def instance_status(seat: Seat, situation: Situation) -> InstanceStatus:
    """One row for people: the machine that serves, or the one that is on its way to."""
    machine = seat.current or next(iter((*seat.outdated, *seat.dead, *seat.leaving)), None)
    if machine is None:
        return InstanceStatus(seat.spec.key.instance, "missing", cloud=seat.spec.machine.cloud)
    if seat.current is None:
        if seat.outdated:
            return _status_of(machine, "outdated", step="", message="")
        leaving = machine.state is MachineState.STOPPING
        state = "missing" if leaving else "failed"
        return _status_of(machine, state, step="", message=f"machine is {machine.state.value}")
    state, step, message = _work_state(seat, situation)
    return _status_of(machine, state, step=step, message=message)


def without(row: InstanceStatus, why: str) -> InstanceStatus:
    """The row of an instance that was given up; the same where `why` is empty."""
    return replace(row, state="failed", message=why) if why else row


def _work_state(seat: Seat, situation: Situation) -> tuple[str, str, str]:
    record = seat.record
    if record is None:
        return "pending", "", ""
    match record.state:
        case WorkState.WAITING:
            first = "pending" if record.generation == 1 else "contextualising"
            return ("unreachable" if record.trouble else first), "", record.trouble
        case WorkState.RUNNING:
            return "contextualising", record.step, record.trouble
        case WorkState.FAILED:
            return "failed", record.step, _with(explain(record), seat, situation)
        case WorkState.SUCCEEDED if record.is_adopted:
            return "pending", "", ADOPTED
        case WorkState.SUCCEEDED:
            state, message = _order(record, seat, situation)
            return state, "", message


def _order(record: Record, seat: Seat, situation: Situation) -> tuple[str, str]:
    """How a machine stands whose recipes have succeeded."""
    if not record.is_sound:
        over = record.is_sick or bool(situation.run.abort)
        return "unhealthy" if over else "checking", words_of(record)
    desired = situation.desired
    ignored = desired is not None and desired.update.on_recipe_change == "ignore"
    stale = "" if ignored else staleness(record, seat.spec, situation)
    failing = record.health.words if record.health else ""
    said = _with(stale or record.trouble or failing, seat, situation)
    return ("outdated" if stale else "ready"), said


def _with(message: str, seat: Seat, situation: Situation) -> str:
    """Beside it, what a hook or a report said that failed: it fails nothing else."""
    said = complaint(seat.current.id, situation) if seat.current else ""
    return "; ".join(filter(None, [message, said]))


def _status_of(machine: Machine, state: str, *, step: str, message: str) -> InstanceStatus:
    return InstanceStatus(
        instance=machine.key.instance,
        state=state,
        machine=machine.id.id,
        cloud=machine.id.cloud,
        address=machine.address or "",
        incarnation=machine.tags.incarnation,
        step=step,
        message=message,
    )


def progress(waiting: Iterable[InstanceStatus]) -> str:
    """Counts by state: `2 contextualising, 1 pending`."""
    counts: dict[str, int] = {}
    for instance in waiting:
        counts[instance.state] = counts.get(instance.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
