"""One account's driver, behind the few calls that we make."""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.providers import DRIVERS, get_driver

from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.options import constructor_parameters, split, takes_region
from headwater.cloud.embedded import Embedded
from headwater.cloud.generic import Generic
from headwater.cloud.hostkeys import host_keys
from headwater.cloud.seen import Seen
from headwater.cloud.shared import Shared
from headwater.cloud.volumes import Volumes
from headwater.errors import HeadwaterError, Stalled
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import Capabilities, CreateOrder, MachineSpec
from headwater.topology.sizes import Offer

DRIVERS_GROUP = "headwater.drivers"


class Provider(Protocol):
    """Blocking, and for one thread. Raises what its driver raises."""

    def capabilities(self) -> Capabilities: ...

    def list(self) -> Seen:
        """Every machine of the account; those that are not ours may be counted only."""

    def limits(self) -> Mapping[str, int]:
        """The account's own, by the cloud's words; empty where the driver cannot tell."""

    def offers(self, names: Collection[str]) -> Sequence[Offer]:
        """Those of these sizes that there are, of names that `capabilities` does not tell of."""

    def image(self, spec: MachineSpec) -> str:
        """What is known of the image, for people. Raises Stalled where there is none."""

    def prepare(self, orders: Sequence[CreateOrder]) -> None:
        """Make what a batch needs besides machines, before its creation is given a place in line.

        Raises for what cannot be created at all.
        """

    def create(self, orders: Sequence[CreateOrder]) -> Sequence[Node | Exception]:
        """One answer per order, in order. Orders of one batch come together, and are one call.

        A node that is terminated answers an order of an incarnation that is over.
        """

    def destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        """One answer per machine; one that is gone is ended."""

    def tidy(self, chores: Sequence[str]) -> None:
        """What a listing found to do; what cannot be done now is found again later."""

    def volumes(self) -> Volumes:
        """Asked for where `capabilities` tell of them. Raises Stalled where there are none."""


Opener = Callable[[], Provider]
"""Makes a thread's own provider. Raises Stalled, and what the driver raises."""


def opener(cloud: ResolvedCloud, installation: str, directory: Path) -> Opener:
    """How the threads of an account get their providers; what they share is made by the first.

    Opening raises Stalled for a driver or credentials that there are not, and as the driver does.
    """
    shared: Shared[Any] = Shared()

    def open_provider() -> Provider:
        if cloud.driver == "local":
            return Embedded(cloud, installation, directory)
        constructor = _constructor(cloud)
        if constructor.__name__ == "OpenStackNodeDriver":
            return _open_stack(cloud, installation, directory, shared)
        if not _is_ec2(constructor):
            options = split(cloud.options, constructor)
            arguments = _arguments(cloud, constructor, options.constructor, directory)
            account = shared.get(lambda: _account(cloud, installation, directory))
            driver = _driver(cloud, constructor, arguments)
            return Generic(driver, cloud.driver, account, options)
        from headwater.cloud.ec2.account import (  # noqa: PLC0415  # its driver is slow to import
            DEFAULTS,
            OPTIONS,
            Ec2Account,
        )
        from headwater.cloud.ec2.provider import Ec2  # noqa: PLC0415  # as above

        keys = directory / "keys"
        account = shared.get(lambda: Ec2Account(cloud, installation, host_keys(keys)))
        theirs = {name: value for name, value in cloud.options.items() if name not in OPTIONS}
        arguments = _arguments(cloud, constructor, {**DEFAULTS, **theirs}, directory)
        return Ec2(_driver(cloud, constructor, arguments), account)

    return open_provider


def _open_stack(
    cloud: ResolvedCloud, installation: str, directory: Path, shared: Shared[Any]
) -> Provider:
    from headwater.cloud.openstack.account import (  # noqa: PLC0415  # its driver is slow to import
        OpenStackAccount,
    )
    from headwater.cloud.openstack.options import read  # noqa: PLC0415  # as above
    from headwater.cloud.openstack.provider import OpenStack  # noqa: PLC0415  # as above

    def account() -> OpenStackAccount:
        options = read(cloud, _credentials(cloud, directory / "secrets"))
        return OpenStackAccount(cloud.name, installation, host_keys(directory / "keys"), options)

    return OpenStack(shared.get(account))


def _is_ec2(constructor: Any) -> bool:
    """By its kind and not by the name that the manifest gives it; loads nothing."""
    kinds = getattr(constructor, "__mro__", ())
    return any(kind.__name__ == "EC2NodeDriver" for kind in kinds)


def _account(cloud: ResolvedCloud, installation: str, directory: Path) -> DriverAccount:
    return DriverAccount(cloud.name, installation, cloud.region, host_keys(directory / "keys"))


def _arguments(
    cloud: ResolvedCloud, constructor: Any, options: Mapping[str, object], directory: Path
) -> dict[str, object]:
    """What the driver is given: options, credentials, the region, and a place of its own."""
    region = {"region": cloud.region} if cloud.region and takes_region(constructor) else {}
    own = "directory" in constructor_parameters(constructor)
    place = {"directory": str(directory / cloud.driver)} if own else {}
    return {**options, **_credentials(cloud, directory / "secrets"), **region, **place}


def _driver(cloud: ResolvedCloud, constructor: Any, arguments: Mapping[str, object]) -> Any:
    try:
        return constructor(**arguments)
    except HeadwaterError:
        raise
    except TypeError as e:  # an argument that the driver does not know, or lacks
        raise Stalled(
            f"cloud {cloud.name!r}: driver {cloud.driver} was not given what it needs: {e}"
        ) from e
    except ValueError as e:
        raise Stalled(f"cloud {cloud.name!r}: {_refused(cloud, constructor, e)}") from e


def _refused(cloud: ResolvedCloud, constructor: Any, error: ValueError) -> str:
    """A region that there is not is the one value that drivers check before they are used."""
    regions: Collection[str] = getattr(constructor, "list_regions", tuple)()
    if not cloud.region or not regions or cloud.region in regions:
        return f"driver {cloud.driver} refuses what it was given: {error}"
    near = get_close_matches(cloud.region, regions, 3) or sorted(regions)[:3]
    return f"there is no region {cloud.region!r} (spec.region; near: {', '.join(near)})"


def _constructor(cloud: ResolvedCloud) -> Any:
    ours = {entry.name: entry for entry in entry_points(group=DRIVERS_GROUP)}
    if cloud.driver in ours:
        constructor: type[NodeDriver] = ours[cloud.driver].load()
        return constructor
    names = {str(name): name for name in DRIVERS}
    if cloud.driver not in names:
        near = get_close_matches(cloud.driver, [*ours, *names], 3)
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
