"""What of a plan the quotas of the clouds have room for: first come, first served."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.planner import Plan
from headwater.planning.room import Room, written


def fit(plan: Plan, room: Mapping[str, Room]) -> Plan:
    """The plan without the creations that no cloud has room for, and with what they lack."""
    fitting, short = within(plan.actions, room)
    return replace(plan, actions=tuple(fitting), short=short)


def within(
    actions: Iterable[Action], room: Mapping[str, Room]
) -> tuple[list[Action], tuple[str, ...]]:
    """The actions that fit, and one line per quota that is too small.

    `room` is what each limited cloud may hold besides what it holds. What the same plan terminates
    makes room.
    """
    every = list(actions)
    left = {cloud: Counter(place.left) for cloud, place in room.items()}
    for action in every:
        if isinstance(action, Terminate) and (place := room.get(action.machine.id.cloud)):
            left[action.machine.id.cloud].update(place.takes(action.machine.tags.size))
    kept: list[Action] = []
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    for action in every:
        if isinstance(action, Create) and (place := room.get(action.spec.machine.cloud)):
            cloud = action.spec.machine.cloud
            takes = place.takes(action.spec.machine.size)
            if any(amount > max(left[cloud][unit], 0) for unit, amount in takes.items()):
                refused[cloud].update(takes)
                continue
            left[cloud].subtract(takes)
        kept.append(action)
    return kept, tuple(
        line for cloud in sorted(refused) for line in _short(cloud, refused[cloud], left[cloud])
    )


def _short(cloud: str, refused: Mapping[str, int], left: Mapping[str, int]) -> Iterable[str]:
    for unit, amount in refused.items():
        lacks = amount - max(left[unit], 0)
        if lacks > 0:
            yield f"the quota of cloud {cloud} is {written(lacks, unit)} too small"
