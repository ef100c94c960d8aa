"""What a situation amounts to: the failure of a run, and the status of a deployment."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from headwater.planning.planner import ORPHANED, Plan
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import ADOPTED, Seat, seats, staleness
from headwater.planning.situation import Situation
from headwater.planning.status import Condition, DeploymentStatus, InstanceStatus, Phase
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine, MachineState


def failure(situation: Situation) -> str:
    """Why the present run fails: the first instance's own words; empty when it does not.

    A recipe that fails is not tried again until a new commit or a retry says so; a machine that
    was restarted under a running recipe is.
    """
    if situation.desired is None:
        return ""
    for key, seat in seats(situation).items():
        record, limit = seat.record, deadline(seat, situation)
        if limit is not None and situation.now >= limit:
            seconds = int(situation.desired.provision_timeout)
            return f"{key.instance}: no contact within {seconds} s: {_silence(seat)}"
        if record is None or record.state is not WorkState.FAILED:
            continue
        if record.run == situation.run.number and record.reason != "interrupted":
            return f"{key.instance}: {explain(record)}"
    return ""


def deadline(seat: Seat, situation: Situation) -> datetime | None:
    """When a machine that has not answered yet counts as failed; None where none is awaited.

    A new run gives it all the time again.
    """
    machine, record = seat.current, seat.record
    if situation.desired is None or machine is None:
        return None
    if record is None:
        since = None if machine.is_reachable else machine.created
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
        return f"its machine is {machine.state.value}"
    return f"its cloud tells no {'address' if machine.address is None else 'host key'}"


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


def assess(situation: Situation, plan: Plan) -> DeploymentStatus:
    """The status of the deployment, without its history."""
    every = seats(situation)
    instances = [instance_status(seat, situation) for seat in every.values()]
    ready = sum(instance.state == "ready" for instance in instances)
    failed = sum(instance.state == "failed" for instance in instances)
    rest = [_extra(machine) for machine in situation.machines if machine.key not in every]
    conditions = _conditions(situation, plan, instances)
    return DeploymentStatus(
        name=situation.deployment,
        phase=_phase(situation, instances, conditions),
        conditions=conditions,
        desired=len(every),
        ready=ready,
        failed=failed,
        description=situation.desired.description if situation.desired else "",
        attempted_revision=situation.run.revision,
        started=situation.run.started,
        ended=situation.run.ended,
        instances=(*instances, *rest),
        diagnostics=(*plan.held, *plan.short, *filter(None, [plan.blocked])),
    )


def _extra(machine: Machine) -> InstanceStatus:
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
            return "failed", record.step, explain(record)
        case WorkState.SUCCEEDED if record.is_adopted:
            return "pending", "", ADOPTED
        case WorkState.SUCCEEDED:
            ignored = (
                situation.desired is not None
                and situation.desired.update.on_recipe_change == "ignore"
            )
            stale = "" if ignored else staleness(record, seat.spec, situation)
            return ("outdated" if stale else "ready"), "", stale or record.trouble


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


def _conditions(
    situation: Situation, plan: Plan, instances: Iterable[InstanceStatus]
) -> tuple[Condition, ...]:
    """The first that applies."""
    waiting = [i for i in instances if i.state != "ready"]
    for reason, message in _obstacles(situation, plan):
        if message:
            return _stalled(reason, message)
    if situation.suspended:
        extra = len({machine.key for machine in situation.machines} - _wanted(situation))
        return _suspended(situation.suspended, progress(waiting), extra)
    if situation.desired is None:
        return _leaving(situation)
    if plan.actions or waiting or plan.held:
        return _progressing("Progressing", progress(waiting) or "updating")
    return (
        Condition("Ready", status=True, reason="Converged"),
        Condition("Reconciling", status=False, reason="Converged"),
        Condition("Stalled", status=False, reason="Converged"),
    )


def _obstacles(situation: Situation, plan: Plan) -> tuple[tuple[str, str], ...]:
    """What a person must do something about: reason, and words where it is there."""
    return (
        ("Unsupported", "; ".join(situation.problems)),
        ("RunFailed", situation.run.abort),
        ("PlanBlocked", plan.blocked),
        ("QuotaExceeded", "" if plan.actions else "; ".join(plan.short)),
    )


def _leaving(situation: Situation) -> tuple[Condition, ...]:
    if situation.run.orphan:
        return (Condition("Ready", status=True, reason="Orphaned", message=ORPHANED),)
    busy = f"{len(situation.machines)} machines to remove"
    return _progressing("Removing", busy) if situation.machines else ()


def _wanted(situation: Situation) -> set[InstanceKey]:
    return set(situation.desired.instances) if situation.desired else set()


def _suspended(why: str, waiting: str, extra: int) -> tuple[Condition, ...]:
    rest = ", ".join(filter(None, [waiting, f"{extra} to remove" if extra else ""]))
    return (
        Condition("Ready", status=not rest, reason="Suspended", message=rest),
        Condition("Reconciling", status=False, reason="Suspended"),
        Condition("Stalled", status=False, reason="Suspended"),
        Condition("Suspended", status=True, reason="Suspended", message=why),
    )


def progress(waiting: Iterable[InstanceStatus]) -> str:
    """Counts by state: `2 contextualising, 1 pending`."""
    counts: dict[str, int] = {}
    for instance in waiting:
        counts[instance.state] = counts.get(instance.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _stalled(reason: str, message: str) -> tuple[Condition, ...]:
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition("Reconciling", status=False, reason=reason),
        Condition("Stalled", status=True, reason=reason, message=message),
        *(
            [Condition("PlanBlocked", status=True, reason="Guard")]
            if reason == "PlanBlocked"
            else []
        ),
    )


def _progressing(reason: str, message: str) -> tuple[Condition, ...]:
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition("Reconciling", status=True, reason=reason, message=message),
        Condition("Stalled", status=False, reason=reason),
    )


def _phase(
    situation: Situation, instances: Iterable[InstanceStatus], conditions: tuple[Condition, ...]
) -> Phase:
    """The first that applies."""
    ready = {condition.type: condition.status for condition in conditions}
    states = {instance.state for instance in instances}
    if situation.desired is None:
        return Phase.FINALIZING if situation.machines else Phase.DONE
    if ready.get("Stalled"):
        return Phase.ABORTED
    if ready.get("Ready"):
        return Phase.READY
    if not situation.machines:
        return Phase.INITIALIZING
    if states & {"missing", "pending", "unreachable"}:
        return Phase.PROVISIONING
    return Phase.EXECUTING


def rolled_back(status: DeploymentStatus, reason: str, revision: str) -> DeploymentStatus:
    """It runs as `revision` said, because what the branch says failed."""
    message = f"{reason}; rolled back to {revision[:10]}"
    return replace(status, conditions=_stalled("RolledBack", message))


def invalid(
    name: str, diagnostics: Iterable[str], previous: DeploymentStatus | None
) -> DeploymentStatus:
    """A deployment whose manifest is wrong: it stays as it is, and says why."""
    every = tuple(diagnostics)
    conditions = _stalled("InvalidManifest", every[0] if every else "the manifest is wrong")
    if previous is not None:
        return replace(previous, conditions=conditions, diagnostics=every)
    return DeploymentStatus(name, Phase.INITIALIZING, conditions, 0, 0, diagnostics=every)
