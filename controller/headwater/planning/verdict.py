"""What a situation amounts to: the status of a deployment."""

from collections.abc import Iterable
from dataclasses import replace

from headwater.planning.conditions import conditions, stalled, word
from headwater.planning.failure import tolerated
from headwater.planning.health import condition
from headwater.planning.instances import instance_status, unwanted_status, without
from headwater.planning.lifecycle import last_phase
from headwater.planning.planner import Plan
from headwater.planning.seats import seats
from headwater.planning.situation import Situation
from headwater.planning.status import Condition, DeploymentStatus, InstanceStatus, Phase
from headwater.planning.tasks import awaited, reports_awaited
from headwater.planning.volume_rows import volume_statuses

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
    failed = sum(instance.state in {"failed", "unhealthy"} for instance in instances)
    rest = [unwanted_status(machine) for machine in situation.machines if machine.key not in every]
    told = conditions(situation, plan, instances, {key.instance: why for key, why in lost.items()})
    return DeploymentStatus(
        name=situation.deployment,
        phase=_phase(situation, instances, told),
        conditions=(*told, *condition(situation)),
        desired=len(every),
        ready=ready,
        failed=failed,
        description=situation.desired.description if situation.desired else "",
        attempted_revision=situation.run.revision,
        run=situation.run.number,
        verdict=word(situation.run),
        reason=situation.run.abort,
        started=situation.run.started,
        ended=situation.run.ended,
        instances=(*instances, *rest),
        diagnostics=(*plan.held, *plan.short, *filter(None, [plan.blocked])),
        volumes=volume_statuses(situation),
        awaited=awaited(situation),
    )


def _phase(
    situation: Situation, instances: Iterable[InstanceStatus], conditions: tuple[Condition, ...]
) -> Phase:
    """The first that applies."""
    if phase := last_phase(situation):
        return phase
    ready = {condition.type: condition.status for condition in conditions}
    states = {instance.state for instance in instances}
    if situation.desired is None:
        return Phase.DONE if situation.is_gone else Phase.FINALIZING
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
    healthy = filter(None, [status.condition("Healthy")])
    return replace(status, conditions=(*stalled("RolledBack", message), *healthy))


def invalid(
    name: str, diagnostics: Iterable[str], previous: DeploymentStatus | None
) -> DeploymentStatus:
    """A deployment whose manifest is wrong: it stays as it is, and says why."""
    every = tuple(diagnostics)
    told = stalled("InvalidManifest", every[0] if every else "the manifest is wrong")
    if previous is not None:
        return replace(previous, conditions=told, diagnostics=every)
    return DeploymentStatus(name, Phase.INITIALIZING, told, 0, 0, diagnostics=every)
