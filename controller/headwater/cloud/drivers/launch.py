"""What one create_node says."""

import secrets
from collections.abc import Mapping
from typing import Any

from libcloud.compute.base import NodeAuthSSHKey, NodeDriver, NodeImage, NodeSize

from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.contact import key_name
from headwater.cloud.drivers.options import nested
from headwater.cloud.drivers.tagging import written
from headwater.cloud.drivers.traits import Contact, Traits
from headwater.cloud.tags import CLOUD, to_metadata
from headwater.cloud.userdata import cloud_config
from headwater.errors import Stalled
from headwater.topology.machines import CreateOrder, MachineSpec


def arguments(
    driver: NodeDriver,
    traits: Traits,
    account: DriverAccount,
    order: CreateOrder,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """All but name, size and image. Raises Stalled, and what the driver raises."""
    tags = {**to_metadata(order.tags), CLOUD: account.cloud}
    said: dict[str, object] = {**options, traits.tags: written(tags, traits.form)}
    if traits.token:
        said[traits.token] = order.token
    if traits.contact is Contact.USER_DATA:
        host_key = account.keys.of(account.token(order.tags))
        text = cloud_config(order.spec.login_user, order.authorized_key, host_key)
        said[traits.user_data] = text.encode() if traits.as_bytes else text
    if traits.login_user:
        said.setdefault(traits.login_user, order.spec.login_user)
    if "root_pass" in traits.takes:  # Nobody knows it, and nobody needs it.
        said["root_pass"] = secrets.token_urlsafe(24)
    return nested(said | _login(driver, traits, account, order))


def _login(
    driver: NodeDriver, traits: Traits, account: DriverAccount, order: CreateOrder
) -> dict[str, object]:
    """User data carries the key already, but some drivers insist on it."""
    if traits.contact is Contact.USER_DATA and "auth" not in traits.requires:
        return {}
    if "auth" in traits.takes:
        return {"auth": NodeAuthSSHKey(order.authorized_key)}
    return {"ex_keyname": key_name(driver, account, order.authorized_key)}


def image_of(driver: NodeDriver, traits: Traits, spec: MachineSpec) -> Any:
    """Mostly its id is enough. Raises Stalled where there is none."""
    if not traits.image_by:
        return NodeImage(spec.image_id, spec.image, driver)
    image = getattr(driver, traits.image_by)(spec.image_id)
    if image is None:
        raise no_image(spec)
    return image


def no_image(spec: MachineSpec) -> Stalled:
    return Stalled(
        f"image {spec.image!r} is not at cloud {spec.cloud!r}: correct its"
        f" spec.ids.{spec.cloud} = {spec.image_id!r}"
    )


def free_size(driver: Any, order: CreateOrder) -> NodeSize:
    """Of a driver whose machines are as large as they ask to be."""
    size = order.spec.size
    found: NodeSize = driver.ex_size(size.cpus, size.memory, size.disk)
    return found
