"""OpenStack as a provider: one call lists, and one makes a batch."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node

from headwater.cloud.calls import Answers, answer_each, answers_of, batch_of
from headwater.cloud.each import attempt_each
from headwater.cloud.machines import is_gone, tags_of
from headwater.cloud.openstack.account import OpenStackAccount
from headwater.cloud.openstack.addresses import ATTACH, RELEASE
from headwater.cloud.openstack.api import COMPUTE, Api, words_of
from headwater.cloud.openstack.driver import Driver
from headwater.cloud.openstack.firewall import NeutronFirewall
from headwater.cloud.openstack.launch import NETWORKS, Launches, explained
from headwater.cloud.openstack.servers import Servers
from headwater.cloud.openstack.session import VOLUMES
from headwater.cloud.openstack.volumes import CinderVolumes
from headwater.cloud.seen import Seen
from headwater.cloud.tags import CLOUD
from headwater.cloud.volumes import Volumes
from headwater.topology.machines import Ability, Batch, Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

LAG = 30.0
"""Nova lists from the database that it writes to; a proxy may give up before nova has written."""
ABILITIES = frozenset({Ability.TAGS, Ability.USER_DATA, Ability.BATCH, Ability.PORTS})
GROUP = "group"


class OpenStack:
    """For one thread."""

    def __init__(self, account: OpenStackAccount) -> None:
        driver = Driver(account.session)
        self._account = account
        self._api = Api(driver)
        self._firewall = NeutronFirewall(self._api, account.installation)
        self._servers = Servers(driver, account, self._order)
        self._launches = Launches(self._api, account)

    def capabilities(self) -> Capabilities:
        options = self._account.options
        volumes = {Ability.VOLUMES} if self._account.session.has(*VOLUMES) else set()
        return Capabilities(
            abilities=ABILITIES | volumes,
            lag=LAG,
            description=f"openstack: {options.auth_url}, {options.region or 'its only region'}",
            sizes=tuple(self._account.flavors.of(self._api)),
        )

    def list(self) -> Seen:
        account = self._account
        every = self._listed()
        ours = [node for node in every if tags_of(node, account.installation)]
        nodes = [node for node in ours if self._is_own(node)]
        if account.ended:
            account.groups.look(self._firewall)
        groups = (f"{GROUP} {name}" for name in account.groups.unused(ours))
        chores = (*groups, *account.addresses.complete(self._api, nodes))
        return Seen(nodes, len(every) - len(ours), chores)

    def limits(self) -> Mapping[str, int]:
        """Those that there are: nova has -1 for none."""
        told = self._api.get(COMPUTE, "/limits")["limits"]["absolute"]
        return {name: value for name, value in told.items() if value >= 0}

    def offers(self, names: Collection[str]) -> Sequence[Offer]:
        """Of flavors that were made since."""
        flavors = self._account.flavors.of(self._api, anew=True) if names else ()
        return [offer for offer in flavors if offer.id in names or offer.name in names]

    def image(self, spec: MachineSpec) -> str:
        return self._launches.image(spec)

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        self._said(orders[0], batch_of(orders[0]))

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        return answer_each(orders, self._run)

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        self._account.ended = True
        return attempt_each(self._end, ids)

    def tidy(self, chores: Sequence[str]) -> None:
        """One that cannot be done keeps no other from being done."""
        failed = [*filter(None, attempt_each(self._put_right, chores))]
        if failed:
            raise failed[0]

    def volumes(self) -> Volumes:
        return CinderVolumes(self._api, self._account)

    def _end(self, id: str) -> None:
        """What it used and cannot be given back now is found by a later listing."""
        self._api.delete(COMPUTE, f"/servers/{quote(id, safe='')}")
        with suppress(BaseHTTPError):
            self._account.addresses.ended(self._api, id)

    def _put_right(self, chore: str) -> None:
        kind, _, name = chore.partition(" ")
        doing: Mapping[str, Callable[[], None]] = {
            GROUP: lambda: self._account.groups.remove(self._firewall, [name]),
            ATTACH: lambda: self._account.addresses.attach(self._api, name),
            RELEASE: lambda: self._account.addresses.release(self._api, name),
        }
        doing[kind]()

    def _order(self) -> Sequence[str]:
        """Names of the networks, the one first at which machines are to be reached."""
        networks, names = self._account.networks, self._account.options.networks
        if len(names) < 2:  # noqa: PLR2004  # there is an order of several
            return ()
        return [networks.find(self._api, NETWORKS, name).name for name in names]

    def _listed(self, **wanted: str) -> Sequence[Node]:
        pages = self._api.pages(COMPUTE, "/servers/detail", "servers", **wanted)
        return self._servers.nodes(pages)

    def _run(self, orders: Sequence[CreateOrder]) -> Answers:
        """Nova knows no tokens: what an earlier attempt has made is looked for first."""
        before = {node.name: node for node in self._made_before(orders[0])}
        known = {order.name: before[order.name] for order in orders if order.name in before}
        missing = sorted(
            (order for order in orders if order.name not in known),
            key=lambda order: order.tags.key.index,
        )
        if not missing:
            return known
        members = tuple((order.tags.key.index, order.tags.incarnation) for order in missing)
        made = self._launched(missing[0], replace(batch_of(missing[0]), members=members))
        return {**known, **answers_of(missing, made, len(missing))}

    def _made_before(self, order: CreateOrder) -> Iterator[Node]:
        """`name` is an expression to nova; names of ours have nothing in them that means more."""
        key = order.tags.key
        for node in self._listed(name=f"^{key.deployment}-{key.node}-"):
            if self._is_own(node) and not is_gone(node):
                yield node

    def _is_own(self, node: Node) -> bool:
        """Of this Cloud: several may share the account."""
        ours = tags_of(node, self._account.installation) is not None
        return ours and node.extra["metadata"].get(CLOUD) == self._account.cloud

    def _launched(self, order: CreateOrder, batch: Batch) -> Sequence[Node]:
        try:
            return self._launch(order, batch)
        except Exception as error:
            words = words_of(error)
            if "security group" in words and "not found" in words:
                self._account.groups.forget()
                return self._launch(order, batch)
            if stalled := explained(error, order.spec):
                self._account.networks.forget()
                self._account.flavors.forget()
                raise stalled from error
            raise

    def _launch(self, order: CreateOrder, batch: Batch) -> Sequence[Node]:
        made = self._api.post(COMPUTE, "/servers", self._said(order, batch))
        listed = self._listed(reservation_id=str(made["reservation_id"]))
        return [node for node in listed if self._is_own(node)]

    def _said(self, order: CreateOrder, batch: Batch) -> Mapping[str, object]:
        deployment, spec = order.tags.key.deployment, order.spec
        groups = self._account.groups.of(self._firewall, deployment, spec.open)
        return self._launches.body(order, batch, groups)
