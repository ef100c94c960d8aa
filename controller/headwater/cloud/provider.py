"""One account's driver, behind the few calls that we make."""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.providers import DRIVERS, get_driver

from headwater.cloud.embedded import Embedded
from headwater.cloud.generic import Generic
from headwater.errors import HeadwaterError, Stalled
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import Capabilities, CreateOrder

DRIVERS_GROUP = "headwater.drivers"


class Provider(Protocol):
    """Blocking, and for one thread. Raises what its driver raises."""

    def capabilities(self) -> Capabilities: ...

    def list(self) -> Sequence[Node]:
        """Every machine of the account, ours or not."""

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        """One answer per order, in order."""

    def destroy(self, id: str) -> None: ...


def open_provider(cloud: ResolvedCloud, directory: Path) -> Provider:
    """Raises Stalled for a driver or credentials that there are not, and as the driver does."""
    if cloud.driver == "local":
        return Embedded(cloud, directory)
    arguments = {**cloud.options, **_credentials(cloud, directory / "secrets")}
    if cloud.region:
        arguments["region"] = cloud.region
    constructor = _constructor(cloud)
    try:
        return Generic(constructor(**arguments), cloud.driver)
    except HeadwaterError:
        raise
    except TypeError as e:  # an argument that the driver does not know, or lacks
        raise Stalled(
            f"cloud {cloud.name!r}: driver {cloud.driver} was not given what it needs: {e}"
        ) from e


def _constructor(cloud: ResolvedCloud) -> Any:
    for entry in entry_points(group=DRIVERS_GROUP, name=cloud.driver):
        constructor: type[NodeDriver] = entry.load()
        return constructor
    names = {str(name): name for name in DRIVERS}
    if cloud.driver not in names:
        near = get_close_matches(cloud.driver, ["local", *names], 3)
        hint = f" (near: {', '.join(near)})" if near else ""
        raise Stalled(f"cloud {cloud.name!r}: there is no driver {cloud.driver!r}{hint}")
    return get_driver(cloud.driver)


def _credentials(cloud: ResolvedCloud, secrets: Path) -> Mapping[str, Any]:
    """The driver's own arguments (`key`, `secret`, ...), from a file that Git never sees."""
    if not cloud.credentials:
        return {}
    file = secrets / f"{cloud.credentials}.toml"
    try:
        if file.parent != secrets:
            raise Stalled(f"cloud {cloud.name!r}: {cloud.credentials!r} is no name of credentials")
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as e:
        raise Stalled(
            f"cloud {cloud.name!r}: credentials {cloud.credentials!r} cannot be read: put the"
            f" driver's arguments into {file} ({type(e).__name__})"
        ) from e
