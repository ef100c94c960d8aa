"""Nova: servers, flavors, limits."""

import base64
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fakes.hosting import Guest, Timing
from fakes.openstack.cinder import Cinder
from fakes.openstack.glance import Glance
from fakes.openstack.neutron import Neutron
from fakes.openstack.refusals import Refused

FLAVORS = (
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("c4", "c1.bare", 4, 4096, 0),
)
_KEYS = frozenset(
    {
        "name",
        "imageRef",
        "flavorRef",
        "metadata",
        "user_data",
        "security_groups",
        "networks",
        "min_count",
        "max_count",
        "return_reservation_id",
        "config_drive",
        "availability_zone",
        "key_name",
    }
)
_METADATA = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
_USER_DATA = 65535


@dataclass
class Server:
    id: str
    name: str
    reservation: str
    asked: Mapping[str, Any]
    groups: list[str]
    """Ids."""
    created: str
    status: str = "BUILD"
    task: str | None = "scheduling"
    fault: str = ""
    hidden: float = 0.0
    """When nova's own cache hears of floating addresses."""

    @property
    def zone(self) -> str:
        asked = str(self.asked.get("availability_zone") or "nova")
        return asked if self.status == "ACTIVE" else ""


@dataclass
class Nova:
    """For one thread at a time."""

    project: str
    neutron: Neutron
    glance: Glance
    cinder: Cinder
    timing: Timing = field(default_factory=Timing)
    guest: Guest = field(default_factory=Guest)
    quota: int = 1000
    """Instances."""
    page: int = 1000
    unlucky: str = ""
    """Why servers that are asked for end in an error; empty: they do not."""
    hears_late: float = 0.0
    """Seconds for which floating addresses are not listed."""
    servers: dict[str, Server] = field(default_factory=dict)
    flavors: list[tuple[str, str, int, int, int]] = field(default_factory=lambda: [*FLAVORS])
    _due: dict[str, float] = field(default_factory=dict)

    def create(self, asked: Mapping[str, Any]) -> object:
        """Raises Refused."""
        self._check(asked)
        groups = [self._group(each["name"]) for each in asked.get("security_groups", ())]
        networks = self._networks(asked)
        least, most = int(asked.get("min_count", 1)), int(asked.get("max_count", 1))
        count = min(most, self.quota - len(self.servers))
        if count < least:
            held = len(self.servers)
            raise Refused(
                403,
                f"Quota exceeded for instances: Requested {least}, but already used {held} of"
                f" {self.quota} instances",
                retry_after="0",
            )
        reservation = f"r-{uuid.uuid4().hex[:8]}"
        made = [self._make(asked, place, most, reservation, groups) for place in range(count)]
        for server in made:
            self._schedule(server, networks)
        if asked.get("return_reservation_id"):
            return {"reservation_id": reservation}
        first = made[0].id
        return {"server": {"id": first, "links": _links(first), "OS-DCF:diskConfig": "MANUAL"}}

    def find(self, wanted: Mapping[str, Sequence[str]], where: str) -> object:
        """A page, in the order of creation, the newest first, as nova lists."""
        self.settle()
        name = re.compile(wanted.get("name", [""])[0])
        reservation = wanted.get("reservation_id", [""])[0]
        found = [
            server
            for server in reversed(self.servers.values())
            if name.search(server.name) and reservation in {"", server.reservation}
        ]
        start = 0
        if marker := wanted.get("marker", [""])[0]:
            ids = [server.id for server in found]
            if marker not in ids:
                raise Refused(400, f"marker [{marker}] not found")
            start = ids.index(marker) + 1
        page = found[start : start + min(self.page, int(wanted.get("limit", ["1000"])[0]))]
        body: dict[str, Any] = {"servers": [self.shown(server) for server in page]}
        if page and found[-1] is not page[-1]:
            href = f"{where}/servers/detail?marker={page[-1].id}"
            body["servers_links"] = [{"rel": "next", "href": href}]
        return body

    @property
    def present(self) -> list[Server]:
        self.settle()
        return [*self.servers.values()]

    def one(self, id: str) -> Server:
        self.settle()
        if id not in self.servers:
            raise Refused(404, f"Instance {id} could not be found.")
        return self.servers[id]

    def delete(self, id: str) -> None:
        server = self.one(id)
        if self.guest.stop is not None and server.task != "deleting":
            self.guest.stop(id)
        server.task = "deleting"
        self._due[id] = time.monotonic() + self.timing.end
        self.settle()

    def shown(self, server: Server) -> dict[str, Any]:
        flavor = server.asked["flavorRef"]
        shown = {
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "OS-EXT-STS:task_state": server.task,
            "OS-EXT-STS:vm_state": server.status.lower(),
            "OS-EXT-AZ:availability_zone": server.zone,
            "metadata": dict(server.asked.get("metadata", {})),
            "created": server.created,
            "updated": server.created,
            "tenant_id": self.project,
            "user_id": "u1",
            "hostId": "h" if server.status == "ACTIVE" else "",
            "image": {"id": server.asked["imageRef"], "links": []},
            "flavor": {"id": flavor, "links": []},
            "links": _links(server.id),
            "addresses": self._addresses(server),
            "config_drive": "True" if server.asked.get("config_drive") else "",
            "key_name": server.asked.get("key_name"),
            "security_groups": [{"name": name} for name in self._group_names(server)],
        }
        if server.fault:
            shown["fault"] = {"code": 500, "message": server.fault, "created": server.created}
        return shown

    def groups_of(self, id: str) -> object:
        ids = self.one(id).groups
        return {"security_groups": [self.neutron.groups[each] for each in ids]}

    def shown_flavors(self) -> object:
        return {
            "flavors": [
                {
                    "id": id,
                    "name": name,
                    "vcpus": cpus,
                    "ram": ram,
                    "disk": disk,
                    "OS-FLV-EXT-DATA:ephemeral": 0,
                    "OS-FLV-DISABLED:disabled": False,
                    "swap": "",
                    "rxtx_factor": 1.0,
                    "os-flavor-access:is_public": True,
                    "links": _links(id),
                }
                for id, name, cpus, ram, disk in self.flavors
            ]
        }

    def limits(self) -> object:
        self.settle()
        absolute = {
            "maxTotalInstances": self.quota,
            "totalInstancesUsed": len(self.servers),
            "maxTotalCores": 100,
            "maxTotalRAMSize": -1,
            "maxServerMeta": 128,
        }
        return {"limits": {"rate": [], "absolute": absolute}}

    def settle(self) -> None:
        """What is due by now."""
        now = time.monotonic()
        for id, at in list(self._due.items()):
            if at <= now:
                del self._due[id]
                if self.servers[id].task == "deleting":
                    del self.servers[id]
                    self.neutron.remove_ports(id)
                    self.cinder.let_go(id)
                else:
                    self._become_active(self.servers[id])

    def become(self, id: str, status: str, fault: str = "") -> None:
        server = self.servers[id]
        server.status, server.fault, server.task = status, fault, None

    def _make(
        self,
        asked: Mapping[str, Any],
        place: int,
        most: int,
        reservation: str,
        groups: Sequence[str],
    ) -> Server:
        name = f"{asked['name']}-{place + 1}" if most > 1 else asked["name"]
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        server = Server(str(uuid.uuid4()), name, reservation, asked, [*groups], created)
        self.servers[server.id] = server
        return server

    def _schedule(self, server: Server, networks: Sequence[str]) -> None:
        if self.unlucky:
            self.become(server.id, "ERROR", self.unlucky)
            return
        if self.guest.start is not None:
            data = base64.b64decode(server.asked["user_data"]).decode()
            self.neutron.outside[server.id] = self.guest.start(server.id, data)
        for network in networks:
            self.neutron.make_port(network, server.id, server.groups)
        server.hidden = time.monotonic() + self.timing.boot + self.hears_late
        self._due[server.id] = time.monotonic() + self.timing.boot
        self.settle()

    def _become_active(self, server: Server) -> None:
        server.status, server.task = "ACTIVE", None

    def _addresses(self, server: Server) -> object:
        """None before it runs, and floating ones later still."""
        if server.status in {"BUILD", "ERROR"}:
            return {}
        found: dict[str, list[object]] = {}
        floating = self.neutron.floating.values() if time.monotonic() >= server.hidden else ()
        for port in self.neutron.ports.values():
            if port["device_id"] == server.id:
                name = self.neutron.networks[port["network_id"]]["name"]
                fixed = [(each["ip_address"], "fixed") for each in port["fixed_ips"]]
                outer = [
                    (each["floating_ip_address"], "floating")
                    for each in floating
                    if each["port_id"] == port["id"]
                ]
                found[name] = [
                    {"addr": address, "version": 4, "OS-EXT-IPS:type": kind}
                    for address, kind in (*fixed, *outer)
                ]
        return found

    def _group_names(self, server: Server) -> list[str]:
        """As they were asked for, until its ports tell."""
        if server.status == "BUILD":
            return [each["name"] for each in server.asked.get("security_groups", ())]
        return [self.neutron.groups[id]["name"] for id in server.groups]

    def _check(self, asked: Mapping[str, Any]) -> None:
        """What nova's schema and its checks refuse."""
        if unknown := set(asked) - _KEYS:
            words = f"Additional properties are not allowed ('{min(unknown)}' was unexpected)"
            raise Refused(400, f"Invalid input for field/attribute server. {words}")
        if not 1 <= len(asked["name"]) <= 255:
            raise Refused(400, "Invalid input for field/attribute name.")
        for key, value in asked.get("metadata", {}).items():
            if not _METADATA.fullmatch(key) or not isinstance(value, str) or len(value) > 255:
                raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value}.")
        if len(asked.get("user_data", "")) > _USER_DATA:
            raise Refused(400, "Invalid input for field/attribute user_data. Value is too long.")
        if asked["imageRef"] not in self.glance.images:
            raise Refused(400, "Can not find requested image")
        if asked["flavorRef"] not in {flavor[0] for flavor in self.flavors}:
            raise Refused(400, f"Flavor {asked['flavorRef']} could not be found.")
        if asked.get("key_name"):
            raise Refused(400, "Invalid key_name provided.")

    def _networks(self, asked: Mapping[str, Any]) -> list[str]:
        own = [id for id, each in self.neutron.networks.items() if not each["router:external"]]
        named = [each["uuid"] for each in asked.get("networks", ())]
        for network in named:
            if network not in self.neutron.networks:
                raise Refused(400, f"Network {network} could not be found.")
        if not named and len(own) > 1:
            words = "Multiple possible networks found, use a Network ID to be more specific."
            raise Refused(409, words)
        return named or own

    def _group(self, name: str) -> str:
        """By id, or by a name that only one has."""
        found = [id for id, group in self.neutron.groups.items() if name in {id, group["name"]}]
        if not found:
            words = f"Security group {name} not found for project {self.project}."
            raise Refused(400, words)
        if len(found) > 1:
            words = f"Multiple security_group matches found for name '{name}', use an ID"
            raise Refused(409, f"{words} to be more specific.")
        return found[0]


def _links(id: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"http://127.0.0.1/{id}"}]
