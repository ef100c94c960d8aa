"""EC2's security groups."""

from collections.abc import Iterator, Sequence

from headwater.cloud.ec2.query import Query, code_of, filters, items, tag_specification, text
from headwater.cloud.groups import Group, Rule
from headwater.cloud.tags import DEPLOYMENT, INSTALLATION

_ANYWHERE = "0.0.0.0/0"
_ANYWHERE_6 = "::/0"


class Ec2Firewall:
    """`vpc`: of a network that is not the account's own; empty otherwise."""

    def __init__(self, query: Query, installation: str, vpc: str) -> None:
        self._query = query
        self._installation = installation
        self._vpc = vpc

    def found(self, name: str = "") -> Iterator[Group]:
        network = {"vpc-id": [self._vpc]} if self._vpc else {}
        ours = {f"tag:{INSTALLATION}": [self._installation]}
        wanted = {"group-name": [name], **network} if name else ours
        for page in self._query.pages("DescribeSecurityGroups", filters(wanted)):
            for item in items(page, "securityGroupInfo"):
                whole = bool(items(item, "ipPermissions"))
                yield Group(text(item, "groupName"), text(item, "groupId"), whole)

    def create(self, name: str, deployment: str) -> str | None:
        tags = {INSTALLATION: self._installation, DEPLOYMENT: deployment, "Name": name}
        said = {
            "GroupName": name,
            "GroupDescription": f"Headwater: machines of {deployment}",
            **({"VpcId": self._vpc} if self._vpc else {}),
            **tag_specification("security-group", tags),
        }
        try:
            return text(self._query.ask("CreateSecurityGroup", said), "groupId")
        except Exception as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            return None

    def allow(self, id: str, rules: Sequence[Rule]) -> None:
        said = {"GroupId": id}
        for number, rule in enumerate(rules, start=1):
            said |= _said(rule, f"IpPermissions.{number}")
        try:
            self._query.ask("AuthorizeSecurityGroupIngress", said)
        except Exception as error:
            if code_of(error) != "InvalidPermission.Duplicate":
                raise

    def delete(self, id: str) -> bool:
        try:
            self._query.ask("DeleteSecurityGroup", {"GroupId": id})
        except Exception as error:
            code = code_of(error)
            if code in {"DependencyViolation", "InvalidGroup.InUse"}:
                return False
            if code != "InvalidGroup.NotFound":
                raise
        return True


def _said(rule: Rule, place: str) -> dict[str, str]:
    if rule.group:
        return {f"{place}.IpProtocol": "-1", f"{place}.Groups.1.GroupId": rule.group}
    return {
        f"{place}.IpProtocol": rule.protocol,
        f"{place}.FromPort": str(rule.first),
        f"{place}.ToPort": str(rule.last),
        f"{place}.IpRanges.1.CidrIp": _ANYWHERE,
        f"{place}.Ipv6Ranges.1.CidrIpv6": _ANYWHERE_6,
    }
