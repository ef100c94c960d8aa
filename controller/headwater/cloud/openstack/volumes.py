"""Cinder's volumes, and nova's word for which machine has them."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import quote

from libcloud.common.exceptions import BaseHTTPError

from headwater.cloud.openstack.account import OpenStackAccount
from headwater.cloud.openstack.api import (
    BAD_REQUEST,
    COMPUTE,
    CONFLICT,
    NOT_FOUND,
    VOLUME,
    Api,
    Body,
    code_of,
    words_of,
)
from headwater.cloud.openstack.cinder import devices_of, volume_of
from headwater.cloud.openstack.tags import ZONE
from headwater.cloud.sizes import GIBIBYTE
from headwater.cloud.tags import CLOUD, INSTALLATION
from headwater.cloud.volume_tags import to_metadata
from headwater.cloud.volumes import in_use
from headwater.errors import Transient
from headwater.topology.machines import Machine
from headwater.topology.volumes import (
    Volume,
    VolumeOrder,
    VolumeState,
    VolumeTags,
)

_REFUSED = frozenset({BAD_REQUEST, NOT_FOUND, CONFLICT})
"""Codes that may be about the state of things, and not about what was asked."""


class CinderVolumes:
    def __init__(self, api: Api, account: OpenStackAccount) -> None:
        self._api = api
        self._account = account

    def list(self) -> Sequence[Volume]:
        account = self._account
        mine = {INSTALLATION: account.installation, CLOUD: account.cloud}
        return self._listed(metadata=json.dumps(mine))

    def create(self, order: VolumeOrder) -> Volume:
        """Cinder knows no tokens: what an earlier attempt has made is looked for first."""
        for before in self._listed(name=order.name):
            if before.key == order.tags.key:
                return before
        asked: dict[str, object] = {"name": order.name, "size": -(-order.size // GIBIBYTE)}
        metadata = to_metadata(order.tags, self._account.cloud)
        if zone := self._account.zones.of(self._api, order.machine):
            asked["availability_zone"] = metadata[ZONE] = zone
        try:
            made = self._api.post(VOLUME, "/volumes", {"volume": {**asked, "metadata": metadata}})
        except Exception as error:
            if "availability zone" in words_of(error):
                self._account.zones.forget()
            raise
        volume = self._read(made["volume"])
        if volume is None:
            raise Transient(f"cinder made no volume for {order.tags.key} that carries its tags")
        return volume

    def attach(
        self,
        volume: Volume,
        machine: Machine,
        taken: Collection[str],  # noqa: ARG002  # nova names devices
    ) -> Volume:
        path = f"/servers/{quote(machine.id.id, safe='')}/os-volume_attachments"
        try:
            asked = {"volumeAttachment": {"volumeId": volume.id.id}}
            self._api.post(COMPUTE, path, asked)
        except BaseHTTPError as error:
            self._check_begun(f"{path}/{quote(volume.id.id, safe='')}", volume, error)
        there = self._find(volume)
        if there.machine:
            return there
        # Cinder does not tell who is to have it before it is there.
        return replace(
            there,
            state=VolumeState.CHANGING,
            machine=machine.id.id,
            devices=devices_of(volume.id.id),
        )

    def retag(self, volume: Volume, tags: VolumeTags) -> None:
        said = {"metadata": to_metadata(tags, self._account.cloud)}
        try:
            self._api.post(VOLUME, f"{_path(volume)}/metadata", said)
        except Exception as error:
            if code_of(error) in _REFUSED:
                _wait(self._find(volume), error)
            raise

    def delete(self, volume: Volume) -> None:
        try:
            self._api.delete(VOLUME, _path(volume))
        except Exception as error:
            if code_of(error) in _REFUSED:
                if (there := self._look(volume)) is None:
                    return
                _wait(there, error)
            raise

    def _check_begun(self, path: str, volume: Volume, error: Exception) -> None:
        """Nova says that an earlier attempt has begun it. Raises what `error` means otherwise.

        A volume that its machine has already is refused as one that another machine has.
        """
        if code_of(error) not in _REFUSED:
            raise error
        try:
            self._api.get(COMPUTE, path)
        except Exception as missing:
            if code_of(missing) != NOT_FOUND:
                raise
        else:
            return
        there = self._find(volume)
        if code_of(error) == NOT_FOUND:
            raise Transient(f"no machine that {volume.id} could be attached to: {error}") from error
        _wait(there, error)
        raise error

    def _find(self, volume: Volume) -> Volume:
        there = self._look(volume)
        if there is None:
            raise Transient(f"volume {volume.id} ({volume.key}) is not there")
        return there

    def _look(self, volume: Volume) -> Volume | None:
        try:
            return self._read(self._api.get(VOLUME, _path(volume))["volume"])
        except Exception as error:
            if code_of(error) == NOT_FOUND:
                return None
            raise

    def _listed(self, **wanted: str) -> Sequence[Volume]:
        pages = self._api.pages(VOLUME, "/volumes/detail", "volumes", **wanted)
        return [volume for volume in map(self._read, pages) if volume is not None]

    def _read(self, item: Body) -> Volume | None:
        return volume_of(item, self._account.installation, self._account.cloud)


def _wait(there: Volume, error: Exception) -> None:
    """Raises Transient for a volume that is not at rest: what is refused now is taken later."""
    if there.machine:
        raise Transient(f"{in_use(there)} ({error})") from error
    if there.state not in {VolumeState.AVAILABLE, VolumeState.FAILED}:
        raise Transient(f"volume {there.id} is {there.state.value} ({error})") from error


def _path(volume: Volume) -> str:
    return f"/volumes/{quote(volume.id.id, safe='')}"
