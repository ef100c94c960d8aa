"""Quay, a cloud of one's own with an API over HTTP, as a libcloud driver."""

import json
from datetime import datetime
from typing import Any

from libcloud.common.base import ConnectionKey, JsonResponse
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize
from libcloud.compute.types import NodeState

_STATES = {"booting": NodeState.PENDING, "up": NodeState.RUNNING, "down": NodeState.STOPPED}


class QuayConnection(ConnectionKey):
    """What libcloud raises for an answer of 400 and more says enough: status and text."""

    responseCls = JsonResponse  # noqa: N815  # libcloud's name

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "X-Quay-Key": self.key, "Content-Type": "application/json"}


class QuayNodeDriver(NodeDriver):
    type = "quay"
    name = "Quay"
    website = "https://quay.example.org"
    connectionCls = QuayConnection  # noqa: N815  # libcloud's name

    def list_nodes(self) -> list[Node]:
        """Every machine of the account: Headwater finds its own by what `ex_metadata` said."""
        return [self._node(each) for each in self._ask("GET", "machines")["machines"]]

    def list_sizes(self, location: Any = None) -> list[NodeSize]:
        del location
        return [
            NodeSize(
                id=each["name"],
                name=each["name"],
                ram=each["memory"],
                disk=each["disk"],
                bandwidth=None,
                price=each["price"],
                driver=self,
                extra={"vcpus": each["cpus"]},
            )
            for each in self._ask("GET", "sizes")["sizes"]
        ]

    def list_images(self, location: Any = None) -> list[NodeImage]:
        del location
        images = self._ask("GET", "images")["images"]
        return [NodeImage(id=each["id"], name=each["name"], driver=self) for each in images]

    def create_node(  # type: ignore[override]  # noqa: PLR0917  # libcloud's way
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        ex_metadata: dict[str, str],
        ex_userdata: str,
        ex_token: str,
    ) -> Node:
        """The names of the last three say what this driver can do."""
        wanted = {"name": name, "size": size.id, "image": image.id, "token": ex_token}
        said = {**wanted, "labels": ex_metadata, "userdata": ex_userdata}
        return self._node(self._ask("POST", "machines", said))

    def destroy_node(self, node: Node) -> bool:
        self._ask("DELETE", f"machines/{node.id}")
        return True

    def _ask(self, method: str, what: str, said: Any = None) -> Any:
        connection: Any = self.connection
        body = None if said is None else json.dumps(said)
        return connection.request(f"/v1/{what}", method=method, data=body).object

    def _node(self, shown: dict[str, Any]) -> Node:
        return Node(
            id=shown["id"],
            name=shown["name"],
            state=_STATES.get(shown["state"], NodeState.UNKNOWN),
            public_ips=[shown["address"]] if shown["address"] else [],
            private_ips=[],
            driver=self,
            created_at=datetime.fromisoformat(shown["created"]),
            extra={"metadata": shown["labels"]},
        )
