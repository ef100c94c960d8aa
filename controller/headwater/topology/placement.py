"""Which instance lives at which cloud, where a node is spread over several."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from headwater.topology.keys import InstanceKey

Places = Mapping[InstanceKey, str]
"""The clouds of instances that exist."""


def assign(
    clouds: Sequence[tuple[str, int]], keys: Iterable[InstanceKey], places: Places
) -> dict[InstanceKey, str]:
    """The cloud of every instance, in the order of the keys.

    Who exists stays where it is as long as its cloud is to hold so many: a spread that changes
    moves no more instances than it must. The others fill up in the order of the manifest.
    `clouds` are (cloud, how many); together at least as many as the highest index.
    """
    ordered = [cloud for cloud, count in clouds for _ in range(count)]
    left = Counter(ordered)
    assigned: dict[InstanceKey, str] = {}
    wanted = list(keys)
    for where in (places.get, lambda key: ordered[key.index - 1]):
        for key in wanted:
            cloud = where(key)
            if key not in assigned and cloud is not None and left[cloud] > 0:
                left[cloud] -= 1
                assigned[key] = cloud
    free = (cloud for cloud in ordered if left[cloud] > 0)
    for key in wanted:
        if key not in assigned:
            assigned[key] = cloud = next(free)
            left[cloud] -= 1
    return {key: assigned[key] for key in wanted}
