"""A libcloud driver over accounts in memory, slow and faulty as told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize
from libcloud.compute.providers import DRIVERS
from libcloud.compute.types import NodeState

DRIVER = "memory"
HOST_KEY = "ssh-ed25519 AAAAhost"


@dataclass
class MemoryAccount:
    """`failure` is raised by every call; `gate` holds every call up while it is not set."""

    nodes: dict[str, Node] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    """(name, thread)"""
    failure: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    drivers: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def enter(self, call: str) -> None:
        self.calls.append((call, threading.get_ident()))
        assert self.gate.wait(30)
        if self.failure is not None:
            raise self.failure

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)


class MemoryDriver(NodeDriver):
    """Terminated nodes stay listed, as on EC2; a create has no token, as on OpenStack."""

    type = DRIVER
    name = "Memory"
    website = ""
    features = {"create_node": ["ssh_key", "host_key"]}  # noqa: RUF012  # libcloud's form

    def __init__(self, account: MemoryAccount) -> None:
        super().__init__("key")  # type: ignore[no-untyped-call]
        self._account = account
        account.drivers += 1

    def list_nodes(self) -> list[Node]:
        self._account.enter("list")
        return list(self._account.nodes.values())

    def list_sizes(self, location: Any = None) -> list[NodeSize]:
        del location
        return [
            NodeSize("large", "large", 16384, 100, None, 0.4, self, {"vcpus": 8}),
            NodeSize("small", "small", 2048, 20, None, 0.1, self, {"vcpus": 1}),
        ]

    def list_images(self, location: Any = None) -> list[NodeImage]:
        del location
        return [NodeImage("image-1", "Debian", self)]

    def create_node(self, name, size, image, auth, ex_metadata):  # type: ignore[no-untyped-def,override]
        self._account.enter("create")
        number = len(self._account.nodes) + 1
        node = Node(
            f"n-{number}",
            name,
            NodeState.RUNNING,
            ["198.51.100.1"],
            ["10.0.0.1"],
            self,
            size=size,
            image=image,
            extra={"metadata": dict(ex_metadata), "key": auth.pubkey, "host_key": HOST_KEY},
        )
        self._account.nodes[str(node.id)] = node
        return node

    def destroy_node(self, node: Node) -> bool:
        self._account.enter("destroy")
        found = self._account.nodes.get(str(node.id))
        if found is None or found.state == NodeState.TERMINATED:
            raise BaseHTTPError(404, "no such instance")  # type: ignore[no-untyped-call]
        found.state = NodeState.TERMINATED
        return True


@contextmanager
def registered() -> Iterator[None]:
    """libcloud knows the driver by the name `memory`."""
    names: dict[Any, Any] = DRIVERS
    names[DRIVER] = (MemoryDriver.__module__, MemoryDriver.__name__)
    try:
        yield
    finally:
        del names[DRIVER]
