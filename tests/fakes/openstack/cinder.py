"""Cinder: volumes. Its names are not unique, and it is told by nova who has them."""

import ast
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fakes.openstack.refusals import Refused

_KEYS = frozenset({"name", "size", "metadata", "availability_zone", "volume_type", "description"})
_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
_DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
_FORBIDDING = frozenset({"maintenance", "uploading"})
_WORDS = (
    "Invalid volume: Volume status must be available or error or error_restoring or"
    " error_extending or error_managing and must not be migrating, attached, belong to a group,"
    " have snapshots, awaiting a transfer, or be disassociated from snapshots after volume"
    " transfer."
)


@dataclass
class Disk:
    id: str
    name: str
    size: int
    metadata: dict[str, str]
    zone: str
    created: str
    status: str = "creating"
    server: str = ""
    """Who has it, or is to have it."""
    device: str = ""


@dataclass
class Cinder:
    """For one thread at a time."""

    project: str
    pending: float = 0.0
    """Seconds that everything takes: to make one, to attach it, to let it go, to delete it."""
    page: int = 1000
    zones: list[str] = field(default_factory=lambda: ["nova"])
    volumes: int = 1000
    """How many there may be."""
    gigabytes: int = 10000
    largest: int = 5000
    unlucky: str = ""
    """The status in which what is begun ends; empty: as it should."""
    disks: dict[str, Disk] = field(default_factory=dict)
    _due: dict[str, tuple[float, str]] = field(default_factory=dict)

    def create(self, asked: Mapping[str, Any]) -> object:
        """Raises Refused."""
        self._check(asked)
        zone = asked.get("availability_zone") or self.zones[0]
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        id, metadata = str(uuid.uuid4()), dict(asked.get("metadata", {}))
        disk = Disk(id, asked.get("name") or "", asked["size"], metadata, zone, created)
        self.disks[id] = disk
        told = {"volume": self.shown(disk)}
        self._begin(disk, "creating", "available")
        return told

    def find(self, wanted: Mapping[str, Sequence[str]], where: str) -> object:
        """A page, the newest first."""
        self.settle()
        found = [disk for disk in reversed(self.disks.values()) if _has(disk, wanted)]
        start = 0
        if marker := wanted.get("marker", [""])[0]:
            self.one(marker)
            start = [disk.id for disk in found].index(marker) + 1
        page = found[start : start + self.page]
        body: dict[str, Any] = {"volumes": [self.shown(disk) for disk in page]}
        if page and found[-1] is not page[-1]:
            href = f"{where}/volumes/detail?marker={page[-1].id}"
            body["volumes_links"] = [{"rel": "next", "href": href}]
        return body

    def one(self, id: str) -> Disk:
        self.settle()
        if id not in self.disks:
            raise Refused(404, f"Volume {id} could not be found.")
        return self.disks[id]

    def tell(self, id: str, metadata: Mapping[str, str]) -> object:
        """Beside what it has."""
        disk = self.one(id)
        if disk.status in _FORBIDDING:
            words = f"Invalid volume: Volume {id} status must not be '{disk.status}'"
            raise Refused(400, f"{words} to update metadata.")
        _check_metadata(metadata)
        disk.metadata |= metadata
        return {"metadata": disk.metadata}

    def delete(self, id: str) -> None:
        disk = self.one(id)
        if disk.status not in _DELETABLE:
            raise Refused(400, _WORDS)
        self._begin(disk, "deleting", "")

    def reserve(self, id: str, server: str, device: str) -> None:
        """For nova. Raises Refused."""
        disk = self.one(id)
        if disk.status != "available":
            words = f"Invalid volume: Volume {id} status must be available or downloading to"
            raise Refused(400, f"{words} reserve, but the current status is {disk.status}.")
        disk.server, disk.device = server, device
        self._begin(disk, "reserved", "in-use")

    def held(self, server: str) -> list[Disk]:
        return [disk for disk in self.disks.values() if disk.server == server]

    def let_go(self, server: str) -> None:
        """The server has ended."""
        for disk in self.held(server):
            self._begin(disk, "detaching", "available")

    def finish(self) -> None:
        """All that is pending."""
        self._due = {id: (0.0, status) for id, (_, status) in self._due.items()}
        self.settle()

    def settle(self) -> None:
        """What is due by now."""
        now = time.monotonic()
        for id, (at, status) in list(self._due.items()):
            if at > now:
                continue
            del self._due[id]
            if not status:
                del self.disks[id]
                continue
            disk = self.disks[id]
            disk.status = status
            if status == "available":
                disk.server = disk.device = ""

    def shown(self, disk: Disk) -> dict[str, Any]:
        """Only what a server has by now is told."""
        use = {
            "id": disk.id,
            "volume_id": disk.id,
            "attachment_id": str(uuid.UUID(int=1)),
            "server_id": disk.server,
            "device": disk.device,
            "host_name": None,
            "attached_at": disk.created,
        }
        has = disk.server and disk.status not in {"reserved", "attaching"}
        return {
            "id": disk.id,
            "name": disk.name,
            "description": None,
            "status": disk.status,
            "size": disk.size,
            "metadata": dict(disk.metadata),
            "availability_zone": disk.zone,
            "attachments": [use] if has else [],
            "volume_type": "__DEFAULT__",
            "bootable": "false",
            "encrypted": False,
            "multiattach": False,
            "snapshot_id": None,
            "source_volid": None,
            "created_at": disk.created,
            "updated_at": None,
            "os-vol-tenant-attr:tenant_id": self.project,
        }

    def shown_zones(self) -> object:
        told = [{"zoneName": zone, "zoneState": {"available": True}} for zone in self.zones]
        return {"availabilityZoneInfo": told}

    def _begin(self, disk: Disk, status: str, end: str) -> None:
        disk.status = status
        self._due[disk.id] = time.monotonic() + self.pending, self.unlucky or end
        self.settle()

    def _check(self, asked: Mapping[str, Any]) -> None:
        if unknown := set(asked) - _KEYS:
            words = f"Additional properties are not allowed ('{min(unknown)}' was unexpected)"
            raise Refused(400, words)
        _check_metadata(asked.get("metadata", {}))
        zone, size = asked.get("availability_zone"), int(asked["size"])
        if zone and zone not in self.zones:
            raise Refused(400, f"Invalid input received: Availability zone '{zone}' is invalid.")
        if size > self.largest:
            words = f"Requested volume size {size}G is larger than maximum allowed limit"
            raise Refused(413, f"{words} {self.largest}G.", retry_after="0")
        if len(self.disks) >= self.volumes:
            words = f"Maximum number of volumes allowed ({self.volumes}) exceeded for quota"
            raise Refused(413, f"VolumeLimitExceeded: {words} 'volumes'.", retry_after="0")
        used = sum(disk.size for disk in self.disks.values())
        if used + size > self.gigabytes:
            words = "Requested volume or snapshot exceeds allowed gigabytes quota."
            more = f"Requested {size}G, quota is {self.gigabytes}G and {used}G has been consumed."
            said = f"VolumeSizeExceedsAvailableQuota: {words} {more}"
            raise Refused(413, said, retry_after="0")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        if not _KEY.fullmatch(key) or not isinstance(value, str) or len(value) > 255:
            raise Refused(400, f"Invalid input for field/attribute metadata. Value: {value}.")


def _has(disk: Disk, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Cinder takes values for expressions of Python where it can."""
    metadata: Mapping[str, str] = ast.literal_eval(wanted.get("metadata", ["{}"])[0])
    named = disk.name == wanted.get("name", [disk.name])[0]
    return named and metadata.items() <= disk.metadata.items()
