"""The guard: capacity lost by surprise is planned and shown, and not done until it is approved.

What a commit says plainly goes through: replacing within the update limits, removing one
deployment's manifest, adding. The rules and their limits: semantics.md 3; the incidents they come
from: Argo CD issues 7412, 9227 and 18480, Flux issue 1462, Rancher issue 38672.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.budget import portion
from headwater.planning.planner import Plan
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation

FLEET_FLOOR = 10
FLEET_PERCENT = "20%"
UNHEALTHY_PERCENT = "40%"


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules look at."""

    situation: Situation
    plan: Plan
    lost: tuple[Terminate, ...]
    """Machines of instances that the manifest does not ask for any more."""
    replaced: tuple[Action, ...]
    """What ends or replaces machines of wanted instances."""
    vanished: int
    """Instances whose machine is gone without anybody having asked for it."""


def guard(situation: Situation, plan: Plan) -> Plan:
    """The plan, or what of it needs no approval, with the reason and the digest to approve.

    An approval names a plan by its digest and holds for the whole run, step by step; machines
    that vanished are approved anew each time.
    """
    case = _case(situation, plan)
    for rule in RULES:
        if not (reason := rule(case)):
            continue
        name = rule.__name__.removeprefix("_")
        once = rule is _vanished_at_once
        if plan.digest in situation.approvals or (name in situation.run.approved and not once):
            return replace(plan, approved=name)
        held = {id(action) for action in _dangerous(case)}
        kept = tuple(action for action in plan.actions if id(action) not in held)
        how = f"`headwater approve {plan.digest}`"
        return replace(plan, actions=kept, blocked=f"{reason}; to go on: {how}")
    return plan


def _case(situation: Situation, plan: Plan) -> _Case:
    every = seats(situation)
    ends = [action for action in plan.actions if isinstance(action, Terminate)]
    remade = {action.key for action in plan.actions if isinstance(action, Create)}
    return _Case(
        situation=situation,
        plan=plan,
        lost=tuple(action for action in ends if action.key not in every),
        replaced=tuple(
            action
            for action in plan.actions
            if action.key in every and (_ends(action) or _replaces(action))
        ),
        vanished=sum(_vanished(seat, situation) for key, seat in every.items() if key in remade),
    )


def _ends(action: Action) -> bool:
    return isinstance(action, Terminate)


def _replaces(action: Action) -> bool:
    return isinstance(action, Create) and action.replaces


def _vanished(seat: Seat, situation: Situation) -> bool:
    nothing = not (seat.alive or seat.dead or seat.leaving)
    return nothing and seat.spec.key in situation.incarnations


def _dangerous(case: _Case) -> Iterable[Action]:
    """What waits for the approval. Adding is never blocked, except after machines vanished."""
    yield from case.lost
    if case.situation.run.protect or case.situation.upgraded:
        yield from case.replaced
    if _too_many_vanished(case):
        yield from (action for action in case.plan.actions if isinstance(action, Create))


def _no_manifest_left(case: _Case) -> str:
    gone = case.situation.desired is None and case.lost and case.situation.fleet.defined == 0
    return "no manifest is left in the repository" if gone else ""


def _many_removed(case: _Case) -> str:
    removed = case.situation.fleet.removed
    if case.situation.desired is None and case.lost and len(removed) > 1:
        return f"{len(removed)} deployments are removed at once ({', '.join(sorted(removed))})"
    return ""


def _to_zero(case: _Case) -> str:
    desired = case.situation.desired
    if desired is None or desired.instances or not case.lost:
        return ""
    return f"all {len(case.lost)} instances would go, and the manifest stays"


def _scaled_down(case: _Case) -> str:
    desired = case.situation.desired
    if desired is None or not case.lost:
        return ""
    total = len(desired.instances) + len(case.lost)
    limit = max(1, portion(desired.max_deletes, total))
    if len(case.lost) <= limit:
        return ""
    return f"{len(case.lost)} of {total} instances would go; maxDeletes allows {limit}"


def _fleet_shrinks(case: _Case) -> str:
    fleet = case.situation.fleet
    limit = max(FLEET_FLOOR, portion(FLEET_PERCENT, fleet.instances))
    if case.situation.desired is None or not case.lost or len(case.lost) <= limit:
        return ""
    return f"{len(case.lost)} of all {fleet.instances} instances would go; {limit} may at once"


def _protected(case: _Case) -> str:
    if not case.situation.run.protect or not (case.lost or case.replaced):
        return ""
    return f"{len(case.lost) + len(case.replaced)} instances are protected from this"


def _after_upgrade(case: _Case) -> str:
    if not case.situation.upgraded or not (case.lost or case.replaced):
        return ""
    return "the first pass of another version of Headwater would delete or replace"


def _too_many_vanished(case: _Case) -> bool:
    desired = case.situation.desired
    total = len(desired.instances) if desired else 0
    return case.vanished > max(1, portion(UNHEALTHY_PERCENT, total))


def _vanished_at_once(case: _Case) -> str:
    if not _too_many_vanished(case):
        return ""
    return f"{case.vanished} machines vanished at once, more likely the cloud's listing is wrong"


RULES: tuple[Callable[[_Case], str], ...] = (
    _no_manifest_left,
    _many_removed,
    _to_zero,
    _scaled_down,
    _fleet_shrinks,
    _protected,
    _after_upgrade,
    _vanished_at_once,
)
"""In order; the first that answers gives its reason."""
