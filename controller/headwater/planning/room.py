"""What the quotas of Cloud manifests leave (`spec.quota`), all deployments together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headwater.errors import HeadwaterError
from headwater.manifests.resolved import Catalog, Quota, Size
from headwater.topology.machines import Capabilities
from headwater.topology.sizes import Offer, choose

UNITS = {"machines": "instances", "cpus": "cpus", "memory": "memory"}
"""What is counted, and its key in `spec.quota`; memory is in bytes."""
_GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Room:
    """How much more of ours a cloud may hold."""

    left: Mapping[str, int]
    """By what is counted (`amounts`); what has no quota is not in it. Negative: too much."""
    sizes: tuple[Offer, ...] = ()
    """What the cloud sells."""

    def takes(self, size: Size) -> dict[str, int]:
        """Of what is limited, as much as such a machine is."""
        every = amounts(size, self.sizes)
        return {unit: every[unit] for unit in self.left}


def amounts(size: Size, offers: tuple[Offer, ...]) -> dict[str, int]:
    """What a machine is: its size, or else as asked for; a name that nobody knows tells nothing."""
    offer = choose(offers, size)
    cpus, memory = (offer.cpus, offer.memory) if offer else (size.cpus or 0, size.memory or 0)
    return {"machines": 1, "cpus": cpus, "memory": memory}


def room(
    catalog: Catalog,
    held: Callable[[str], Mapping[Size, int]],
    capabilities: Callable[[str], Capabilities],
) -> dict[str, Room]:
    """For each cloud with a quota; `held` counts the machines that it holds, by size."""
    found = {}
    for name, cloud in catalog.clouds.items():
        if cloud.quota != Quota():
            sizes = _sizes(name, capabilities)
            left = limits(cloud.quota)
            for size, count in held(name).items():
                taken = amounts(size, sizes)
                left = {unit: amount - count * taken[unit] for unit, amount in left.items()}
            found[name] = Room(left, sizes)
    return found


def limits(quota: Quota) -> dict[str, int]:
    """What is limited, by unit."""
    every = {unit: getattr(quota, key) for unit, key in UNITS.items()}
    return {unit: limit for unit, limit in every.items() if limit is not None}


def written(amount: int, unit: str) -> str:
    return f"{amount / _GIBIBYTE:.4g} GiB of memory" if unit == "memory" else f"{amount} {unit}"


def _sizes(cloud: str, capabilities: Callable[[str], Capabilities]) -> tuple[Offer, ...]:
    """None of a cloud that cannot be used: nothing is made there either."""
    try:
        return capabilities(cloud).sizes or ()
    except HeadwaterError:
        return ()
