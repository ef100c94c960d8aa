"""Security groups: what may reach our machines, made when needed and removed when unused."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

from libcloud.compute.base import Node

from headwater.cloud.ec2.query import Query, code_of, filters, items, tag_specification, text
from headwater.cloud.tags import DEPLOYMENT, INSTALLATION
from headwater.topology.digests import digest

FRESH = 120.0
"""Seconds for which a group that was asked for counts as used: its machine is on its way."""
PATIENCE = 300.0
"""Seconds until a group that could not be removed is tried again."""
_ANYWHERE = "0.0.0.0/0"
_ANYWHERE_6 = "::/0"


class Groups:
    """The groups of one account; shared by its threads.

    Each machine is in two: one lets in what its node opens and our login, from anywhere; the
    other everything from the machines of its deployment. Names say what is in them, so that the
    same is found again after a crash, and no group is ever changed.
    """

    def __init__(
        self, installation: str, vpc: str, login: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._installation = installation
        self._vpc = vpc
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._unknown = True
        """There may be groups of an earlier process."""
        self._ids: dict[str, str] = {}
        self._busy: dict[str, float] = {}
        """Until when a group is left alone."""

    def of(self, query: Query, deployment: str, ports: Sequence[str]) -> list[str]:
        """Their ids; what is missing is made. Raises what libcloud raises."""
        opened = sorted({*ports, self._login})
        outer = f"headwater-{self._installation}-{deployment}-{digest(opened)}"
        inner = f"headwater-{self._installation}-{deployment}"
        with self._lock:
            return [
                self._ensure(query, outer, deployment, lambda _: _from_anywhere(opened)),
                self._ensure(query, inner, deployment, _from_itself),
            ]

    def forget(self) -> None:
        """Somebody has removed one: look again."""
        with self._lock:
            self._ids.clear()
            self._unknown = True

    def look(self, query: Query) -> None:
        """Before anything can be unused that an earlier process has made; one call, once."""
        with self._lock:
            self._look(query)

    def unused(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """Names of groups that none of these, which are all that there are, is in."""
        used = {group for node in nodes for group in node.extra["groups"]}
        with self._lock:
            free = [name for name, id in self._ids.items() if id not in used]
            return tuple(name for name in free if not self._is_busy(name))

    def remove(self, query: Query, names: Iterable[str]) -> None:
        """Raises for the first group that stays for another reason than being in use."""
        with self._lock:
            for name in names:
                if name in self._ids and not self._is_busy(name):
                    self._remove(query, name, self._ids[name])

    def _is_busy(self, name: str) -> bool:
        return self._busy.get(name, 0.0) > self._clock()

    def _remove(self, query: Query, name: str, id: str) -> None:
        try:
            query.ask("DeleteSecurityGroup", {"GroupId": id})
        except Exception as error:
            code = code_of(error)
            if code in {"DependencyViolation", "InvalidGroup.InUse"}:
                self._busy[name] = self._clock() + PATIENCE
                return
            if code != "InvalidGroup.NotFound":
                raise
        del self._ids[name]

    def _ensure(
        self, query: Query, name: str, deployment: str, rules: Callable[[str], Mapping[str, str]]
    ) -> str:
        self._busy[name] = self._clock() + FRESH
        if name not in self._ids and not self._is_made(query, name, deployment, rules):
            # Of somebody who died before its rules were made.
            network = {"vpc-id": [self._vpc]} if self._vpc else {}
            [found] = self._found(query, {"group-name": [name], **network})
            id = text(found, "groupId")
            self._allow(query, id, rules(id))
            self._ids[name] = id
        return self._ids[name]

    def _is_made(
        self, query: Query, name: str, deployment: str, rules: Callable[[str], Mapping[str, str]]
    ) -> bool:
        """Made now, or made whole before."""
        tags = {INSTALLATION: self._installation, DEPLOYMENT: deployment, "Name": name}
        said = {
            "GroupName": name,
            "GroupDescription": f"Headwater: machines of {deployment}",
            **({"VpcId": self._vpc} if self._vpc else {}),
            **tag_specification("security-group", tags),
        }
        try:
            id = text(query.ask("CreateSecurityGroup", said), "groupId")
        except Exception as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            self._look(query)
            return name in self._ids
        self._allow(query, id, rules(id))
        self._ids[name] = id
        return True

    def _look(self, query: Query) -> None:
        """Groups of an earlier process; their rules come in one call, all or none."""
        if self._unknown:
            for item in self._found(query, {f"tag:{INSTALLATION}": [self._installation]}):
                if items(item, "ipPermissions"):
                    self._ids[text(item, "groupName")] = text(item, "groupId")
            self._unknown = False

    def _found(self, query: Query, wanted: Mapping[str, Sequence[str]]) -> list[Element]:
        pages = query.pages("DescribeSecurityGroups", filters(wanted))
        return [item for page in pages for item in items(page, "securityGroupInfo")]

    def _allow(self, query: Query, id: str, rules: Mapping[str, str]) -> None:
        try:
            query.ask("AuthorizeSecurityGroupIngress", {"GroupId": id, **rules})
        except Exception as error:
            if code_of(error) != "InvalidPermission.Duplicate":
                raise


def _from_anywhere(ports: Iterable[str]) -> dict[str, str]:
    rules: dict[str, str] = {}
    for number, port in enumerate(ports, start=1):
        place, _, protocol = port.partition("/")
        first, _, last = place.partition("-")
        rule = f"IpPermissions.{number}"
        rules |= {
            f"{rule}.IpProtocol": protocol or "tcp",
            f"{rule}.FromPort": first,
            f"{rule}.ToPort": last or first,
            f"{rule}.IpRanges.1.CidrIp": _ANYWHERE,
            f"{rule}.Ipv6Ranges.1.CidrIpv6": _ANYWHERE_6,
        }
    return rules


def _from_itself(id: str) -> dict[str, str]:
    return {"IpPermissions.1.IpProtocol": "-1", "IpPermissions.1.Groups.1.GroupId": id}
