"""What one RunInstances says."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from libcloud.compute.base import NodeDriver, NodeSize

from headwater.cloud.ec2.account import Ec2Account, Image
from headwater.cloud.ec2.query import (
    Query,
    code_of,
    items,
    numbered,
    tag_specification,
    text,
)
from headwater.cloud.sizes import GIBIBYTE, choose_size, offer_of
from headwater.cloud.tags import CLOUD, to_batch_metadata
from headwater.cloud.userdata import cloud_config
from headwater.errors import Stalled
from headwater.topology.batches import written
from headwater.topology.machines import Batch, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

_ARM = ("Graviton", "AWS ")
_X86 = "x86_64"


class Launches:
    """Parameters by which the same order says the same, every time: a token insists on that."""

    def __init__(self, driver: NodeDriver, account: Ec2Account) -> None:
        self._driver = driver
        self._cloud = account.cloud
        self._keys = account.keys
        self._subnet = account.subnet
        self._images = account.images
        self._sizes: Sequence[NodeSize] = ()

    def parameters(self, query: Query, order: CreateOrder, batch: Batch) -> dict[str, str]:
        """All but the network's. Raises Stalled for what the manifest asks and EC2 has not."""
        data = cloud_config(order.spec.login_user, order.authorized_key, self._keys.of(batch.token))
        ours = to_batch_metadata(order.tags, batch)
        tags = {"Name": _name(order, batch), CLOUD: self._cloud, **ours}
        return {
            "ImageId": order.spec.image_id,
            "InstanceType": self._size(query, order.spec),
            "MinCount": "1",
            "MaxCount": str(len(batch.members)),
            "ClientToken": batch.token,
            "UserData": base64.b64encode(data.encode()).decode(),
            **tag_specification("instance", tags),
            **self._disk(query, order.spec),
            **({"Placement.AvailabilityZone": order.zone} if order.zone else {}),
        }

    def network(self, spec: MachineSpec, groups: Sequence[str]) -> Mapping[str, str]:
        if spec.public and not self._subnet:  # the default network gives public addresses
            return numbered("SecurityGroupId", groups)
        card = "NetworkInterface.1"
        return {
            f"{card}.DeviceIndex": "0",
            f"{card}.AssociatePublicIpAddress": "true" if spec.public else "false",
            **({f"{card}.SubnetId": self._subnet} if self._subnet else {}),
            **numbered(f"{card}.SecurityGroupId", groups),
        }

    def _size(self, query: Query, spec: MachineSpec) -> str:
        if spec.size.name is not None:
            return spec.size.name
        architecture = self._image(query, spec).architecture
        fitting = (size for size in self._sold() if _architecture(size) == architecture)
        return str(choose_size(fitting, replace(spec.size, disk=None), self._cloud).id)

    def offers(self) -> tuple[Offer, ...]:
        """Disks are bought apart, and most images are for one architecture."""
        return tuple(
            replace(offer_of(size), disk=None, usual=_architecture(size) == _X86)
            for size in self._sold()
        )

    def architecture(self, query: Query, spec: MachineSpec) -> str:
        """The image's. Raises Stalled where there is none."""
        return self._image(query, spec).architecture

    def _sold(self) -> Sequence[NodeSize]:
        """From the driver's own table, without a call."""
        if not self._sizes:
            self._sizes = self._driver.list_sizes()
        return self._sizes

    def _disk(self, query: Query, spec: MachineSpec) -> Mapping[str, str]:
        """Disks are bought by their size, whatever the machine's."""
        if not spec.size.disk:
            return {}
        return {
            "BlockDeviceMapping.1.DeviceName": self._image(query, spec).root,
            "BlockDeviceMapping.1.Ebs.VolumeSize": str(-(-spec.size.disk // GIBIBYTE)),
            "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
        }

    def _image(self, query: Query, spec: MachineSpec) -> Image:
        if spec.image_id not in self._images:
            try:
                answer = query.ask("DescribeImages", {"ImageId.1": spec.image_id})
            except Exception as error:
                if stalled := explained(error, spec):
                    raise stalled from error
                raise
            found = items(answer, "imagesSet")
            if not found:
                raise _no_image(spec, "it is not listed")
            self._images[spec.image_id] = _image(found[0])
        return self._images[spec.image_id]


def explained(error: Exception, spec: MachineSpec) -> Stalled | None:
    """What is wrong with which field of the manifest; None where it is something else."""
    code = code_of(error)
    if code.startswith("InvalidAMIID"):
        return _no_image(spec, str(error))
    about_size = "instance type" in str(error).lower() or "instancetype" in str(error).lower()
    if code in {"InvalidParameterValue", "Unsupported", "InvalidInstanceType"} and about_size:
        return Stalled(
            f"cloud {spec.cloud!r} has no size {spec.size.name or 'that it offered'!r} for this"
            f" image (spec.size of the component, spec.sizes of the Cloud): {error}"
        )
    return None


def _no_image(spec: MachineSpec, said: str) -> Stalled:
    return Stalled(
        f"image {spec.image!r} is not at cloud {spec.cloud!r}: correct its"
        f" spec.ids.{spec.cloud} = {spec.image_id!r} ({said})"
    )


def _image(item: Element) -> Image:
    return Image(text(item, "architecture") or _X86, text(item, "rootDeviceName") or "/dev/sda1")


def _architecture(size: NodeSize) -> str:
    processor = str((size.extra or {}).get("physicalProcessor", ""))
    return "arm64" if any(word in processor for word in _ARM) else _X86


def _name(order: CreateOrder, batch: Batch) -> str:
    """People see it in EC2's console; 256 characters are EC2's limit."""
    if len(batch.members) == 1:
        return order.name
    key = order.tags.key
    return f"{key.deployment}-{key.node}-{written(batch.members)}"[:256]
