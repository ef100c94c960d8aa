"""EC2's instances, as libcloud's nodes."""

from collections.abc import Iterator
from datetime import datetime
from xml.etree.ElementTree import Element

from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.types import NodeState

from headwater.cloud.ec2.query import items, text
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.tags import INSTALLATION, name_of, of_member

PRESENT = ("pending", "running", "shutting-down", "stopping", "stopped")
"""Terminated ones stay in listings for an hour, and are no machines."""
_STATES = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "shutting-down": NodeState.STOPPING,
    "terminated": NodeState.TERMINATED,
    "stopping": NodeState.STOPPED,  # it does not serve, and does not go away either
    "stopped": NodeState.STOPPED,
}


class Instances:
    """`port`: where the machines' SSH servers listen."""

    def __init__(self, driver: NodeDriver, keys: HostKeys, installation: str, port: int) -> None:
        self._driver = driver
        self._keys = keys
        self._installation = installation
        self._port = port

    def of_listing(self, page: Element) -> Iterator[Node]:
        for reservation in items(page, "reservationSet"):
            yield from self.of_reservation(reservation)

    def of_reservation(self, reservation: Element) -> Iterator[Node]:
        for item in items(reservation, "instancesSet"):
            yield self._node(item)

    def _node(self, item: Element) -> Node:
        token = text(item, "clientToken")
        shared = {text(tag, "key"): text(tag, "value") for tag in items(item, "tagSet")}
        tags = of_member(shared, place_of(item))
        ours = tags.get(INSTALLATION) == self._installation
        state = text(item, "instanceState", "name")
        extra: dict[str, object] = {
            "tags": tags,
            "token": token,
            "groups": [text(group, "groupId") for group in items(item, "groupSet")],
            "instance_type": text(item, "instanceType"),
            "zone": text(item, "placement", "availabilityZone"),
            "ssh_port": self._port,
        }
        if ours and token:
            extra |= {"host_key": self._keys.public(token), "one_time": True}
        return Node(
            text(item, "instanceId"),
            name_of(tags) or tags.get("Name", ""),
            _STATES.get(state, NodeState.UNKNOWN),
            [ip] if (ip := text(item, "ipAddress")) else [],
            [ip] if (ip := text(item, "privateIpAddress")) else [],
            self._driver,
            created_at=_moment(text(item, "launchTime")),
            extra=extra,
        )


def place_of(item: Element) -> int | None:
    index = text(item, "amiLaunchIndex")
    return int(index) if index.isdecimal() else None


def _moment(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return None
