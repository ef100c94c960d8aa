"""The embedded cloud as a libcloud driver."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import (
    Node,
    NodeAuthPassword,
    NodeAuthSSHKey,
    NodeDriver,
    NodeImage,
    NodeLocation,
    NodeSize,
    StorageVolume,
    VolumeSnapshot,
)
from libcloud.compute.types import NodeState, StorageVolumeState

from headwater.cloud.local.client import HostClient
from headwater.cloud.local.layout import Layout
from headwater.cloud.local.wire import HostError

_log = logging.getLogger("headwater.cloud.local")

_GONE = 404
_NOTES = {"machine": ("the outside by an HTTP proxy alone",)}
_STATES = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopped": NodeState.STOPPED,
    "error": NodeState.ERROR,
}


class LocalNodeDriver(NodeDriver):
    """Machines that are real, on this host; they live in `directory` and outlive this process.

    Every call raises libcloud's BaseHTTPError with a text for people and a code that says whose
    move it is: 400 the caller's, 404 no such machine, 507 the disk is full, other 5xx try again.
    """

    type = "local"
    name = "Embedded cloud on this host"
    website = ""
    features = {"create_node": ["ssh_key"]}  # noqa: RUF012  # libcloud's own way to say it

    def __init__(self, directory: str, level: str = "auto") -> None:
        """`level`: auto, machine, sandbox or process. Nothing is started before it is needed."""
        super().__init__(key="local")  # type: ignore[no-untyped-call]
        self._layout = Layout(Path(directory).resolve())
        self._host = HostClient(self._layout)
        self._level = level

    def list_nodes(self) -> list[Node]:
        """Every machine of the directory; none, and nothing started, where there is no directory.

        Records that cannot be read are logged by name; the others are listed.
        """
        if not self._host.has_machines():
            return []
        listing = self._ask("list")
        for note in listing["notes"]:
            _log.warning("cloud.local.note", extra={"note": note})
        return [self._node(each) for each in listing["nodes"]]

    def create_node(  # noqa: PLR0917  # libcloud's signature
        self,
        name: str,
        size: NodeSize | None = None,
        image: NodeImage | None = None,
        location: NodeLocation | None = None,
        auth: NodeAuthSSHKey | NodeAuthPassword | None = None,
        ex_metadata: Mapping[str, str] | None = None,
        ex_token: str | None = None,
    ) -> Node:
        """A running machine that accepts the key. The same token means the same machine."""
        del size, image, location  # there is one of each: this host
        order = {
            "name": name,
            "authorized_key": auth.pubkey if isinstance(auth, NodeAuthSSHKey) else "",
            "ex_metadata": ex_metadata or {},
            "ex_token": ex_token,
        }
        [created] = self.ex_create_nodes([order])
        if isinstance(created, Exception):
            raise created
        return created

    def ex_create_nodes(self, orders: Sequence[Mapping[str, Any]]) -> list[Node | BaseHTTPError]:
        """One answer per order, in order, in one round trip; what failed has left nothing.

        An order holds `name`, `authorized_key`, `ex_metadata` and `ex_token`.
        """
        wanted = [
            {
                "name": order["name"],
                "authorized_key": order.get("authorized_key", ""),
                "metadata": dict(order.get("ex_metadata") or {}),
                "token": order.get("ex_token") or uuid.uuid4().hex,
            }
            for order in orders
        ]
        answers = self._ask("create", level=self._level, orders=wanted)
        return [self._outcome(answer) for answer in answers]

    def destroy_node(self, node: Node) -> bool:
        """The machine and all that belonged to it is gone; also when it was gone before."""
        try:
            self._host.ask("remove", id=node.id)
        except HostError as error:
            if error.code != _GONE:
                raise _http(error) from error
        return True

    def list_volumes(self) -> list[StorageVolume]:
        """Every volume of the directory, whether a machine has it or not."""
        try:
            return [self._volume(shown) for shown in self._host.volumes()]
        except HostError as error:
            raise _http(error) from error

    def create_volume(  # noqa: PLR0917  # libcloud's signature
        self,
        size: int,
        name: str,
        location: NodeLocation | None = None,
        snapshot: VolumeSnapshot | None = None,
        ex_metadata: Mapping[str, str] | None = None,
        ex_clienttoken: str | None = None,
    ) -> StorageVolume:
        """An empty folder that outlives machines. The same token means the same volume."""
        del location, snapshot
        order = {
            "name": name,
            "token": ex_clienttoken or uuid.uuid4().hex,
            "size": size,
            "metadata": dict(ex_metadata or {}),
        }
        return self._volume(self._ask("make-volume", order=order))

    def attach_volume(self, node: Node, volume: StorageVolume, device: str | None = None) -> bool:
        """On the machine at once, at the place that `extra["devices"]` of the volume tells."""
        del device
        self._ask("attach-volume", id=volume.id, machine=node.id)
        return True

    def destroy_volume(self, volume: StorageVolume) -> bool:
        """With all that is in it; refused while a machine has it, and done when it is gone."""
        try:
            self._host.ask("delete-volume", id=volume.id)
        except HostError as error:
            if error.code != _GONE:
                raise _http(error) from error
        return True

    def ex_set_volume_metadata(self, volume: StorageVolume, metadata: Mapping[str, str]) -> None:
        self._ask("mark-volume", id=volume.id, metadata=dict(metadata))

    def ex_stop_node(self, node: Node) -> Node:
        """Shut down: programs get SIGTERM and 3 s. The file system stays."""
        return self._node(self._ask("stop", id=node.id))

    def ex_start_node(self, node: Node) -> Node:
        """Boot a stopped machine; its address may be another one than before."""
        return self._node(self._ask("start", id=node.id))

    def ex_kill_node(self, node: Node) -> Node:
        """Cut the power: every process is killed, the machine is stopped."""
        return self._node(self._ask("kill", id=node.id))

    def list_images(self, location: NodeLocation | None = None) -> list[NodeImage]:
        del location
        return [NodeImage(id="host", name="the system of this host", driver=self)]

    def list_sizes(self, location: NodeLocation | None = None) -> list[NodeSize]:
        del location
        return [NodeSize("host", "all of this host", 0, 0, 0, 0.0, self)]

    def list_locations(self) -> list[NodeLocation]:
        return [NodeLocation(id="here", name="this host", country="", driver=self)]

    def ex_probe(self) -> dict[str, str]:
        """Every level, best first, with the reason why it cannot be had; empty when it can."""
        probed: dict[str, str] = self._ask("probe")
        return probed

    def ex_description(self) -> str:
        """One line for people: the level that new machines get, and what keeps better ones away.

        Raises when the level asked for cannot be had.
        """
        return describe(self._level, self.ex_probe())

    def _ask(self, verb: str, **arguments: Any) -> Any:
        try:
            return self._host.ask(verb, **arguments)
        except HostError as error:
            raise _http(error) from error

    def _outcome(self, answer: Mapping[str, Any]) -> Node | BaseHTTPError:
        if "error" in answer:
            return _http(HostError(**answer["error"]))
        return self._node(answer["node"])

    def _volume(self, shown: Mapping[str, Any]) -> StorageVolume:
        used = bool(shown["machine"])
        return StorageVolume(
            shown["id"],
            shown["name"],
            shown["size"],
            self,
            StorageVolumeState.INUSE if used else StorageVolumeState.AVAILABLE,
            {
                "metadata": shown["metadata"],
                "attached_to": shown["machine"],
                "devices": [shown["device"]] if used else [],
                "created": datetime.fromisoformat(shown["created"]),
            },
        )

    def _node(self, shown: Mapping[str, Any]) -> Node:
        return Node(
            id=shown["id"],
            name=shown["name"],
            state=_STATES[shown["state"]],
            public_ips=[],
            private_ips=[shown["address"]] if shown["address"] else [],
            driver=self,
            extra={
                "metadata": shown["metadata"],
                "ssh_port": shown["port"],
                "host_key": shown["host_key"],
                "level": shown["level"],
                "created": shown["created"],
            },
            created_at=datetime.fromisoformat(shown["created"]),
        )


def describe(wanted: str, reasons: Mapping[str, str]) -> str:
    """Raises BaseHTTPError when the wanted level cannot be had."""
    missing: list[str] = []
    for level, reason in reasons.items():
        if not reason and wanted in ("auto", level):
            notes = [*missing, *_NOTES.get(level, ())]
            return f"local: level {level}" + (f" ({'; '.join(notes)})" if notes else "")
        if reason:
            missing.append(f"{level}: {reason}")
    raise _http(
        HostError(400, f"level {wanted} is not possible on this host: {'; '.join(missing)}")
    )


def _http(error: HostError) -> BaseHTTPError:
    return BaseHTTPError(error.code, error.text)  # type: ignore[no-untyped-call]
