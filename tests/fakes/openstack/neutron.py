"""Neutron: networks, ports, security groups, floating addresses. Its names are not unique."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes.openstack.refusals import Refused

Item = dict[str, Any]
_OWN = {"fields", "limit", "marker", "sort_key", "sort_dir"}


@dataclass
class Neutron:
    """For one thread at a time."""

    project: str
    quota: dict[str, int] = field(default_factory=dict)
    """By kind, as neutron calls it: `security_group`, `floatingip`."""
    networks: dict[str, Item] = field(default_factory=dict)
    subnets: dict[str, Item] = field(default_factory=dict)
    ports: dict[str, Item] = field(default_factory=dict)
    groups: dict[str, Item] = field(default_factory=dict)
    floating: dict[str, Item] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    """Addresses that floating ones are to be, by the machine."""
    knows_filters: bool = True
    tells_servers: bool = True
    """To which machine a floating address leads: not every neutron does."""
    _last: int = 0

    def __post_init__(self) -> None:
        self.add_network("private", "10.0.0.0/16")
        self.add_network("public", "203.0.113.0/24", external=True)
        self.make_group({"name": "default", "description": "Default security group"})

    def add_network(self, name: str, cidr: str, *, external: bool = False) -> str:
        id, subnet = _id(), _id()
        self.networks[id] = {
            "id": id,
            "name": name,
            "status": "ACTIVE",
            "subnets": [subnet],
            "router:external": external,
            "project_id": self.project,
            "tenant_id": self.project,
            "shared": external,
            "admin_state_up": True,
        }
        self.subnets[subnet] = {"id": subnet, "name": name, "network_id": id, "cidr": cidr}
        return id

    def find(self, kind: str, wanted: Mapping[str, Sequence[str]]) -> list[Item]:
        """What has each of these values."""
        kept = {name: values for name, values in wanted.items() if name not in _OWN}
        every = self._of(kind).values()
        found = [item for item in every if not self.knows_filters or _has(item, kept)]
        fields = wanted.get("fields", ())
        return [{f: item[f] for f in fields if f in item} for item in found] if fields else found

    def make_port(self, network: str, device: str, groups: Iterable[str]) -> Item:
        self._last += 1
        [subnet] = self.networks[network]["subnets"]
        net = self.subnets[subnet]["cidr"].split(".")
        address = f"{net[0]}.{net[1]}.{self._last // 250}.{self._last % 250 + 2}"
        port: Item = {
            "id": _id(),
            "name": "",
            "status": "ACTIVE",
            "network_id": network,
            "device_id": device,
            "device_owner": "compute:nova",
            "admin_state_up": True,
            "mac_address": f"fa:16:3e:00:{self._last // 250:02x}:{self._last % 250:02x}",
            "fixed_ips": [{"subnet_id": subnet, "ip_address": address}],
            "security_groups": sorted(groups),
            "project_id": self.project,
            "tenant_id": self.project,
        }
        self.ports[port["id"]] = port
        return port

    def remove_ports(self, device: str) -> None:
        """Floating addresses stay, and lead nowhere."""
        gone = {id for id, port in self.ports.items() if port["device_id"] == device}
        for id in gone:
            del self.ports[id]
        for each in self.floating.values():
            if each["port_id"] in gone:
                each |= {"port_id": None, "fixed_ip_address": None, "status": "DOWN"}
                each |= {"port_details": None}

    def make_group(self, asked: Mapping[str, Any]) -> Item:
        self._check_quota("security_group", self.groups)
        id = _id()
        self.groups[id] = {
            "id": id,
            "name": asked["name"],
            "description": asked.get("description", ""),
            "stateful": True,
            "project_id": self.project,
            "tenant_id": self.project,
            "security_group_rules": [],
        }
        for kind in ("IPv4", "IPv6"):
            self._rule({"security_group_id": id, "direction": "egress", "ethertype": kind})
        return self.groups[id]

    def make_rules(self, asked: Sequence[Mapping[str, Any]]) -> list[Item]:
        """All or none."""
        before = {id: list(group["security_group_rules"]) for id, group in self.groups.items()}
        try:
            return [self._rule(rule) for rule in asked]
        except Refused:
            for id, rules in before.items():
                self.groups[id]["security_group_rules"] = rules
            raise

    def delete_group(self, id: str) -> None:
        self._one("groups", id, "SecurityGroupNotFound", f"Security group {id} does not exist")
        if any(id in port["security_groups"] for port in self.ports.values()):
            raise Refused(409, f"Security Group {id} in use.", "SecurityGroupInUse")
        if self.groups[id]["name"] == "default":
            raise Refused(409, "Insufficient rights for removing default security group.")
        del self.groups[id]
        for group in self.groups.values():
            group["security_group_rules"] = [
                rule for rule in group["security_group_rules"] if rule["remote_group_id"] != id
            ]

    def make_floating(self, asked: Mapping[str, Any]) -> Item:
        self._check_quota("floatingip", self.floating)
        pool, port = asked["floating_network_id"], asked.get("port_id")
        if not self.networks.get(pool, {}).get("router:external"):
            words = f"Network {pool} is not a valid external network"
            raise Refused(400, f"Bad floatingip request: {words}.")
        fixed, device = None, ""
        if port is not None:
            found = self._one("ports", port, "PortNotFound", f"Port {port} could not be found.")
            fixed, device = found["fixed_ips"][0]["ip_address"], found["device_id"]
            if any(each["port_id"] == port for each in self.floating.values()):
                words = f"Cannot associate floating IP with port {port} using fixed IP {fixed}, as"
                more = f"that fixed IP already has a floating IP on external network {pool}."
                raise Refused(409, f"{words} {more}", "FloatingIPPortAlreadyAssociated")
        self._last += 1
        made = {
            "id": _id(),
            "floating_network_id": pool,
            "floating_ip_address": self.outside.get(device, f"203.0.113.{self._last % 250 + 2}"),
            "fixed_ip_address": fixed,
            "port_id": port,
            "port_details": {"device_id": device} if port and self.tells_servers else None,
            "router_id": None,
            "status": "ACTIVE" if port else "DOWN",
            "description": asked.get("description", ""),
            "project_id": self.project,
            "tenant_id": self.project,
        }
        self.floating[made["id"]] = made
        return made

    def delete_floating(self, id: str) -> None:
        self._one("floating", id, "FloatingIPNotFound", f"Floating IP {id} could not be found")
        del self.floating[id]

    def _rule(self, asked: Mapping[str, Any]) -> Item:
        """Raises Refused for one that there is."""
        blank = ("protocol", "port_range_min", "port_range_max", "remote_group_id")
        rule = {**dict.fromkeys((*blank, "remote_ip_prefix")), **asked}
        group = self._one(
            "groups", rule["security_group_id"], "SecurityGroupNotFound", "Group does not exist"
        )
        for each in group["security_group_rules"]:
            if {name: each[name] for name in rule} == rule:
                words = f"Security group rule already exists. Rule id is {each['id']}."
                raise Refused(409, words, "SecurityGroupRuleExists")
        made = {"id": _id(), "project_id": self.project, "tenant_id": self.project, **rule}
        group["security_group_rules"] = [*group["security_group_rules"], made]
        return made

    def _of(self, kind: str) -> dict[str, Item]:
        kinds = {"security-groups": self.groups, "floatingips": self.floating}
        kinds |= {"networks": self.networks, "subnets": self.subnets, "ports": self.ports}
        return kinds[kind]

    def _one(self, kind: str, id: str, type: str, words: str) -> Item:
        every: dict[str, Item] = getattr(self, kind)
        if id not in every:
            raise Refused(404, words, type)
        return every[id]

    def _check_quota(self, kind: str, held: Mapping[str, Item]) -> None:
        if len(held) >= self.quota.get(kind, 1000):
            raise Refused(409, f"Quota exceeded for resources: ['{kind}'].", "OverQuota")


def _has(item: Item, wanted: Mapping[str, Sequence[str]]) -> bool:
    return all(str(item.get(name)) in values for name, values in wanted.items())


def _id() -> str:
    return str(uuid.uuid4())
