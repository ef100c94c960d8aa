"""EBS volumes, in the zones of the machines that they are for."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from libcloud.compute.drivers.ec2 import IdempotentParamError

from headwater.cloud.ec2.account import Ec2Account
from headwater.cloud.ec2.query import Query, code_of, filters, items, tag_specification, text
from headwater.cloud.sizes import GIBIBYTE
from headwater.cloud.tags import CLOUD, INSTALLATION
from headwater.cloud.volume_tags import from_metadata, to_metadata
from headwater.cloud.volumes import in_use
from headwater.errors import Stalled, Transient
from headwater.topology.machines import Machine
from headwater.topology.volumes import (
    Volume,
    VolumeId,
    VolumeOrder,
    VolumeState,
    VolumeTags,
    volume_name,
)

TYPE = "gp3"
_PRESENT = ("creating", "available", "in-use", "error")
_STATES = {
    "creating": VolumeState.CREATING,
    "available": VolumeState.AVAILABLE,
    "error": VolumeState.FAILED,
}
_LETTERS = "fghijklmnop"
"""Of /dev/sd?: those that EC2 recommends for data."""
_NITRO = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"


class Ec2Volumes:
    def __init__(self, query: Query, account: Ec2Account) -> None:
        self._query = query
        self._account = account

    def list(self) -> Sequence[Volume]:
        account = self._account
        mine = {f"tag:{INSTALLATION}": [account.installation], f"tag:{CLOUD}": [account.cloud]}
        return self._described({"status": _PRESENT, **mine})

    def create(self, order: VolumeOrder) -> Volume:
        zone = order.machine.facts.get("zone", "")
        metadata = to_metadata(order.tags, self._account.cloud)
        try:
            made = self._query.ask(
                "CreateVolume",
                {
                    "AvailabilityZone": zone,
                    "Size": str(-(-order.size // GIBIBYTE)),
                    "VolumeType": TYPE,
                    "ClientToken": order.token,
                    **tag_specification("volume", {"Name": order.name, **metadata}),
                },
            )
        except IdempotentParamError:  # begun with another size, or to be retained or not
            if found := [each for each in self.list() if each.key == order.tags.key]:
                return found[0]
            raise
        volume = self._read(made)
        if volume is None:
            raise Transient(f"EC2 made a volume for {order.tags.key} that does not carry its tags")
        return volume

    def attach(self, volume: Volume, machine: Machine, taken: Collection[str]) -> Volume:
        asked = {
            "VolumeId": volume.id.id,
            "InstanceId": machine.id.id,
            "Device": _free(machine, taken),
        }
        try:
            self._query.ask("AttachVolume", asked)
        except Exception as error:
            if code_of(error) != "VolumeInUse":
                raise
            there = self._find(volume)
            if there.machine != machine.id.id:
                raise in_use(there) from error
            return there
        return self._find(volume)

    def retag(self, volume: Volume, tags: VolumeTags) -> None:
        said = {"ResourceId.1": volume.id.id}
        for number, pair in enumerate(to_metadata(tags, self._account.cloud).items(), start=1):
            said[f"Tag.{number}.Key"], said[f"Tag.{number}.Value"] = pair
        self._query.ask("CreateTags", said)

    def delete(self, volume: Volume) -> None:
        try:
            self._query.ask("DeleteVolume", {"VolumeId": volume.id.id})
        except Exception as error:
            code = code_of(error)
            if code == "VolumeInUse":
                raise in_use(volume) from error
            if not code.startswith("InvalidVolume.NotFound"):
                raise

    def _find(self, volume: Volume) -> Volume:
        found = self._described({"volume-id": [volume.id.id]})
        if not found:
            raise Transient(f"volume {volume.id} ({volume.key}) is not listed yet")
        return found[0]

    def _described(self, wanted: Mapping[str, Sequence[str]]) -> Sequence[Volume]:
        pages = self._query.pages("DescribeVolumes", filters(wanted))
        read = (self._read(item) for page in pages for item in items(page, "volumeSet"))
        return [volume for volume in read if volume is not None]

    def _read(self, item: Element) -> Volume | None:
        account = self._account
        metadata = {text(tag, "key"): text(tag, "value") for tag in items(item, "tagSet")}
        tags = from_metadata(metadata, account.installation, account.cloud)
        if tags is None:
            return None
        id, uses = text(item, "volumeId"), items(item, "attachmentSet")
        return Volume(
            id=VolumeId(account.cloud, id),
            name=volume_name(tags.key),
            tags=tags,
            state=_state(item, uses),
            size=int(text(item, "size") or 0) * GIBIBYTE,
            machine=text(uses[0], "instanceId") if uses else "",
            devices=_devices(id, text(uses[0], "device")) if uses else (),
            zone=text(item, "availabilityZone"),
            created=_moment(text(item, "createTime")),
        )


def _state(item: Element, uses: Sequence[Element]) -> VolumeState:
    said = text(item, "status")
    attached = any(text(use, "status") == "attached" for use in uses)
    if said == "in-use" and attached:
        return VolumeState.ATTACHED
    return _STATES.get(said, VolumeState.CHANGING)


def _devices(id: str, device: str) -> tuple[str, ...]:
    """Newer machines name it by the volume's id, older ones by the letter."""
    named = f"{_NITRO}{id.replace('-', '')}"
    return (named, device.replace("/dev/sd", "/dev/xvd"), device)


def _free(machine: Machine, taken: Collection[str]) -> str:
    names = (f"/dev/sd{letter}" for letter in _LETTERS)
    if (found := next((name for name in names if name not in taken), None)) is None:
        raise Stalled(f"{machine.id} has {len(_LETTERS)} volumes already: EC2 names no more")
    return found


def _moment(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return None
