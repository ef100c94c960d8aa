"""Any libcloud compute driver that can tag a machine as it makes it, as a provider."""

from collections.abc import Collection, Mapping, Sequence

from libcloud.compute.base import Node, NodeDriver, NodeSize
from libcloud.compute.types import NodeState

from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.contact import introduce, present
from headwater.cloud.drivers.launch import arguments, free_size, image_of, no_image
from headwater.cloud.drivers.options import Options, create_arguments
from headwater.cloud.drivers.traits import traits_of
from headwater.cloud.each import attempt_each
from headwater.cloud.machines import is_gone, table_of, tags_of
from headwater.cloud.seen import Seen
from headwater.cloud.sizes import choose_size, offer_of, prices
from headwater.cloud.tags import CLOUD
from headwater.cloud.volumes import DriverVolumes, Volumes, has_volumes
from headwater.errors import Stalled, Transient
from headwater.topology.machines import Ability, Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer


class Generic:
    """Makes machines one by one, for one thread."""

    def __init__(
        self, driver: NodeDriver, name: str, account: DriverAccount, options: Options
    ) -> None:
        """Raises Stalled for a driver that cannot do what we cannot do without."""
        self._driver = driver
        self._name = name
        self._account = account
        self._options = options
        self._traits = traits_of(driver, name, options.ours)
        self._free = hasattr(driver, "ex_size")
        """Machines are as large as they ask to be."""
        self._sizes: Sequence[NodeSize] = ()
        self._said: Mapping[str, object] | None = None

    def capabilities(self) -> Capabilities:
        volumes = frozenset({Ability.VOLUMES} if has_volumes(self._driver) else ())
        offers = tuple(offer_of(size) for size in self._sold())
        self._always()
        return Capabilities(
            abilities=self._traits.abilities | volumes | prices(offers),
            lag=self._traits.lag,
            description=f"{self._name}: {self._driver.name}",
            sizes=None if self._free else offers,
        )

    def _sold(self) -> Sequence[NodeSize]:
        if not self._sizes and not self._free:
            self._sizes = self._driver.list_sizes()
        return self._sizes

    def _always(self) -> Mapping[str, object]:
        """What every creation says."""
        if self._said is None:
            self._said = create_arguments(
                self._driver, self._traits, self._options, self._account.region
            )
        return self._said

    def list(self) -> Seen:
        """Of ours, those of this cloud alone: several may share an account."""
        nodes = [node for node in self._driver.list_nodes() if self._is_shown(node)]
        introduce(self._driver, self._traits, self._account, nodes)
        self._account.saw(nodes)
        return Seen(nodes)

    def _is_shown(self, node: Node) -> bool:
        table = table_of(node, self._account.installation)
        cloud = self._account.cloud
        return table is None or table.get(CLOUD, cloud) == cloud

    def limits(self) -> Mapping[str, int]:
        """Drivers have no common way to ask."""
        return {}

    def offers(self, names: Collection[str]) -> Sequence[Offer]:  # noqa: ARG002  # all are known
        return ()

    def image(self, spec: MachineSpec) -> str:
        """Of the listing: what `get_image` raises for one that is not there differs by driver."""
        if self._traits.image_by:
            return str(image_of(self._driver, self._traits, spec).name)
        try:
            images = self._driver.list_images()
        except NotImplementedError:
            return "not looked up: the driver lists none"
        for image in images:
            if spec.image_id in {str(image.id), str((image.extra or {}).get("slug"))}:
                return str(image.name)
        raise no_image(spec)

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        """Machines need nothing else."""

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        known = () if Ability.TOKENS in self._traits.abilities else self.list().nodes
        return [self._create_or_error(order, known) for order in orders]

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        return attempt_each(self._destroy, ids)

    def tidy(self, chores: Sequence[str]) -> None:
        """It makes nothing but machines and volumes."""

    def volumes(self) -> Volumes:
        if not has_volumes(self._driver):
            raise Stalled(f"driver {self._name} has no volumes that can be told from others'")
        return DriverVolumes(self._driver, self._account.installation, self._account.cloud)

    def _destroy(self, id: str) -> None:
        bare = Node(id, "", NodeState.UNKNOWN, [], [], self._driver)
        try:
            done = self._driver.destroy_node(self._account.node(id) or bare)
        except Exception:
            # Every driver has its own way to say `not found`; the listing has one.
            if any(str(node.id) == id and not is_gone(node) for node in self.list().nodes):
                raise
        else:
            if not done:
                raise Transient(f"driver {self._name} did not terminate {id}")

    def _create_or_error(self, order: CreateOrder, known: Sequence[Node]) -> Node | Exception:
        try:
            return _made_before(order, known) or self._create(order)
        except Exception as e:  # noqa: BLE001  # translated by the account, as a value
            return e

    def _create(self, order: CreateOrder) -> Node:
        driver, traits, account = self._driver, self._traits, self._account
        node = driver.create_node(
            name=order.name,
            size=self._size(order),
            image=image_of(driver, traits, order.spec),
            **arguments(driver, traits, account, order, self._always()),
        )
        present(node, tags_of(node, account.installation) or order.tags, traits, account)
        account.made(node)
        return node

    def _size(self, order: CreateOrder) -> NodeSize:
        if self._free:
            return free_size(self._driver, order)
        return choose_size(self._sold(), order.spec.size, order.spec.cloud)


def _made_before(order: CreateOrder, known: Sequence[Node]) -> Node | None:
    """An earlier attempt at the same order, where the cloud keeps no tokens."""
    for node in known:
        tags = None if is_gone(node) else tags_of(node, order.tags.installation)
        if tags and (tags.key, tags.incarnation) == (order.tags.key, order.tags.incarnation):
            return node
    return None
