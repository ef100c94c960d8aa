"""Volumes of one embedded cloud: folders that are moved to the machine which has them.

A machine sees its folder of attached volumes (`Layout.attached`) from its first boot on; a volume
is plugged in and out by a rename, which nothing that runs there notices before.
"""

import json
import logging
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headwater.cloud.local.layout import Layout, folders, remove_tree
from headwater.cloud.local.wire import HostError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Volume:
    id: str
    name: str
    token: str
    """Orders with the same token mean the same volume."""
    size: int
    """As ordered, in GiB: a folder takes what it needs."""
    created: str
    """ISO 8601, UTC."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    """Which has it; empty while none has."""
    device: str = ""
    """Its place on that machine."""


def load_all(layout: Layout) -> list[Volume]:
    """By id. Records that cannot be read are logged by name."""
    found = []
    for file in sorted(layout.volumes.glob("*.json")):
        try:
            found.append(Volume(**json.loads(file.read_text())))
        except FileNotFoundError:
            continue  # deleted meanwhile
        except (ValueError, TypeError) as error:
            _log.warning("volume.corrupt", extra={"file": str(file), "error": str(error)})
    return found


class Shelf:
    """The host process's own: one verb at a time. Raises HostError, OSError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._volumes = {volume.id: volume for volume in load_all(layout)}

    def listing(self) -> list[dict[str, Any]]:
        return [asdict(volume) for volume in self._volumes.values()]

    def make(self, order: Mapping[str, Any]) -> dict[str, Any]:
        for volume in self._volumes.values():
            if volume.token == order["token"]:
                return asdict(volume)
        volume = Volume(
            id=f"vol-{secrets.token_hex(4)}",
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            **order,
        )
        self._home(volume).mkdir(parents=True)
        self._save(volume)
        return asdict(volume)

    def attach(self, id: str, machine: str, device: str) -> dict[str, Any]:
        volume = self._volume(id)
        if volume.machine not in {"", machine}:
            raise HostError(409, f"volume {id} is in use: {volume.machine} has it")
        self._save(replace(volume, machine=machine, device=device))
        self._move(self._home(volume), self._layout.attached(machine) / id)
        return asdict(self._volumes[id])

    def mark(self, id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        self._save(replace(self._volume(id), metadata=metadata))
        return asdict(self._volumes[id])

    def delete(self, id: str) -> None:
        volume = self._volume(id)
        if volume.machine:
            raise HostError(409, f"volume {id} is in use: {volume.machine} has it")
        remove_tree(self._home(volume))
        self._record(id).unlink(missing_ok=True)
        del self._volumes[id]

    def let_go(self, machine: str) -> None:
        """The machine has ended, and its folder of volumes with it."""
        place = self._layout.attached(machine)
        for volume in list(self._volumes.values()):
            if volume.machine == machine:
                self._move(place / volume.id, self._home(volume))
                self._save(replace(volume, machine="", device=""))
        remove_tree(place)

    def recover(self, machines: Collection[str]) -> None:
        """Let go what machines have that are gone, and finish what was interrupted."""
        for name in folders(self._layout.volumes):
            if not self._record(name).exists():  # its making or its deletion
                remove_tree(self._layout.volumes / name)
        for volume in list(self._volumes.values()):
            if volume.machine in machines:
                self._move(self._home(volume), self._layout.attached(volume.machine) / volume.id)
        gone = {volume.machine for volume in self._volumes.values()} | set(self._layout.plugged())
        for machine in gone - {"", *machines}:
            self.let_go(machine)

    def _volume(self, id: str) -> Volume:
        if id not in self._volumes:
            raise HostError(404, f"there is no volume {id} in {self._layout.root}")
        return self._volumes[id]

    def _home(self, volume: Volume) -> Path:
        """Where it lies while no machine has it."""
        return self._layout.volumes / volume.id

    def _record(self, id: str) -> Path:
        return self._layout.volumes / f"{id}.json"

    def _save(self, volume: Volume) -> None:
        """Replace the record at once, or leave the old one."""
        file = self._record(volume.id)
        scratch = file.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(volume), indent=1))
        scratch.replace(file)
        self._volumes[volume.id] = volume

    def _move(self, source: Path, target: Path) -> None:
        """What a machine has put in the place of its volume is not followed: it is empty then."""
        if source.is_dir() and not source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        elif not target.is_dir():
            target.mkdir(parents=True)
