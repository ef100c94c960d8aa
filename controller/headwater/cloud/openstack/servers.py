"""Nova's servers, as libcloud's nodes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from headwater.cloud.openstack.account import OpenStackAccount
from headwater.cloud.openstack.api import Body
from headwater.cloud.openstack.driver import Driver
from headwater.cloud.openstack.tags import ADDRESS, FLOATING, TOKEN
from headwater.cloud.tags import DEPLOYMENT, INSTALLATION, MEMBERS, NODE, name_of, of_member
from headwater.errors import Stalled
from headwater.topology.batches import read

_LONGEST = 240
"""Characters of a name, of nova's 255: it numbers the machines of a call."""
_STATES = {
    "BUILD": NodeState.PENDING,
    "REBUILD": NodeState.PENDING,
    "REBOOT": NodeState.REBOOTING,
    "HARD_REBOOT": NodeState.REBOOTING,
    "MIGRATING": NodeState.RUNNING,
    "PASSWORD": NodeState.RUNNING,
    "ACTIVE": NodeState.RUNNING,
    "VERIFY_RESIZE": NodeState.RUNNING,
    "REVERT_RESIZE": NodeState.RECONFIGURING,
    "RESIZE": NodeState.RECONFIGURING,
    "SHUTOFF": NodeState.STOPPED,
    "SUSPENDED": NodeState.SUSPENDED,
    "PAUSED": NodeState.PAUSED,
    "SHELVED": NodeState.STOPPED,
    "SHELVED_OFFLOADED": NodeState.STOPPED,
    "ERROR": NodeState.ERROR,
    "DELETED": NodeState.TERMINATED,
    "SOFT_DELETED": NodeState.TERMINATED,
}
_NUMBER = re.compile("[1-9][0-9]{0,4}")
_DELETING = frozenset({"deleting", "soft-deleting"})


class Servers:
    """`order`: names of networks, the one first at which machines are to be reached."""

    def __init__(
        self, driver: Driver, account: OpenStackAccount, order: Callable[[], Sequence[str]]
    ) -> None:
        self._driver = driver
        self._keys = account.keys
        self._installation = account.installation
        self._port = account.options.ssh_port
        self._order = order

    def nodes(self, servers: Iterable[Body]) -> list[Node]:
        """Raises Stalled for a machine of which nobody can tell any more which one it is."""
        order = self._order()
        return [self._node(server, order) for server in servers]

    def _node(self, server: Body, order: Sequence[str]) -> Node:
        metadata: dict[str, str] = server.get("metadata") or {}
        ours = metadata.get(INSTALLATION) == self._installation
        tags = _own(server, metadata) if ours else metadata
        extra: dict[str, object] = {
            "metadata": tags,
            "groups": [group.get("name", "") for group in server.get("security_groups") or ()],
            "zone": server.get("OS-EXT-AZ:availability_zone") or "",
            "fault": " ".join(str((server.get("fault") or {}).get("message", "")).split()),
            "ssh_port": self._port,
        }
        if ours and (token := tags.get(TOKEN)):
            extra |= {"host_key": self._keys.public(token), "one_time": True}
        floating, fixed = _addresses(server, order)
        extra["fixed"] = fixed
        wanted = tags.get(ADDRESS) == FLOATING
        return Node(
            str(server["id"]),
            name_of(tags) or str(server.get("name", "")),
            _state(server),
            floating if wanted else [],
            [] if wanted else fixed,
            self._driver,
            created_at=datetime.fromisoformat(server["created"]),
            extra=extra,
        )


def call_name(deployment: str, node: str, members: str) -> str:
    """What nova puts `-1`, `-2`, ... behind: where it can, those are the indexes."""
    known = read(members) or ()
    plain = known == tuple((index, 1) for index in range(1, len(known) + 1))
    return (f"{deployment}-{node}" if plain else f"{deployment}-{node}-{members}")[:_LONGEST]


def _own(server: Body, metadata: Mapping[str, str]) -> dict[str, str]:
    """One machine's own tags: its place in the call that made it is told by its name alone."""
    members = metadata.get(MEMBERS, "")
    if (known := read(members)) is None:
        return dict(metadata)
    base = call_name(metadata.get(DEPLOYMENT, ""), metadata.get(NODE, ""), members)
    name, count = str(server.get("name", "")), len(known)
    number = name.rpartition("-")[2]
    is_whole = name == f"{base}-{number}" and _NUMBER.fullmatch(number)
    if not is_whole or int(number) > count:
        raise Stalled(
            f"server {server['id']} is called {name!r}, and nobody can tell any more which of"
            f" {members} it is: call it {base}-N again, with the number N up to {count} that no"
            " other one has, or delete it"
        )
    return of_member(metadata, int(number) - 1)


def _state(server: Body) -> NodeState:
    if server.get("OS-EXT-STS:task_state") in _DELETING:
        return NodeState.STOPPING
    return _STATES.get(str(server.get("status")), NodeState.UNKNOWN)


def _addresses(server: Body, order: Sequence[str]) -> tuple[list[str], list[str]]:
    """Floating and fixed ones; of the network that comes first, and the shorter kind."""
    networks: Mapping[str, Sequence[Body]] = server.get("addresses") or {}
    ordered = dict.fromkeys([*(name for name in order if name in networks), *networks])
    every = [each for name in ordered for each in networks[name]]
    every.sort(key=lambda each: int(each.get("version", 4)))
    floating = [str(each["addr"]) for each in every if _is_floating(each)]
    return floating, [str(each["addr"]) for each in every if not _is_floating(each)]


def _is_floating(address: Body) -> bool:
    return address.get("OS-EXT-IPS:type") == FLOATING
