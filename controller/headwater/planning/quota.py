"""How many machines a Cloud manifest allows (`spec.quota.instances`), all deployments together."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from headwater.manifests.resolved import Catalog
from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.planner import Plan


def fit(plan: Plan, room: Mapping[str, int]) -> Plan:
    """The plan without the creations that no cloud has room for, and with their number."""
    fitting, short = within(plan.actions, room)
    return replace(plan, actions=tuple(fitting), short=short)


def within(
    actions: Iterable[Action], room: Mapping[str, int]
) -> tuple[list[Action], tuple[str, ...]]:
    """The actions that fit, and one line per cloud that is too small.

    `room` is how many more machines each limited cloud may hold; clouds without a quota are not
    in it. What the same plan terminates makes room.
    """
    every = list(actions)
    freed = Counter(action.machine.id.cloud for action in every if isinstance(action, Terminate))
    left = {cloud: count + freed[cloud] for cloud, count in room.items()}
    kept: list[Action] = []
    short: Counter[str] = Counter()
    for action in every:
        if isinstance(action, Create) and (cloud := action.spec.machine.cloud) in left:
            if left[cloud] <= 0:
                short[cloud] += 1
                continue
            left[cloud] -= 1
        kept.append(action)
    return kept, tuple(
        f"the quota of cloud {cloud} is {count} machines too small"
        for cloud, count in sorted(short.items())
    )


def room(catalog: Catalog, count: Callable[[str], int]) -> dict[str, int]:
    """How many more machines each cloud with a quota may hold; `count` tells how many it holds."""
    return {
        name: cloud.quota_instances - count(name)
        for name, cloud in catalog.clouds.items()
        if cloud.quota_instances is not None
    }
