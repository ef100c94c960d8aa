"""Any libcloud compute driver that can tag a machine as it makes it, as a provider."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from libcloud.compute.base import Node, NodeAuthSSHKey, NodeDriver, NodeImage, NodeSize
from libcloud.compute.types import NodeState

from headwater.cloud.each import attempt_each
from headwater.cloud.machines import is_gone, tags_of
from headwater.cloud.seen import Seen
from headwater.cloud.sizes import choose_size, offer_of, prices
from headwater.cloud.tags import to_metadata
from headwater.cloud.volumes import DriverVolumes, Volumes, has_volumes
from headwater.errors import Stalled, Transient
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import Ability, Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

_LAG = 60.0
"""EC2's "eventual consistency" is said to be over within minutes, and mostly is within seconds."""


class Generic:
    """Makes machines one by one; what the driver cannot do is said before the first of them."""

    def __init__(self, driver: NodeDriver, cloud: ResolvedCloud, installation: str) -> None:
        self._driver = driver
        self._name = cloud.driver
        self._cloud = cloud.name
        self._installation = installation
        self._accepts = set(inspect.signature(driver.create_node).parameters)
        self._sizes: Sequence[NodeSize] = ()

    def capabilities(self) -> Capabilities:
        """Raises Stalled for a driver whose machines could not be found again, or logged in to."""
        self._require()
        tokens = {Ability.TOKENS} if "ex_clienttoken" in self._accepts else set()
        volumes = {Ability.VOLUMES} if has_volumes(self._driver) else set()
        offers = tuple(offer_of(size) for size in self._sold())
        return Capabilities(
            abilities=frozenset({Ability.TAGS, *tokens, *volumes, *prices(offers)}),
            lag=_LAG,
            description=f"{self._name}: {self._driver.name}",
            sizes=offers,
        )

    def _require(self) -> None:
        if "ex_metadata" not in self._accepts:
            raise Stalled(
                f"driver {self._name} cannot carry tags: machines of it could not be told from"
                " others; use a driver whose create_node takes ex_metadata (ec2, openstack, gce)"
            )
        if "ssh_key" not in self._driver.features.get("create_node", ()):
            raise Stalled(f"driver {self._name} cannot give a machine its login key yet")

    def _sold(self) -> Sequence[NodeSize]:
        if not self._sizes:
            self._sizes = self._driver.list_sizes()
        return self._sizes

    def list(self) -> Seen:
        return Seen(list(self._driver.list_nodes()))

    def limits(self) -> Mapping[str, int]:
        """Drivers have no common way to ask."""
        return {}

    def offers(self, names: Collection[str]) -> Sequence[Offer]:  # noqa: ARG002  # all are known
        return ()

    def image(self, spec: MachineSpec) -> str:
        """Of the listing: what `get_image` raises for one that is not there differs by driver."""
        try:
            images = {str(image.id): str(image.name) for image in self._driver.list_images()}
        except NotImplementedError:
            return "not looked up: the driver lists none"
        if spec.image_id not in images:
            raise Stalled(
                f"image {spec.image!r} is not at cloud {spec.cloud!r}: correct its"
                f" spec.ids.{spec.cloud} = {spec.image_id!r}"
            )
        return images[spec.image_id]

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        """Machines need nothing else."""

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        self._require()
        known = () if "ex_clienttoken" in self._accepts else self.list().nodes
        return [self._create_or_error(order, known) for order in orders]

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        return attempt_each(self._destroy, ids)

    def tidy(self, chores: Sequence[str]) -> None:
        """It makes nothing but machines and volumes."""

    def volumes(self) -> Volumes:
        if not has_volumes(self._driver):
            raise Stalled(f"driver {self._name} has no volumes that can be told from others'")
        return DriverVolumes(self._driver, self._installation, self._cloud)

    def _destroy(self, id: str) -> None:
        try:
            done = self._driver.destroy_node(Node(id, "", NodeState.UNKNOWN, [], [], self._driver))
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
        arguments: dict[str, Any] = {"ex_metadata": to_metadata(order.tags)}
        if "ex_clienttoken" in self._accepts:
            arguments["ex_clienttoken"] = order.token
        return self._driver.create_node(
            name=order.name,
            size=choose_size(self._sold(), order.spec.size, order.spec.cloud),
            image=NodeImage(order.spec.image_id, order.spec.image, self._driver),
            auth=NodeAuthSSHKey(order.authorized_key),
            **arguments,
        )


def _made_before(order: CreateOrder, known: Sequence[Node]) -> Node | None:
    """An earlier attempt at the same order, where the cloud keeps no tokens."""
    for node in known:
        tags = None if is_gone(node) else tags_of(node, order.tags.installation)
        if tags and (tags.key, tags.incarnation) == (order.tags.key, order.tags.incarnation):
            return node
    return None
