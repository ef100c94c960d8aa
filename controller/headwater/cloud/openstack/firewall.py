"""Neutron's security groups."""

from collections.abc import Iterator, Sequence

from headwater.cloud.groups import Group, Rule
from headwater.cloud.openstack.api import CONFLICT, NETWORK, Api, Body, code_of, words_of

_PATH = "/v2.0/security-groups"


class NeutronFirewall:
    def __init__(self, api: Api, installation: str) -> None:
        self._api = api
        self._mark = f"Headwater's, of installation {installation}"

    def found(self, name: str = "") -> Iterator[Group]:
        wanted = {"description": self._mark, "project_id": self._api.session.token().project}
        if name:
            wanted["name"] = name
        for each in self._api.having(NETWORK, _PATH, "security_groups", **wanted):
            yield Group(str(each["name"]), str(each["id"]), _is_whole(each))

    def create(self, name: str, deployment: str) -> str | None:  # noqa: ARG002  # its name tells
        """Neutron itself would make any number of the same name."""
        if any(self.found(name)):
            return None
        asked = {"name": name, "description": self._mark}
        made = self._api.post(NETWORK, _PATH, {"security_group": asked})
        return str(made["security_group"]["id"])

    def allow(self, id: str, rules: Sequence[Rule]) -> None:
        said = [
            {"security_group_id": id, "direction": "ingress", "ethertype": kind, **_said(rule)}
            for rule in rules
            for kind in ("IPv4", "IPv6")
        ]
        try:
            body = {"security_group_rules": said}
            self._api.post(NETWORK, "/v2.0/security-group-rules", body)
        except Exception as error:
            if not (code_of(error) == CONFLICT and "already exists" in words_of(error)):
                raise

    def delete(self, id: str) -> bool:
        try:
            self._api.delete(NETWORK, f"{_PATH}/{id}")
        except Exception as error:
            if code_of(error) == CONFLICT:
                return False
            raise
        return True


def _is_whole(group: Body) -> bool:
    """What it lets out is neutron's own; what it lets in came in one call."""
    return any(rule["direction"] == "ingress" for rule in group["security_group_rules"])


def _said(rule: Rule) -> dict[str, object]:
    if rule.group:
        return {"remote_group_id": rule.group}
    ports = {"port_range_min": rule.first, "port_range_max": rule.last}
    return {"protocol": rule.protocol, **ports}
