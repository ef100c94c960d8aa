"""How the first login knows a machine: what it is given, and what is told of it."""

import logging
from collections.abc import Iterable
from typing import Any

from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.console import host_key_on, text_of
from headwater.cloud.drivers.traits import Contact, Traits
from headwater.cloud.machines import tags_of
from headwater.topology.digests import digest
from headwater.topology.machines import Tags

logger = logging.getLogger("headwater.cloud")

CONSOLES = 10
"""Read per listing at most: each is a call."""


def introduce(driver: Any, traits: Traits, account: DriverAccount, nodes: Iterable[Node]) -> None:
    """Put into each node of ours which host key is believed, and at which port it answers."""
    consoles = CONSOLES
    for node in nodes:
        tags = tags_of(node, account.installation)
        if tags is None:
            continue
        present(node, tags, traits, account)
        unread = traits.contact is Contact.CONSOLE and "host_key" not in node.extra
        if unread and consoles and node.state == NodeState.RUNNING:
            consoles -= 1
            _read(driver, traits, account, node)


def present(node: Node, tags: Tags, traits: Traits, account: DriverAccount) -> None:
    """Without a call."""
    node.extra.setdefault("ssh_port", traits.ssh_port)
    if traits.contact is Contact.USER_DATA:
        key = account.keys.public(account.token(tags))
        node.extra |= {"host_key": key, "one_time": True}
    elif traits.contact is Contact.CONSOLE and (printed := account.printed.get(str(node.id))):
        node.extra["host_key"] = printed


def _read(driver: Any, traits: Traits, account: DriverAccount, node: Node) -> None:
    try:
        said = text_of(getattr(driver, traits.console)(node))
    except Exception as error:  # noqa: BLE001  # a machine without a console yet is listed all the same
        extra = {"machine": str(node.id), "reason": str(error)}
        logger.info("cloud.console_not_read", extra=extra)
        return
    if key := host_key_on(said):
        account.printed[str(node.id)] = node.extra["host_key"] = key


def key_name(driver: Any, account: DriverAccount, authorized_key: str) -> str:
    """What the cloud calls the login key, which is imported where it is missing."""
    with account.lock:
        if authorized_key not in account.key_names:
            name = f"headwater-{digest(authorized_key)}"
            if name not in {str(pair.name) for pair in driver.list_key_pairs()}:
                driver.import_key_pair_from_string(name, authorized_key)
            account.key_names[authorized_key] = name
        return account.key_names[authorized_key]
