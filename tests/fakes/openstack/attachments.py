"""Nova's os-volume_attachments: which server is to have which of cinder's volumes."""

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

from fakes.openstack.cinder import Cinder, Disk
from fakes.openstack.nova import Nova
from fakes.openstack.refusals import Refused

_STATES = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "VERIFY_RESIZE"})


class Attachments:
    def __init__(self, nova: Nova, cinder: Cinder) -> None:
        self._nova = nova
        self._cinder = cinder
        self.across = True
        """Servers take volumes of other zones."""

    def attach(self, server: str, asked: Mapping[str, Any]) -> object:
        """Names the device itself, whatever was asked. Raises Refused."""
        there, disk = self._nova.one(server), self._cinder.one(asked["volumeId"])
        if there.status not in _STATES or there.task is not None:
            state = {"BUILD": "building"}.get(there.status, there.status.lower())
            words = f"Cannot 'attach_volume' instance {server} while it is in vm_state {state}"
            raise Refused(409, words)
        if disk.server == server:
            words = f"volume {disk.id} is already attached to instance {server}"
            raise Refused(400, f"Invalid volume: {words}")
        zone = there.zone
        if not self.across and disk.zone != zone:
            words = f"Instance {server} and volume {disk.id} are not in the same availability_zone."
            raise Refused(400, f"Invalid volume: {words} Instance is in {zone}.")
        taken = {each.device for each in self._cinder.held(server)}
        names = (f"/dev/vd{letter}" for letter in ascii_lowercase[1:])
        self._cinder.reserve(disk.id, server, next(name for name in names if name not in taken))
        return {"volumeAttachment": _shown(disk)}

    def show(self, server: str, id: str) -> object:
        self._nova.one(server)
        for disk in self._cinder.held(server):
            if disk.id == id:
                return {"volumeAttachment": _shown(disk)}
        raise Refused(404, f"Instance {server} is not attached to volume {id}")


def _shown(disk: Disk) -> object:
    return {
        "id": disk.id,
        "volumeId": disk.id,
        "serverId": disk.server,
        "device": disk.device,
    }
