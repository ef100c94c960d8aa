"""Cinder's words for a volume, read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from headwater.cloud.openstack.api import Body
from headwater.cloud.openstack.tags import ZONE
from headwater.cloud.sizes import GIBIBYTE
from headwater.cloud.volume_tags import from_metadata
from headwater.topology.volumes import Volume, VolumeId, VolumeState, volume_name

_STATES = {
    "creating": VolumeState.CREATING,
    "downloading": VolumeState.CREATING,
    "available": VolumeState.AVAILABLE,
}
"""All others are on their way somewhere, or errors."""
_GONE = frozenset({"deleting", "deleted"})
_NAMED = "/dev/disk/by-id/"
_SERIAL = 20
"""Characters of a volume's id that a disk of virtio has room for."""


def volume_of(item: Body, installation: str, cloud: str) -> Volume | None:
    """None for one that is not ours, or that goes."""
    metadata: Mapping[str, object] = item.get("metadata") or {}
    tags = from_metadata(metadata, installation, cloud)
    if tags is None or item["status"] in _GONE:
        return None
    id, uses = str(item["id"]), item.get("attachments") or ()
    return Volume(
        id=VolumeId(cloud, id),
        name=volume_name(tags.key),
        tags=tags,
        state=_state(str(item["status"]), uses),
        size=int(item["size"]) * GIBIBYTE,
        machine=str(uses[0]["server_id"]) if uses else "",
        devices=devices_of(id) if uses else (),
        zone=str(metadata.get(ZONE) or ""),
        created=_moment(str(item.get("created_at"))),
    )


def _state(status: str, uses: Sequence[Body]) -> VolumeState:
    """Much is done to volumes, or goes wrong with them, while a machine keeps them."""
    if uses:
        return VolumeState.CHANGING if status == "detaching" else VolumeState.ATTACHED
    if status.startswith("error"):
        return VolumeState.FAILED
    return _STATES.get(status, VolumeState.CHANGING)


def devices_of(id: str) -> tuple[str, ...]:
    """By the volume's id alone: what nova calls a device is a guess, and may be another disk."""
    disk = f"{_NAMED}scsi-0QEMU_QEMU_HARDDISK_"
    return f"{_NAMED}virtio-{id[:_SERIAL]}", f"{disk}{id[:_SERIAL]}", f"{disk}{id}"


def _moment(said: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
