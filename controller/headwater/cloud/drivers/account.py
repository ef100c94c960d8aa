"""What the threads of one account share, and how its machines are known."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from libcloud.compute.base import Node

from headwater.cloud.hostkeys import HostKeys
from headwater.topology.digests import digest
from headwater.topology.machines import Tags


@dataclass
class DriverAccount:
    cloud: str
    installation: str
    region: str
    keys: HostKeys
    lock: threading.Lock = field(default_factory=threading.Lock)
    key_names: dict[str, str] = field(default_factory=dict)
    """By login key: what the cloud calls it."""
    printed: dict[str, str] = field(default_factory=dict)
    """By machine: the host key that its console has told."""
    _nodes: dict[str, Node] = field(default_factory=dict)

    def saw(self, nodes: Iterable[Node]) -> None:
        """Everything that is there."""
        self._nodes = {str(node.id): node for node in nodes}
        self.printed = {id: key for id, key in self.printed.items() if id in self._nodes}

    def made(self, node: Node) -> None:
        self._nodes[str(node.id)] = node

    def node(self, id: str) -> Node | None:
        """As it was seen last: some drivers end a machine by what they listed of it."""
        return self._nodes.get(id)

    def token(self, tags: Tags) -> str:
        """Of a creation, by what its machine carries: it makes the one-time host key."""
        return digest([self.installation, self.cloud, str(tags.key), tags.incarnation])
