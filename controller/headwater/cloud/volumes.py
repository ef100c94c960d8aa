"""One account's volumes, behind the few calls that we make.

A driver of libcloud can have volumes where it knows `list_volumes`, `attach_volume`,
`destroy_volume`, a `create_volume` that takes `ex_metadata`, and `ex_set_volume_metadata(volume,
metadata)`. Of the `extra` of its StorageVolumes we read

- `metadata` (or `tags`): ours came back as they were written;
- `attached_to`: the id of the machine that has it; `devices`: how it is called there;
- `zone`, where machines of another one cannot have it; `created`, a datetime.

A provider that speaks another language has its own Volumes instead, as `cloud/ec2/` does.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from libcloud.compute.base import Node, NodeDriver, StorageVolume
from libcloud.compute.types import NodeState, StorageVolumeState

from headwater.cloud.sizes import GIBIBYTE
from headwater.cloud.volume_tags import from_metadata, to_metadata
from headwater.errors import Transient
from headwater.topology.machines import Machine
from headwater.topology.volumes import (
    Volume,
    VolumeId,
    VolumeOrder,
    VolumeState,
    VolumeTags,
)

_STATES: dict[str, VolumeState] = {
    StorageVolumeState.AVAILABLE: VolumeState.AVAILABLE,
    StorageVolumeState.INUSE: VolumeState.ATTACHED,
    StorageVolumeState.CREATING: VolumeState.CREATING,
    StorageVolumeState.ERROR: VolumeState.FAILED,
}
"""All others are on their way somewhere."""
_GONE = frozenset({StorageVolumeState.DELETED, StorageVolumeState.DELETING})
_CALLS = (
    "list_volumes",
    "create_volume",
    "attach_volume",
    "destroy_volume",
    "ex_set_volume_metadata",
)


class Volumes(Protocol):
    """Blocking, and for one thread. Raises what its driver raises."""

    def list(self) -> Sequence[Volume]:
        """Those of this installation and this Cloud manifest, in one look."""

    def create(self, order: VolumeOrder) -> Volume:
        """Where its machine can have it. The same token, or tags, mean the same volume."""

    def attach(self, volume: Volume, machine: Machine, taken: Collection[str]) -> Volume:
        """As it is then; again, it changes nothing. Transient while another machine has it.

        `taken` are the names of devices that other volumes of ours have on the machine.
        """

    def retag(self, volume: Volume, tags: VolumeTags) -> None: ...

    def delete(self, volume: Volume) -> None:
        """What is gone is deleted. Transient while a machine has it."""


def has_volumes(driver: NodeDriver) -> bool:
    """Whether a driver of libcloud knows all that `DriverVolumes` asks of it."""
    kind, base = type(driver), NodeDriver
    own = all(getattr(kind, name, None) not in {None, getattr(base, name, None)} for name in _CALLS)
    return own and "ex_metadata" in inspect.signature(driver.create_volume).parameters


class DriverVolumes:
    """Through the calls that libcloud has for volumes."""

    def __init__(self, driver: NodeDriver, installation: str, cloud: str) -> None:
        self._driver: Any = driver
        self._installation = installation
        self._cloud = cloud
        self._accepts = set(inspect.signature(driver.create_volume).parameters)

    def list(self) -> Sequence[Volume]:
        seen = (volume_of(each, self._installation, self._cloud) for each in self._present())
        return [volume for volume in seen if volume is not None]

    def create(self, order: VolumeOrder) -> Volume:
        tokens = "ex_clienttoken" in self._accepts
        before = () if tokens else self.list()
        for volume in before:
            if volume.key == order.tags.key:
                return volume
        made = self._driver.create_volume(
            size=-(-order.size // GIBIBYTE),
            name=order.name,
            ex_metadata=to_metadata(order.tags, self._cloud),
            **({"ex_clienttoken": order.token} if tokens else {}),
        )
        return self._as_made(made, order)

    def attach(
        self,
        volume: Volume,
        machine: Machine,
        taken: Collection[str],  # noqa: ARG002  # the cloud names devices
    ) -> Volume:
        there = self._find(volume)
        if there.machine != machine.id.id:
            if not there.is_free:
                raise in_use(there)
            node = Node(machine.id.id, "", NodeState.RUNNING, [], [], self._driver)
            self._driver.attach_volume(node, self._bare(there))
            there = self._find(volume)
        if there.is_free:  # the listing does not know yet
            there = replace(there, state=VolumeState.CHANGING, machine=machine.id.id)
        return there

    def retag(self, volume: Volume, tags: VolumeTags) -> None:
        self._driver.ex_set_volume_metadata(self._bare(volume), to_metadata(tags, self._cloud))

    def delete(self, volume: Volume) -> None:
        there = next((each for each in self.list() if each.id == volume.id), None)
        if there is None:
            return
        if not there.is_free and there.state is not VolumeState.FAILED:
            raise in_use(there)
        self._driver.destroy_volume(self._bare(there))

    def _present(self) -> Sequence[StorageVolume]:
        return [each for each in self._driver.list_volumes() if each.state not in _GONE]

    def _find(self, volume: Volume) -> Volume:
        found = next((each for each in self.list() if each.id == volume.id), None)
        if found is None:
            raise Transient(f"volume {volume.id} ({volume.key}) is not there")
        return found

    def _as_made(self, made: StorageVolume, order: VolumeOrder) -> Volume:
        """The answer of some drivers lacks the tags that they were given."""
        written = {**(made.extra or {}), "metadata": to_metadata(order.tags, self._cloud)}
        extra = made.extra if self._read(made) else written
        told = StorageVolume(made.id, made.name, made.size, made.driver, made.state, extra)
        volume = self._read(told)
        if volume is None:
            raise ValueError(f"volume {made.id} does not carry what it was given")
        return volume

    def _read(self, seen: StorageVolume) -> Volume | None:
        return volume_of(seen, self._installation, self._cloud)

    def _bare(self, volume: Volume) -> StorageVolume:
        return StorageVolume(volume.id.id, volume.name, 0, self._driver)


def volume_of(seen: StorageVolume, installation: str, cloud: str) -> Volume | None:
    """None for one that is not ours."""
    extra: Mapping[str, Any] = seen.extra or {}
    metadata = extra.get("metadata") or extra.get("tags") or {}
    tags = from_metadata(metadata, installation, cloud)
    if tags is None:
        return None
    return Volume(
        id=VolumeId(cloud, str(seen.id)),
        name=str(seen.name),
        tags=tags,
        state=_STATES.get(seen.state or "", VolumeState.CHANGING),
        size=int(seen.size or 0) * GIBIBYTE,
        machine=str(extra.get("attached_to") or ""),
        devices=tuple(map(str, extra.get("devices") or ())),
        zone=str(extra.get("zone") or ""),
        created=_created(extra.get("created")),
    )


def _created(said: object) -> datetime | None:
    if not isinstance(said, datetime):
        return None
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def in_use(volume: Volume) -> Transient:
    """Why nothing can be done with it now."""
    has = volume.machine or "a machine"
    return Transient(f"volume {volume.id} ({volume.key}) is in use: {has} still has it")
