"""What one call for servers says."""

import base64
from collections.abc import Sequence
from uuid import UUID

from headwater.cloud.openstack.account import OpenStackAccount
from headwater.cloud.openstack.api import IMAGE, NOT_FOUND, Api, Body, code_of, words_of
from headwater.cloud.openstack.servers import call_name
from headwater.cloud.openstack.tags import ADDRESS, FLOATING, TOKEN
from headwater.cloud.sizes import no_size
from headwater.cloud.tags import CLOUD, to_batch_metadata
from headwater.cloud.userdata import cloud_config
from headwater.errors import Stalled
from headwater.topology.batches import written
from headwater.topology.machines import Batch, CreateOrder, MachineSpec

NETWORKS = "network"
"""The option that names them."""


class Launches:
    def __init__(self, api: Api, account: OpenStackAccount) -> None:
        self._api = api
        self._account = account

    def body(self, order: CreateOrder, batch: Batch, groups: Sequence[str]) -> Body:
        """Raises Stalled for what the manifest asks and the cloud has not."""
        account, options, spec = self._account, self._account.options, order.spec
        data = cloud_config(spec.login_user, order.authorized_key, account.keys.of(batch.token))
        floating = {ADDRESS: FLOATING} if spec.public and options.floating_network else {}
        ours = {CLOUD: account.cloud, TOKEN: batch.token, **floating}
        networks = [
            account.networks.find(self._api, NETWORKS, name).id for name in options.networks
        ]
        server: dict[str, object] = {
            "name": _name(order, batch),
            "imageRef": self.image_id(spec),
            "flavorRef": account.flavors.fitting(self._api, spec).id,
            "metadata": {**to_batch_metadata(order.tags, batch), **ours},
            "user_data": base64.b64encode(data.encode()).decode(),
            "security_groups": [{"name": group} for group in groups],
            "min_count": 1,
            "max_count": len(batch.members),
            "return_reservation_id": True,
        }
        if networks:
            server["networks"] = [{"uuid": network} for network in networks]
        if options.config_drive:
            server["config_drive"] = True
        if zone := order.zone or options.zone:
            server["availability_zone"] = zone
        return {"server": server}

    def image_id(self, spec: MachineSpec) -> str:
        """As the manifest has it, or of the only image of that name. Raises Stalled."""
        return spec.image_id if _is_id(spec.image_id) else str(self._named(spec)["id"])

    def image(self, spec: MachineSpec) -> str:
        """For people. Raises Stalled where there is none."""
        found = self._with_id(spec) if _is_id(spec.image_id) else self._named(spec)
        if found.get("status") != "active":
            raise no_image(spec, f"its status is {found.get('status')}")
        kind = found.get("hw_architecture") or found.get("architecture") or ""
        return ", ".join(filter(None, [str(found.get("name")), str(found["id"]), str(kind)]))

    def _with_id(self, spec: MachineSpec) -> Body:
        try:
            return self._api.get(IMAGE, f"/v2/images/{spec.image_id}")
        except Exception as error:
            if code_of(error) == NOT_FOUND:
                raise no_image(spec, str(error)) from error
            raise

    def _named(self, spec: MachineSpec) -> Body:
        wanted = {"name": spec.image_id, "status": "active"}
        found = list(self._api.having(IMAGE, "/v2/images", "images", **wanted))
        if len(found) == 1:
            return found[0]
        if not found:
            raise no_image(spec, "no active image has this name")
        ids = ", ".join(sorted(str(image["id"]) for image in found))
        raise no_image(spec, f"{len(found)} images have this name: take an id of {ids}")


def explained(error: Exception, spec: MachineSpec) -> Stalled | None:
    """What is wrong with which field of the manifest; None where it is something else."""
    words = words_of(error)
    missing = any(each in words for each in ("not be found", "not find", "not found", "invalid"))
    if "multiple possible networks" in words or (missing and "network" in words):
        return Stalled(
            f"cloud {spec.cloud!r}: say in its option network which network machines are in, by"
            f" name or id: {error}"
        )
    if missing and "image" in words:
        return no_image(spec, str(error))
    if missing and "flavor" in words:
        return Stalled(f"{no_size(spec.size, spec.cloud)} ({error})")
    return None


def no_image(spec: MachineSpec, said: str) -> Stalled:
    return Stalled(
        f"image {spec.image!r} is not at cloud {spec.cloud!r}: correct its"
        f" spec.ids.{spec.cloud} = {spec.image_id!r} ({said})"
    )


def _name(order: CreateOrder, batch: Batch) -> str:
    if len(batch.members) == 1:
        return order.name
    key = order.tags.key
    return call_name(key.deployment, key.node, written(batch.members))


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
