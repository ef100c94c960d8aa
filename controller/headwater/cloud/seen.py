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
    chores: tuple[str, ...] = ()
    """What there is to put right besides the machines, for `Provider.tidy`: what those that are
    gone have left behind, and what those that are there lack.
    """
