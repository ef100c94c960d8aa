"""Floating addresses: made for machines that want one, released when these are gone."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from headwater.cloud.openstack.api import CONFLICT, NETWORK, NOT_FOUND, Api, Body, code_of, words_of
from headwater.cloud.openstack.networks import Networks
from headwater.cloud.openstack.tags import wants_floating
from headwater.errors import Stalled

ATTACH, RELEASE = "attach", "release"
PATIENCE = 30.0
"""Seconds between two attempts to make one for the same machine, whatever became of the first."""
_OPTION = "floating_network"
_COMING = frozenset({NodeState.PENDING, NodeState.RUNNING, NodeState.REBOOTING})


@dataclass(frozen=True, slots=True)
class Address:
    id: str
    address: str
    fixed: str
    """Where it leads; empty when it is unused."""
    server: str
    """Whose it is, where neutron tells: fixed addresses of two networks may be the same."""

    def is_of(self, node: Node) -> bool:
        return self.server == node.id if self.server else self.fixed in node.extra["fixed"]


@dataclass(frozen=True, slots=True)
class Try:
    why: str
    """It failed; empty where it did not."""
    until: float


class Addresses:
    """Of one Cloud; shared by its threads. Ours bear a mark: nobody else's are touched.

    One is made together with its way to a machine, and loses that way with the machine.
    """

    def __init__(
        self,
        mark: str,
        pool: str,
        networks: Networks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._mark = mark
        self._pool = pool
        self._networks = networks
        self._served: frozenset[str] = frozenset()
        """Machines with such an address, as last seen."""
        self._stale = True
        """There may be unused ones: of an earlier process, or of machines that went."""
        self._held: dict[str, str] = {}
        """Ids of addresses, by the machine."""
        self._tries: dict[str, Try] = {}
        """The last one for a machine."""

    def complete(self, api: Api, nodes: Sequence[Node]) -> tuple[str, ...]:
        """Nodes get the addresses of which nova has not heard. Returns what is to be done."""
        waiting = [node for node in nodes if wants_floating(node) and not node.public_ips]
        served = frozenset(str(node.id) for node in nodes if wants_floating(node))
        stale = self._stale or bool(self._served - served)
        if not (waiting or stale):
            return ()
        ours = list(self._ours(api))
        held = {str(node.id): each for node in nodes for each in ours if each.is_of(node)}
        # What was made since this listing began is kept.
        before = {id: address for id, address in self._held.items() if id in served}
        self._held = before | {server: address.id for server, address in held.items()}
        self._tries = {id: last for id, last in self._tries.items() if id in served}
        for node in waiting:
            node.public_ips += [held[node.id].address] if node.id in held else []
        unused = [address.id for address in ours if not address.fixed]
        going = any(node.state is NodeState.STOPPING for node in nodes)
        self._served, self._stale = served, bool(unused) or going
        lacking = [node for node in waiting if not node.public_ips and node.state in _COMING]
        for node in lacking:
            if (last := self._tries.get(str(node.id))) is not None:
                node.extra["fault"] = node.extra["fault"] or last.why
        ready = [str(node.id) for node in lacking if node.extra["fixed"]]
        return (
            *(f"{RELEASE} {id}" for id in unused),
            *(f"{ATTACH} {id}" for id in ready if self._pool and self._may_try(id)),
        )

    def ended(self, api: Api, server: str) -> None:
        """What it had is released, now if that is known. Raises what libcloud raises."""
        self._stale = True
        if (held := self._held.pop(server, None)) is not None:
            self.release(api, held)

    def attach(self, api: Api, server: str) -> None:
        """Raises what libcloud raises; Stalled where there is no way to the machine."""
        if not self._may_try(server):
            return
        why = ""
        try:
            self._held |= self._made(api, server)
        except Exception as error:
            why = str(error)
            raise
        finally:
            self._tries[server] = Try(why, self._clock() + PATIENCE)

    def _may_try(self, server: str) -> bool:
        last = self._tries.get(server)
        return last is None or self._clock() >= last.until

    def release(self, api: Api, id: str) -> None:
        api.delete(NETWORK, f"/v2.0/floatingips/{id}")

    def _made(self, api: Api, server: str) -> dict[str, str]:
        """What is held now; nothing new where an earlier attempt has made it."""
        ways = _ways(api.having(NETWORK, "/v2.0/ports", "ports", device_id=server))
        if (way := next(ways, None)) is None:
            raise Stalled("no port of it has an IPv4 address, where a floating one could lead")
        port, fixed = way
        asked = {
            "floating_network_id": self._networks.find(api, _OPTION, self._pool).id,
            "port_id": port,
            "fixed_ip_address": fixed,
            "description": self._mark,
        }
        try:
            made = api.post(NETWORK, "/v2.0/floatingips", {"floatingip": asked})
        except Exception as error:
            if code_of(error) == CONFLICT and "already has a floating ip" in words_of(error):
                return {}
            raise
        return {server: str(made["floatingip"]["id"])}

    def _ours(self, api: Api) -> Iterator[Address]:
        wanted = {"description": self._mark, "project_id": api.session.token().project}
        try:
            for each in api.having(NETWORK, "/v2.0/floatingips", "floatingips", **wanted):
                fixed = str(each.get("fixed_ip_address") or "") if each.get("port_id") else ""
                server = str((each.get("port_details") or {}).get("device_id") or "")
                yield Address(str(each["id"]), str(each["floating_ip_address"]), fixed, server)
        except Exception as error:
            if code_of(error) != NOT_FOUND:  # a cloud without routers has none
                raise


def _ways(ports: Iterable[Body]) -> Iterator[tuple[str, str]]:
    """Port and address of each network of a machine that a floating address can lead to."""
    for port in ports:
        for each in port.get("fixed_ips") or ():
            if ":" not in str(each["ip_address"]):
                yield str(port["id"]), str(each["ip_address"])
