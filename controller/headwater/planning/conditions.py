"""The conditions of a deployment, as in Kubernetes: the first that applies decides them."""

from collections.abc import Iterable, Mapping

from headwater.planning.health import GIVEN_UP, given_up
from headwater.planning.instances import progress
from headwater.planning.lifecycle import end_of, is_ending, is_over, kept
from headwater.planning.planner import ORPHANED, Plan
from headwater.planning.records import Run
from headwater.planning.situation import Situation
from headwater.planning.status import DEPENDENCY_HELD, Condition, InstanceStatus
from headwater.planning.tasks import awaited
from headwater.planning.waits import Until, waits
from headwater.topology.keys import InstanceKey


def conditions(
    situation: Situation,
    plan: Plan,
    instances: Iterable[InstanceStatus],
    lost: Mapping[str, str],
) -> tuple[Condition, ...]:
    """`lost` are the instances without which it is Ready, by name, and why."""
    if _shows_its_end(situation, plan):
        return _ended(situation)
    return _conditions(situation, plan, instances, lost)


def _conditions(
    situation: Situation,
    plan: Plan,
    instances: Iterable[InstanceStatus],
    lost: Mapping[str, str],
) -> tuple[Condition, ...]:
    waiting = [i for i in instances if i.state != "ready" and i.instance not in lost]
    for reason, message in _obstacles(situation, plan):
        if message:
            return stalled(reason, message)
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
    missing = ", ".join(f"{instance} ({why})" for instance, why in lost.items())
    reason = "FailuresTolerated" if lost else "Converged"
    return _resting(reason, missing and f"without {missing}", ready=True)


def word(run: Run) -> str:
    """How it ended, in one word; empty before."""
    return "expired" if run.expired else run.verdict.value if run.verdict else ""


def _shows_its_end(situation: Situation, plan: Plan) -> bool:
    """It is over, and no person stands in the way."""
    held = situation.suspended or plan.blocked or situation.desired is None
    return is_over(situation.run) and not held


def _ended(situation: Situation) -> tuple[Condition, ...]:
    run, words = situation.run, end_of(situation)
    if is_ending(situation) and situation.machines:
        left = len(situation.machines)
        return _progressing("Finalizing", f"{words}; {left} machines to remove")
    reason = word(run).capitalize()
    if reason == "Failed":
        said = filter(None, [run.abort, kept(situation)])
        return stalled("RunFailed", "; ".join(said))
    said = filter(None, [words if run.expired else "", kept(situation)])
    return _resting(reason, "; ".join(said), ready=run.expired is None)


def _obstacles(situation: Situation, plan: Plan) -> tuple[tuple[str, str], ...]:
    """What a person must do something about: reason, and words where it is there."""
    return (
        ("Unsupported", "; ".join(situation.problems)),
        ("SecretUnavailable", "; ".join(situation.unavailable)),
        ("RunFailed", situation.run.abort),
        ("PlanBlocked", plan.blocked),
        ("DependencyFailed", _waits_until(Until.REPAIR, situation)),
        (DEPENDENCY_HELD, _waits_until(Until.PERSON, situation)),
        (GIVEN_UP, given_up(situation)),
        ("QuotaExceeded", "" if plan.actions else "; ".join(plan.short)),
    )


def _waits_until(end: Until, situation: Situation) -> str:
    return "; ".join(wait.why for wait in waits(situation) if wait.until is end)


def _leaving(situation: Situation) -> tuple[Condition, ...]:
    if situation.run.orphan:
        return (Condition("Ready", status=True, reason="Orphaned", message=ORPHANED),)
    busy, volumes = f"{len(situation.machines)} machines to remove", situation.stock.leaving
    busy += f", {len(volumes)} volumes" if volumes else ""
    return () if situation.is_gone else _progressing("Removing", busy)


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


def stalled(reason: str, message: str) -> tuple[Condition, ...]:
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


def _resting(reason: str, message: str, *, ready: bool) -> tuple[Condition, ...]:
    return (
        Condition("Ready", status=ready, reason=reason, message=message),
        Condition("Reconciling", status=False, reason=reason),
        Condition("Stalled", status=False, reason=reason),
    )


def _progressing(reason: str, message: str) -> tuple[Condition, ...]:
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition("Reconciling", status=True, reason=reason, message=message),
        Condition("Stalled", status=False, reason=reason),
    )
