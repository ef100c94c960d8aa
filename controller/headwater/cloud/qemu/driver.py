"""Machines of QEMU as a libcloud driver."""

import contextlib
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize
from libcloud.compute.types import NodeState

from headwater.cloud.qemu import images, seed
from headwater.cloud.qemu.command import PROGRAM
from headwater.cloud.qemu.fleet import Fleet, Order
from headwater.cloud.qemu.process import StartError
from headwater.cloud.qemu.record import Record

_log = logging.getLogger("headwater.cloud.qemu")
_STATES = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopped": NodeState.STOPPED,
    "error": NodeState.ERROR,
}
_ACCELERATORS = ("auto", "kvm", "tcg")
_CPUS, _MEMORY = 1, 1024
"""Of a machine that does not say."""
_MEBIBYTE, _GIBIBYTE = 1 << 20, 1 << 30


class QemuNodeDriver(NodeDriver):
    """Machines that live in `directory` and outlive this process.

    Every call raises libcloud's BaseHTTPError: 400 is the caller's move, 404 no such machine, 507
    no room, 500 try again.
    """

    type = "qemu"
    name = "QEMU on this host"
    website = "https://www.qemu.org"

    def __init__(self, directory: str, images: str = "", accelerator: str = "auto") -> None:
        """`images`: the folder of the qcow2 files; without it, `images` of the directory."""
        super().__init__("qemu")  # type: ignore[no-untyped-call]
        for program in (PROGRAM, "qemu-img"):
            if shutil.which(program) is None:
                raise _http(
                    400, f"{program} is not installed (Debian: qemu-system-x86, qemu-utils)"
                )
        if accelerator not in _ACCELERATORS:
            choice = ", ".join(_ACCELERATORS)
            raise _http(400, f"option accelerator = {accelerator!r} is none of {choice}")
        root = Path(directory).resolve()
        self._fleet = Fleet(root, Path(images) if images else root / "images", accelerator)

    def list_nodes(self) -> list[Node]:
        """Records that cannot be read are logged by name; the others are listed."""
        nodes = []
        for record, folder in self._fleet.records():
            if record is None:
                _log.warning("cloud.qemu.record_not_read", extra={"folder": str(folder)})
            else:
                nodes.append(self._node(record))
        return nodes

    def list_images(self, location: Any = None) -> list[NodeImage]:
        del location
        return [NodeImage(id=n, name=n, driver=self) for n in images.names(self._fleet.images)]

    def list_sizes(self, location: Any = None) -> list[NodeSize]:
        del location
        return []

    def ex_size(self, cpus: int | None, memory: int | None, disk: int | None) -> NodeSize:
        """Any size can be had; memory and disk in bytes."""
        mebibytes = -(-(memory or 0) // _MEBIBYTE) or _MEMORY
        gibibytes = -(-(disk or 0) // _GIBIBYTE)
        found, name = {"cpus": cpus or _CPUS}, f"{cpus or _CPUS}x{mebibytes}"
        return NodeSize(name, name, mebibytes, gibibytes, None, 0.0, self, found)

    def create_node(  # type: ignore[override]  # noqa: PLR0917  # libcloud's way
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        ex_metadata: Mapping[str, str] | None = None,
        ex_userdata: str = "",
        ex_token: str = "",
    ) -> Node:
        """The same token means the same machine, also where an earlier attempt broke off."""
        order = Order(
            name=name,
            token=ex_token or uuid.uuid4().hex,
            image=str(image.id),
            cpus=int((size.extra or {}).get("cpus", _CPUS)),
            memory=size.ram,
            disk=size.disk,
            user_data=ex_userdata,
            metadata=dict(ex_metadata or {}),
        )
        with _told():
            return self._node(self._fleet.create(order))

    def destroy_node(self, node: Node) -> bool:
        """The machine and its disk are gone; also when they were gone before."""
        with _told(), contextlib.suppress(FileNotFoundError):
            self._fleet.destroy(str(node.id))
        return True

    def stop_node(self, node: Node) -> bool:
        """As by its power button; after 20 s the power is cut. The disk stays."""
        with _told():
            self._fleet.stop(str(node.id))
        return True

    def start_node(self, node: Node) -> bool:
        with _told():
            self._fleet.start(str(node.id))
        return True

    def ex_get_console_output(self, node: Node) -> dict[str, str]:
        """The last 64 KiB of what it has written to its serial port, over all its boots."""
        with _told():
            return {"output": self._fleet.console(str(node.id))}

    def ex_accelerator(self) -> str:
        """`kvm` where that really works, or else `tcg`."""
        with _told():
            return self._fleet.accelerator()

    def _node(self, record: Record) -> Node:
        state = self._fleet.state(record, datetime.now(UTC))
        return Node(
            id=record.id,
            name=record.name,
            state=_STATES[state],
            public_ips=["127.0.0.1"] if state == "running" else [],
            private_ips=[],
            driver=self,
            created_at=datetime.fromisoformat(record.created),
            extra={
                "metadata": dict(record.metadata),
                "ssh_port": record.port,
                "inside": seed.address_of(record.number),
                "image": record.image,
            },
        )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except images.NoImageError as error:
        raise _http(400, str(error)) from error
    except ImportError as error:
        raise _http(400, f"{error.name} is missing: pip install 'headwater[qemu]'") from error
    except FileNotFoundError as error:
        raise _http(404, str(error)) from error
    except StartError as error:
        raise _http(500, f"QEMU does not start: {error}") from error
    except OSError as error:
        full = "space" in str(error).lower()
        raise _http(507 if full else 500, f"{type(error).__name__}: {error}") from error


def _http(code: int, text: str) -> Exception:
    error: Exception = BaseHTTPError(code, text)  # type: ignore[no-untyped-call]
    return error
