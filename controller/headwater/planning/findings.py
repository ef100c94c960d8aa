"""What a cloud has for what the manifests ask of it, told line by line."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from headwater.manifests.resolved import Catalog, Quota, ResolvedCloud, Size
from headwater.planning.prices import PriceList
from headwater.planning.problems import lacks
from headwater.planning.room import UNITS, amounts, limits, written
from headwater.topology.desired import InstanceSpec
from headwater.topology.machines import Capabilities, Listing
from headwater.topology.sizes import choose

_GIBIBYTE = 1 << 30
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    words: str
    """With what to do next, where it is not ok."""


def unread(catalog: Catalog) -> Iterator[Finding]:
    """What the manifests ask is not all known."""
    if catalog.failed or not catalog.complete:
        what = _listed(catalog.failed) or "some files"
        words = f"{what} cannot be read, and what they ask for is not looked at"
        yield Finding("manifests", ok=False, words=f"{words}: see headwater validate")


def access(listing: Listing) -> Finding:
    if not listing.complete:
        return Finding("access", ok=False, words=listing.error)
    words = f"{len(listing.machines)} machines of ours, {listing.unknown} others"
    return Finding("access", ok=True, words=words)


def quotas(
    cloud: ResolvedCloud,
    held: Iterable[Size],
    wanted: Iterable[Size],
    able: Capabilities,
) -> Iterator[Finding]:
    """Ours: what is there of each, and what the manifests ask for."""
    if cloud.quota == Quota():
        yield Finding("limits", ok=True, words="no quota of ours (spec.quota)")
    there, asked = (_total(sizes, able) for sizes in (held, wanted))
    for unit, limit in limits(cloud.quota).items():
        words = (
            f"quota of {written(limit, unit)}: {written(there[unit], unit)} there,"
            f" {written(asked[unit], unit)} asked for"
        )
        fits = asked[unit] <= limit
        raise_it = "" if fits else f"; raise spec.quota.{UNITS[unit]} of the Cloud, or ask for less"
        yield Finding("limits", ok=fits, words=words + raise_it)


def told(limits: Mapping[str, int]) -> Iterator[Finding]:
    """What the cloud itself tells of its limits."""
    if limits:
        words = ", ".join(f"{name} {limit}" for name, limit in sorted(limits.items()))
        yield Finding("limits", ok=True, words=f"the cloud's own: {words}")


def capabilities(able: Capabilities, wanted: Collection[InstanceSpec]) -> Iterator[Finding]:
    can = ", ".join(sorted(ability.value for ability in able.abilities))
    yield Finding("capabilities", ok=True, words=f"{able.description}; {can}")
    problems = dict.fromkeys(
        f"deployment {spec.key.deployment}: {problem}"
        for spec in wanted
        for problem in lacks(spec, able)
    )
    for problem in problems:
        words = f"{problem}: take the field out, or place the node at another cloud"
        yield Finding("capabilities", ok=False, words=words)


def sizes(
    wanted: Collection[InstanceSpec], able: Capabilities, prices: PriceList
) -> Iterator[Finding]:
    """One per size that is asked for."""
    askers: dict[Size, list[InstanceSpec]] = {}
    for spec in wanted:
        askers.setdefault(spec.machine.size, []).append(spec)
    for size, specs in askers.items():
        who = f"{_asked(size)} for {nodes(specs)}"
        offer = choose(able.sizes or (), size)
        if able.sizes is None:
            yield Finding("sizes", ok=True, words=f"{who}: as asked for, no sizes are sold here")
        elif offer is None:
            step = "change spec.size of the component, or spec.sizes of the Cloud"
            yield Finding("sizes", ok=False, words=f"{who}: there is none; {step}")
        else:
            price = prices.of(specs[0].machine.cloud, size)
            costs = "price unknown" if price is None else f"{price:.4f} per hour"
            what = f"{offer.cpus} cpus, {written(offer.memory, 'memory')}"
            yield Finding("sizes", ok=True, words=f"{who}: {offer.name} ({what}, {costs})")


def nodes(specs: Iterable[InstanceSpec]) -> str:
    """Who asks."""
    return _listed({f"{spec.key.deployment}/{spec.key.node}" for spec in specs})


def _listed(names: Iterable[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _asked(size: Size) -> str:
    if size.name is not None:
        return repr(size.name)
    needs = [
        *([f"{size.cpus} cpus"] if size.cpus else []),
        *([written(size.memory, "memory")] if size.memory else []),
        *([f"{size.disk / _GIBIBYTE:.4g} GiB of disk"] if size.disk else []),
    ]
    return ", ".join(needs) or "any size"


def _total(sizes: Iterable[Size], able: Capabilities) -> Counter[str]:
    total: Counter[str] = Counter()
    for size, count in Counter(sizes).items():
        total.update({unit: n * count for unit, n in amounts(size, able.sizes or ()).items()})
    return total
