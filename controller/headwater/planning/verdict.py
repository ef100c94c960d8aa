"""What a situation amounts to: the status of a deployment."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from headwater.planning.failure import tolerated
from headwater.planning.instances import instance_status, progress, unwanted_status, without
from headwater.planning.planner import ORPHANED, Plan
from headwater.planning.seats import seats
from headwater.planning.situation import Situation
from headwater.planning.status import (
    DEPENDENCY_HELD,
    Condition,
    DeploymentStatus,
    InstanceStatus,
    Phase,
)
from headwater.planning.tasks import awaited, reports_awaited
from headwater.planning.waits import Until, waits
from headwater.topology.keys import InstanceKey

UNENDED = frozenset({"missing", "pending", "unreachable", "contextualising", "outdated"})
"""States of instances whose work of this run is still to be done."""


def assess(situation: Situation, plan: Plan) -> DeploymentStatus:
    """The status of the deployment, without its history."""
    every = seats(situation)
    lost = tolerated(situation)
    instances = [
        without(instance_status(seat, situation), lost.get(key, "")) for key, seat in every.items()
    ]
    ready = sum(instance.state == "ready" for instance in instances)
    failed = sum(instance.state == "failed" for instance in instances)
    rest = [unwanted_status(machine) for machine in situation.machines if machine.key not in every]
    names = {key.instance: why for key, why in lost.items()}
    conditions = _conditions(situation, plan, instances, names)
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
        awaited=awaited(situation),
    )


def _conditions(
    situation: Situation,
    plan: Plan,
    instances: Iterable[InstanceStatus],
    lost: Mapping[str, str],
) -> tuple[Condition, ...]:
    """The first that applies. `lost` are the instances without which it is Ready, and why."""
    waiting = [i for i in instances if i.state != "ready" and i.instance not in lost]
    for reason, message in _obstacles(situation, plan):
        if message:
            return _stalled(reason, message)
    if situation.suspended:
        extra = len({machine.key for machine in situation.machines} - _wanted(situation))
        return _suspended(situation.suspended, progress(waiting), extra)
    if situation.desired is None and not waits(situation):
        return _leaving(situation)
    for reason, message in _under_way(situation, plan, waiting):
        if message:
            return _progressing(reason, message)
    return _converged(lost)


def _under_way(
    situation: Situation, plan: Plan, waiting: list[InstanceStatus]
) -> tuple[tuple[str, str], ...]:
    """What goes on by itself: reason, and words where it is there."""
    busy = bool(plan.actions or waiting or plan.held)
    reports = awaited(situation)
    return (
        ("WaitingForOthers", "; ".join(wait.why for wait in waits(situation))),
        ("Progressing", (progress(waiting) or "updating") if busy else ""),
        ("SendingReports", f"{reports} reports to come" if reports else ""),
    )


def _converged(lost: Mapping[str, str]) -> tuple[Condition, ...]:
    reason = "FailuresTolerated" if lost else "Converged"
    missing = ", ".join(f"{instance} ({why})" for instance, why in lost.items())
    return (
        Condition("Ready", status=True, reason=reason, message=missing and f"without {missing}"),
        Condition("Reconciling", status=False, reason=reason),
        Condition("Stalled", status=False, reason=reason),
    )


def _obstacles(situation: Situation, plan: Plan) -> tuple[tuple[str, str], ...]:
    """What a person must do something about: reason, and words where it is there."""
    return (
        ("Unsupported", "; ".join(situation.problems)),
        ("SecretUnavailable", "; ".join(situation.unavailable)),
        ("RunFailed", situation.run.abort),
        ("PlanBlocked", plan.blocked),
        ("DependencyFailed", _waits_until(Until.REPAIR, situation)),
        (DEPENDENCY_HELD, _waits_until(Until.PERSON, situation)),
        ("QuotaExceeded", "" if plan.actions else "; ".join(plan.short)),
    )


def _waits_until(end: Until, situation: Situation) -> str:
    return "; ".join(wait.why for wait in waits(situation) if wait.until is end)


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
    undone = not situation.run.abort and states & UNENDED
    rests = {
        Phase.SENDING_REPORTS: reports_awaited(situation) and not undone,
        Phase.ABORTED: ready.get("Stalled"),
        Phase.READY: ready.get("Ready"),
    }
    if reached := next((phase for phase, holds in rests.items() if holds), None):
        return reached
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
