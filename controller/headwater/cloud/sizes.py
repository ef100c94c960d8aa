"""From what a machine needs to a size that a cloud sells."""

from collections.abc import Iterable, Mapping

from libcloud.compute.base import NodeSize

from headwater.errors import Stalled
from headwater.manifests.resolved import Size
from headwater.topology.machines import Ability
from headwater.topology.sizes import Offer, choose

_MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
_CPUS = ("vcpus", "vcpu", "cpu", "guestCpus")


def choose_size(sizes: Iterable[NodeSize], wanted: Size, cloud: str) -> NodeSize:
    """The named size, or else the cheapest that has all that is wanted. Raises Stalled."""
    by_offer = {offer_of(size): size for size in sizes}
    chosen = choose(by_offer, wanted)
    if chosen is None:
        raise Stalled(no_size(wanted, cloud))
    return by_offer[chosen]


def offer_of(size: NodeSize) -> Offer:
    """A price of 0 is an unknown one: price lists have holes."""
    extra: Mapping[str, object] = size.extra or {}
    cpus = next((str(extra[key]) for key in _CPUS if extra.get(key)), "0")
    return Offer(
        id=str(size.id),
        name=str(size.name),
        cpus=int(cpus) if cpus.isdecimal() else 0,
        memory=(size.ram or 0) * _MEBIBYTE,
        disk=(size.disk or 0) * GIBIBYTE,
        price=size.price or None,
    )


def prices(offers: Iterable[Offer]) -> frozenset[Ability]:
    """The ability to tell them, where it does of any."""
    known = any(offer.price is not None for offer in offers)
    return frozenset({Ability.PRICES}) if known else frozenset()


def no_size(wanted: Size, cloud: str) -> str:
    return (
        f"cloud {cloud!r} has no size {shown(wanted)}: change spec.size of the component, or the"
        " spec.sizes of the Cloud"
    )


def shown(wanted: Size) -> str:
    if wanted.name is not None:
        return repr(wanted.name)
    return f"with {wanted.cpus or 0} cpus, {wanted.memory or 0} bytes, disk {wanted.disk or 0}"
