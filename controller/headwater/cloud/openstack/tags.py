"""What our servers and volumes carry besides what those of every cloud do."""

from libcloud.compute.base import Node

TOKEN = "headwater:token"  # noqa: S105  # a name
"""Of the call that made a machine, by which its first host key is known."""
ADDRESS = "headwater:address"
FLOATING = "floating"
"""The machine is to be reached at a floating address, and not before it has one."""

ZONE = "headwater:zone"
"""Of a volume that was made where its machine was, and is no use elsewhere."""


def wants_floating(node: Node) -> bool:
    return bool(node.extra["metadata"].get(ADDRESS) == FLOATING)
