"""What a provider sees of its account."""

from collections.abc import Sequence
from dataclasses import dataclass

from libcloud.compute.base import Node


@dataclass(frozen=True, slots=True)
class Seen:
    nodes: Sequence[Node]
    """Every machine of ours, and any of others."""
    others: int = 0
    """Machines that are not ours, besides."""
    unused: tuple[str, ...] = ()
    """What was made for machines that are gone, for `Provider.remove`."""
