"""From what a machine needs to a size that a cloud sells."""

from collections.abc import Iterable, Mapping

from libcloud.compute.base import NodeSize

from headwater.errors import Stalled
from headwater.manifests.resolved import Size

_MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
_CPUS = ("vcpus", "vcpu", "cpu", "guestCpus")


def choose_size(sizes: Iterable[NodeSize], wanted: Size, cloud: str) -> NodeSize:
    """The named size, or else the cheapest that has all that is wanted. Raises Stalled."""
    if wanted.name is not None:
        fitting = [s for s in sizes if wanted.name in (s.id, s.name)]
    else:
        fitting = [s for s in sizes if _fits(s, wanted)]
    if not fitting:
        raise Stalled(
            f"cloud {cloud!r} has no size {_shown(wanted)}: change spec.size of the component, or"
            " the spec.sizes of the Cloud"
        )
    return min(fitting, key=_order)


def _order(size: NodeSize) -> tuple[object, ...]:
    """The cheapest first. No price is an unknown one: price lists have holes."""
    return (size.price or float("inf"), size.ram or 0, size.disk or 0, str(size.id))


def _fits(size: NodeSize, wanted: Size) -> bool:
    extra: Mapping[str, object] = size.extra or {}
    cpus = next((str(extra[key]) for key in _CPUS if extra.get(key)), "0")
    return (
        (int(cpus) if cpus.isdecimal() else 0) >= (wanted.cpus or 0)
        and (size.ram or 0) * _MEBIBYTE >= (wanted.memory or 0)
        and (size.disk or 0) * GIBIBYTE >= (wanted.disk or 0)
    )


def _shown(wanted: Size) -> str:
    if wanted.name is not None:
        return repr(wanted.name)
    return f"with {wanted.cpus or 0} cpus, {wanted.memory or 0} bytes, disk {wanted.disk or 0}"
