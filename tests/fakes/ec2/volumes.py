"""What EC2 does with volumes, and moto does otherwise."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fakes.ec2.refusals import Refused

_ID = re.compile(r"<volumeId>(vol-[0-9a-f]+)</volumeId>")


@dataclass
class MotoVolumes:
    """Client tokens, one machine at a time and of the same zone; a machine that ends lets go."""

    moto: Callable[[dict[str, str]], str]
    backend: Callable[[], Any]
    _tokens: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    def ask(self, said: dict[str, str]) -> str:
        """Raises Refused."""
        calls = {
            "CreateVolume": self._create,
            "AttachVolume": self._attach,
            "DeleteVolume": self._delete,
        }
        return calls[said["Action"]](said)

    def _create(self, said: dict[str, str]) -> str:
        token = said.get("ClientToken", "")
        arguments = {name: value for name, value in said.items() if name != "ClientToken"}
        if token in self._tokens:
            before, body = self._tokens[token]
            if before != arguments:
                words = "Arguments on this idempotent request are inconsistent with arguments used"
                raise Refused("IdempotentParameterMismatch", f"{words} in previous request(s).")
            return body
        body = self.moto(said)
        if token:
            self._tokens[token] = arguments, body
        return body

    def _attach(self, said: dict[str, str]) -> str:
        volume = self.backend().get_volume(said["VolumeId"])
        instance = self.backend().get_instance(said["InstanceId"])
        if volume.attachment is not None:
            raise Refused("VolumeInUse", f"{volume.id} is already attached to an instance")
        if instance._state.name not in {"running", "stopped"}:
            raise Refused("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
        if volume.zone.name != instance.placement.availability_zone:
            words = f"The volume '{volume.id}' is not in the same availability zone as instance"
            raise Refused("InvalidVolume.ZoneMismatch", f"{words} '{instance.id}'")
        if said["Device"] in instance.block_device_mapping:
            words = f"Invalid value '{said['Device']}' for unixDevice. Attachment point is in use"
            raise Refused("InvalidParameterValue", words)
        return self.moto(said)

    def _delete(self, said: dict[str, str]) -> str:
        found = self.backend().volumes.get(said["VolumeId"])
        if found is not None and found.attachment is not None:
            raise Refused("VolumeInUse", f"Volume {found.id} is currently attached")
        return self.moto(said)

    @contextmanager
    def held(self) -> Iterator[None]:
        """moto takes volumes away before the machine has ended."""
        before = [(each, each.attachment) for each in self.backend().volumes.values()]
        yield
        for volume, use in before:
            if use is not None and volume.attachment is None:
                volume.attachment, use.status = use, "attached"

    def let_go(self) -> None:
        """Of machines that have ended."""
        for volume in self.backend().volumes.values():
            use = volume.attachment
            if use is not None and use.instance._state.name == "terminated":
                volume.attachment = None
