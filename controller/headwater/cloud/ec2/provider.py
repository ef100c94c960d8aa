"""EC2 as a provider: one call lists, one makes a batch, one ends many."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.drivers.ec2 import IdempotentParamError

from headwater.cloud.calls import Answers, answer_each, answers_of, batch_of
from headwater.cloud.ec2.account import Ec2Account
from headwater.cloud.ec2.firewall import Ec2Firewall
from headwater.cloud.ec2.instances import PRESENT, Instances
from headwater.cloud.ec2.launch import Launches, explained
from headwater.cloud.ec2.query import Query, code_of, filters, items, numbered, text
from headwater.cloud.ec2.types import types
from headwater.cloud.ec2.volumes import Ec2Volumes
from headwater.cloud.machines import tags_of
from headwater.cloud.seen import Seen
from headwater.cloud.sizes import prices
from headwater.cloud.tags import CLOUD, INSTALLATION
from headwater.cloud.volumes import Volumes
from headwater.topology.machines import Ability, Batch, Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

LAG = 60.0
"""EC2's "eventual consistency" is said to be over within minutes, and mostly is within seconds."""
MANY = 500
"""Machines that one call ends."""
ABILITIES = frozenset(
    {
        Ability.TAGS,
        Ability.TOKENS,
        Ability.USER_DATA,
        Ability.BATCH,
        Ability.ENDS,
        Ability.PORTS,
        Ability.VOLUMES,
    }
)
_GONE = "InvalidInstanceID"
_NAMING = (_GONE, "OperationNotPermitted")
"""Refusals that are about some of the machines, and say which."""
_WORDS = re.compile(r"[A-Za-z0-9-]+")


class Ec2:
    """For one thread."""

    def __init__(self, driver: NodeDriver, account: Ec2Account) -> None:
        self._driver: Any = driver
        self._account = account
        self._query = Query(driver)
        self._firewall = Ec2Firewall(self._query, account.installation, account.vpc)
        self._instances = Instances(driver, account.keys, account.installation, account.ssh_port)
        self._launches = Launches(driver, account)

    def capabilities(self) -> Capabilities:
        """Known without a call."""
        offers = self._launches.offers()
        return Capabilities(
            abilities=ABILITIES | prices(offers),
            lag=LAG,
            description=f"ec2: {self._driver.name}, {self._driver.region_name}",
            sizes=offers,
        )

    def list(self) -> Seen:
        account = self._account
        if account.begin_look():
            try:
                every = self._present({})
            except BaseException:
                account.not_seen()
                raise
            ours = [node for node in every if tags_of(node, account.installation)]
            nodes = [node for node in ours if node.extra["tags"].get(CLOUD) == account.cloud]
            account.saw(len(every) - len(ours))
        else:
            mine = {f"tag:{INSTALLATION}": [account.installation], f"tag:{CLOUD}": [account.cloud]}
            nodes = [*self._present(mine)]
        if account.ended:
            account.groups.look(self._firewall)
        return Seen(nodes, account.strangers, account.groups.unused(nodes))

    def limits(self) -> Mapping[str, int]:
        found = self._query.ask("DescribeAccountAttributes", {})
        told = {
            text(item, "attributeName"): text(item, "attributeValueSet", "item", "attributeValue")
            for item in items(found, "accountAttributeSet")
        }
        return {name: int(value) for name, value in told.items() if value.isdecimal()}

    def offers(self, names: Collection[str]) -> Sequence[Offer]:
        return types(self._query, names) if names else ()

    def image(self, spec: MachineSpec) -> str:
        return self._launches.architecture(self._query, spec)

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        self._said(orders[0], batch_of(orders[0]))

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        return answer_each(orders, self._run)

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        """One answer per id; what is gone is ended."""
        self._account.ended = True
        failed: dict[str, Exception] = {}
        for at in range(0, len(ids), MANY):
            failed |= self._terminate(ids[at : at + MANY])
        return [failed.get(id) for id in ids]

    def tidy(self, chores: Sequence[str]) -> None:
        self._account.groups.remove(self._firewall, chores)

    def volumes(self) -> Volumes:
        return Ec2Volumes(self._query, self._account)

    def _present(self, wanted: Mapping[str, Sequence[str]]) -> Sequence[Node]:
        pages = self._query.pages(
            "DescribeInstances", filters({"instance-state-name": PRESENT, **wanted})
        )
        return [node for page in pages for node in self._instances.of_listing(page)]

    def _run(self, orders: Sequence[CreateOrder]) -> Answers:
        """One call for orders of one batch."""
        batch = batch_of(orders[0])
        made = self._launched(orders[0], batch)
        return answers_of(orders, made, len(batch.members))

    def _launched(self, order: CreateOrder, batch: Batch) -> Sequence[Node]:
        try:
            return self._launch(order, batch)
        except IdempotentParamError:
            # What the call said depends on more than the order: a size list, a group's id.
            found = self._present_with(batch.token)
            if found:
                return found
            raise
        except Exception as error:
            if code_of(error) == "InvalidGroup.NotFound":
                self._account.groups.forget()
                return self._launch(order, batch)
            if stalled := explained(error, order.spec):
                raise stalled from error
            raise

    def _launch(self, order: CreateOrder, batch: Batch) -> Sequence[Node]:
        answer = self._query.ask("RunInstances", self._said(order, batch))
        return tuple(self._instances.of_reservation(answer))

    def _said(self, order: CreateOrder, batch: Batch) -> Mapping[str, str]:
        said = self._launches.parameters(self._query, order, batch)
        deployment, spec = order.tags.key.deployment, order.spec
        groups = self._account.groups.of(self._firewall, deployment, spec.open)
        return {**said, **self._launches.network(spec, groups)}

    def _present_with(self, token: str) -> Sequence[Node]:
        pages = self._query.pages("DescribeInstances", filters({"client-token": [token]}))
        return [node for page in pages for node in self._instances.of_listing(page)]

    def _terminate(self, ids: Sequence[str]) -> dict[str, Exception]:
        """What failed. A single id that cannot be has EC2 refuse all of them, and name it."""
        left, failed = [*ids], dict[str, Exception]()
        while left:
            try:
                self._query.ask("TerminateInstances", numbered("InstanceId", left))
            except Exception as error:  # noqa: BLE001  # translated by the account, as a value
                code = code_of(error)
                named = set(_WORDS.findall(str(error))) if code.startswith(_NAMING) else set()
                named = named.intersection(left) or set(left)
                if not code.startswith(_GONE):
                    failed |= dict.fromkeys(named, error)
                left = [id for id in left if id not in named]
            else:
                break
        return failed
