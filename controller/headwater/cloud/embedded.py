"""The embedded cloud, as a provider."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from headwater.cloud.each import attempt_each
from headwater.cloud.local.driver import LocalNodeDriver, describe
from headwater.cloud.seen import Seen
from headwater.cloud.tags import CLOUD, to_metadata
from headwater.cloud.volumes import DriverVolumes, Volumes
from headwater.errors import Stalled
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import Ability, Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

_OPTIONS = {"level"}
_ABILITIES = frozenset({Ability.TAGS, Ability.TOKENS, Ability.PORTS, Ability.VOLUMES})
"""Nothing stands between its machines and this host: every port is open."""


class Embedded:
    """Machines on this host, made many at once: its listings and creations are one round trip."""

    def __init__(self, cloud: ResolvedCloud, installation: str, directory: Path) -> None:
        if unknown := sorted(set(cloud.options) - _OPTIONS):
            raise Stalled(f"cloud {cloud.name!r}: driver local has no option {unknown[0]!r}")
        self._name = cloud.name
        self._level = str(cloud.options.get("level", "auto"))
        self._driver = LocalNodeDriver(str(directory / "local"), level=self._level)
        self._installation = installation

    def capabilities(self) -> Capabilities:
        reasons = self._driver.ex_probe()
        description = describe(self._level, reasons)
        possible = [level for level, reason in reasons.items() if not reason]
        level = possible[0] if self._level == "auto" else self._level
        return Capabilities(
            abilities=_ABILITIES,
            packages=level == "machine",
            isolated_hosts_file=level != "process",
            description=description,
        )

    def list(self) -> Seen:
        """Of this cloud alone: several may share the host of the machines."""
        return Seen([node for node in self._driver.list_nodes() if self._is_own(node)])

    def _is_own(self, node: Node) -> bool:
        return bool(node.extra["metadata"].get(CLOUD, self._name) == self._name)

    def limits(self) -> Mapping[str, int]:
        """This host's are its operator's to know."""
        return {}

    def offers(self, names: Collection[str]) -> Sequence[Offer]:  # noqa: ARG002  # none are sold
        return ()

    def image(self, spec: MachineSpec) -> str:  # noqa: ARG002  # every one is the same
        return "as this host"

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        """Machines need nothing else."""

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        return self._driver.ex_create_nodes(
            [
                {
                    "name": order.name,
                    "authorized_key": order.authorized_key,
                    "ex_metadata": {**to_metadata(order.tags), CLOUD: self._name},
                    "ex_token": order.token,
                }
                for order in orders
            ]
        )

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        return attempt_each(self._destroy, ids)

    def tidy(self, chores: Sequence[str]) -> None:
        """Its machines leave nothing."""

    def volumes(self) -> Volumes:
        return DriverVolumes(self._driver, self._installation, self._name)

    def _destroy(self, id: str) -> None:
        self._driver.destroy_node(Node(id, "", NodeState.UNKNOWN, [], [], self._driver))
