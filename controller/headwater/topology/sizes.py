"""Sizes that a cloud sells, and which of them a machine gets."""

from collections.abc import Iterable
from dataclasses import dataclass

from headwater.manifests.resolved import Size


@dataclass(frozen=True, slots=True)
class Offer:
    """One size of a cloud."""

    id: str
    name: str
    cpus: int = 0
    memory: int = 0
    """Bytes."""
    disk: int | None = None
    """Bytes; None where disks are bought by their own size."""
    price: float | None = None
    """Per hour, in the currency of the list; None where it is not known."""
    usual: bool = True
    """Others are taken for images of their kind, or when they are named."""


def choose(offers: Iterable[Offer], wanted: Size) -> Offer | None:
    """The named size, or else the cheapest that has all that is wanted; None if none has."""
    if wanted.name is not None:
        fitting = [offer for offer in offers if wanted.name in (offer.id, offer.name)]
    else:
        fitting = [offer for offer in offers if offer.usual and _fits(offer, wanted)]
    return min(fitting, key=_order, default=None)


def _order(offer: Offer) -> tuple[object, ...]:
    """The cheapest first; one without a price last: price lists have holes."""
    price = float("inf") if offer.price is None else offer.price
    return (price, offer.memory, offer.disk or 0, offer.id)


def _fits(offer: Offer, wanted: Size) -> bool:
    return (
        offer.cpus >= (wanted.cpus or 0)
        and offer.memory >= (wanted.memory or 0)
        and (offer.disk is None or offer.disk >= (wanted.disk or 0))
    )
