"""The guard: capacity lost by surprise is planned and shown, and not done until it is approved.

What a commit says plainly goes through: replacing within the update limits, removing one
deployment's manifest, adding. The rules and their limits: semantics.md 3; the incidents they come
from: Argo CD issues 7412, 9227 and 18480, Flux issue 1462, Rancher issue 38672.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from headwater.planning.actions import Action, Create, Discard, Terminate
from headwater.planning.budget import portion
from headwater.planning.health import UNHEALTHY_PERCENT, replaced, too_many
from headwater.planning.lifecycle import needs_no_approval
from headwater.planning.planner import Plan
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey

FLEET_FLOOR = 10
FLEET_PERCENT = "20%"
VANISHED = "vanished_at_once"
"""The one rule whose approval is for one plan alone."""
ENDS = (Terminate, Discard)
UNHEALTHY = "unhealthy_at_once"
"""Its approval holds until no more instances are unhealthy than may be."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules look at."""

    situation: Situation
    ends: tuple[Action, ...]
    """The ends of machines and volumes of instances that the manifest asks for no more."""
    replacements: tuple[Action, ...]
    """What ends or replaces machines of wanted instances, or ends their volumes."""
    repairs: tuple[Action, ...]
    """What makes instances anew whose machine went without anybody having asked for it."""
    healing: tuple[Action, ...]
    """What replaces machines for their health."""

    @property
    def lost(self) -> int:
        """Instances; some have more than one machine."""
        return len({action.key for action in self.ends})


@dataclass(frozen=True, slots=True)
class _Rule:
    reason: Callable[[_Case], str]
    """Empty where the rule has nothing against it."""
    holds: Callable[[_Case], tuple[Action, ...]]
    """What waits for the approval."""


def guard(situation: Situation, plan: Plan) -> Plan:
    """The plan; or what of it needs no approval, with the reason and the digest to approve.

    An approval names what waits by its digest, and holds for the whole run, step by step.
    (`still_approved` takes back what it was not given for.)
    """
    if needs_no_approval(situation):
        return plan
    case = _case(situation, plan)
    settled = situation.run.approved - {VANISHED}
    reasons = {
        name: reason
        for name, rule in RULES.items()
        if name not in settled and (reason := rule.reason(case))
    }
    if not reasons:
        return plan
    held = {id(action) for name in reasons for action in RULES[name].holds(case)}
    withheld = tuple(action for action in plan.actions if id(action) in held)
    digest = replace(plan, withheld=withheld).digest
    if digest in situation.approvals:
        return replace(plan, approval=digest, approved=frozenset(reasons))
    return replace(
        plan,
        actions=tuple(action for action in plan.actions if id(action) not in held),
        withheld=withheld,
        blocked=f"waits for `headwater approve {digest}`: {next(iter(reasons.values()))}",
    )


def still_approved(situation: Situation) -> frozenset[str]:
    """The rules that the run was let through, without those whose reason has gone meanwhile."""
    over = frozenset() if too_many(situation) else {UNHEALTHY}
    return situation.run.approved - over


def _case(situation: Situation, plan: Plan) -> _Case:
    every = seats(situation)
    ill = set(replaced(plan.actions, situation))
    wanted = [action for action in plan.actions if action.key in every]
    return _Case(
        situation=situation,
        ends=tuple(a for a in plan.actions if isinstance(a, ENDS) and a.key not in every),
        replacements=tuple(a for a in wanted if _replaces(a, every[a.key])),
        repairs=tuple(a for a in wanted if _repairs(a, every[a.key], situation)),
        healing=tuple(a for a in wanted if a.key in ill),
    )


def _replaces(action: Action, seat: Seat) -> bool:
    made = isinstance(action, Create) and bool(seat.outdated or seat.current)
    return made or isinstance(action, ENDS)


def _repairs(action: Action, seat: Seat, situation: Situation) -> bool:
    """After a loss: what we end ourselves, or have been told is gone, is none."""
    if not isinstance(action, Create) or seat.alive or seat.dead or seat.leaving:
        return False
    ever, ended = situation.incarnations, situation.ended
    return ever.get(action.key, 0) > ended.get(action.key, 0)


def _no_manifest_left(case: _Case) -> str:
    gone = case.situation.desired is None and case.ends and case.situation.fleet.defined == 0
    return "no manifest is left in the repository" if gone else ""


def _many_removed(case: _Case) -> str:
    removed = case.situation.fleet.removed
    if case.situation.desired is None and case.ends and len(removed) > 1:
        return f"{len(removed)} deployments are removed at once ({', '.join(sorted(removed))})"
    return ""


def _to_zero(case: _Case) -> str:
    desired = case.situation.desired
    if desired is None or desired.instances or not case.ends:
        return ""
    return f"all {case.lost} instances would go, and the manifest stays"


def _scaled_down(case: _Case) -> str:
    desired = case.situation.desired
    if desired is None:
        return ""
    total = case.lost + len(_earlier(case.situation) & desired.instances.keys())
    limit = max(1, portion(desired.max_deletes, total))
    if case.lost <= limit:
        return ""
    return f"{case.lost} of {total} instances would go; maxDeletes allows {limit}"


def _earlier(situation: Situation) -> set[InstanceKey]:
    """Instances of before this run: the ones that it adds make up for nothing that goes."""
    revision = situation.run.revision
    return {machine.key for machine in situation.machines if machine.tags.revision != revision}


def _fleet_shrinks(case: _Case) -> str:
    fleet = case.situation.fleet
    if case.situation.desired is None or not case.ends:
        return ""
    limit = max(FLEET_FLOOR, portion(FLEET_PERCENT, fleet.instances))
    lost = max(case.lost, fleet.lost)
    if lost <= limit:
        return ""
    return f"{lost} of all {fleet.instances} instances would go; {limit} may at once"


def _protected(case: _Case) -> str:
    """By what the manifest says; by what it said last where there is none any more."""
    desired, run = case.situation.desired, case.situation.run
    keys = {action.key for action in _losses(case)}
    if not keys or not (desired.protect if desired else run.protect):
        return ""
    return f"{len(keys)} instances are protected from this"


def _after_upgrade(case: _Case) -> str:
    if not case.situation.upgraded or not _losses(case):
        return ""
    return "the first pass of another version of Headwater would delete or replace"


def _vanished_at_once(case: _Case) -> str:
    desired, gone = case.situation.desired, len(case.repairs)
    if desired is None or gone <= max(1, portion(UNHEALTHY_PERCENT, len(desired.instances))):
        return ""
    return f"{gone} machines vanished at once, more likely the cloud's listing is wrong"


def _unhealthy_at_once(case: _Case) -> str:
    return too_many(case.situation) if case.healing else ""


def _losses(case: _Case) -> tuple[Action, ...]:
    return (*case.ends, *case.replacements)


def _ends(case: _Case) -> tuple[Action, ...]:
    return case.ends


def _repaired(case: _Case) -> tuple[Action, ...]:
    return case.repairs


def _healed(case: _Case) -> tuple[Action, ...]:
    return case.healing


RULES = {
    "no_manifest_left": _Rule(_no_manifest_left, _ends),
    "many_removed": _Rule(_many_removed, _ends),
    "to_zero": _Rule(_to_zero, _ends),
    "scaled_down": _Rule(_scaled_down, _ends),
    "fleet_shrinks": _Rule(_fleet_shrinks, _ends),
    "protected": _Rule(_protected, _losses),
    "after_upgrade": _Rule(_after_upgrade, _losses),
    VANISHED: _Rule(_vanished_at_once, _repaired),
    UNHEALTHY: _Rule(_unhealthy_at_once, _healed),
}
"""By the name that a run keeps. The first that applies gives the reason."""
