"""Whether a cloud has what the manifests ask of it. Nothing is created there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from headwater.app import installation, reader
from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError, Refused
from headwater.manifests.resolved import Catalog, ResolvedCloud
from headwater.manifests.snapshot import Snapshot
from headwater.planning import findings
from headwater.planning.findings import Finding
from headwater.planning.prices import PriceList
from headwater.prices import read_prices
from headwater.settings import Settings
from headwater.source.address import SshLogin
from headwater.source.git import snapshot_of
from headwater.source.worktrees import snapshot_of_worktree
from headwater.topology.desired import InstanceSpec, expand
from headwater.topology.machines import Capabilities


async def checkup(settings: Settings, revision: str | None, name: str) -> tuple[Finding, ...]:
    """Of the cloud `name` at `revision` (None: the work tree).

    Where the cloud cannot be listed, that is all that is found. Raises Refused for an unknown
    revision or cloud.
    """
    ours = read_prices(settings.prices)
    snapshot = await asyncio.to_thread(_snapshot, settings, revision)
    catalog = await asyncio.to_thread(reader(), snapshot)
    cloud = _cloud(catalog, name)
    async with AsyncExitStack() as stack:
        gateway = Gateway(installation(settings), settings.state.absolute(), keeper=False)
        stack.push_async_callback(gateway.close)
        await gateway.configure({name: cloud})
        return tuple([each async for each in _findings(gateway, cloud, catalog, ours)])


async def _findings(
    gateway: Gateway,
    cloud: ResolvedCloud,
    catalog: Catalog,
    ours: Mapping[str, Mapping[str, float]],
) -> AsyncIterator[Finding]:
    wanted = _wanted(catalog, cloud.name)
    for finding in findings.unread(catalog):
        yield finding
    listing = await gateway.observe(cloud.name)
    yield findings.access(listing)
    if not listing.complete:
        return
    try:
        able = await _with_named(gateway, gateway.capabilities(cloud.name), wanted)
    except HeadwaterError as error:
        yield Finding("capabilities", ok=False, words=str(error))
        return
    held = [machine.tags.size for machine in listing.machines]
    for finding in findings.quotas(cloud, held, [spec.machine.size for spec in wanted], able):
        yield finding
    async for finding in _limits(gateway, cloud.name):
        yield finding
    for finding in findings.capabilities(able, wanted):
        yield finding
    async for finding in _images(gateway, wanted):
        yield finding
    for finding in findings.sizes(wanted, able, PriceList(lambda _: able, ours)):
        yield finding


async def _with_named(
    gateway: Gateway, able: Capabilities, wanted: list[InstanceSpec]
) -> Capabilities:
    """With the sizes that are asked for by a name of which its driver's list does not tell."""
    if able.sizes is None or not wanted:
        return able
    known = {name for offer in able.sizes for name in (offer.id, offer.name)}
    names = {spec.machine.size.name for spec in wanted if spec.machine.size.name} - known
    more = await gateway.offers(wanted[0].machine.cloud, names) if names else ()
    return replace(able, sizes=(*able.sizes, *more))


async def _limits(gateway: Gateway, cloud: str) -> AsyncIterator[Finding]:
    """An account that may not read them may still make machines."""
    try:
        for finding in findings.told(await gateway.limits(cloud)):
            yield finding
    except HeadwaterError as error:
        yield Finding("limits", ok=True, words=f"the cloud's own are not told: {error}")


async def _images(gateway: Gateway, wanted: list[InstanceSpec]) -> AsyncIterator[Finding]:
    """One per image that is asked for."""
    askers: dict[tuple[str, str], list[InstanceSpec]] = {}
    for spec in wanted:
        askers.setdefault((spec.machine.image, spec.machine.image_id), []).append(spec)
    for (name, id), specs in askers.items():
        who = f"{name} ({id}) for {findings.nodes(specs)}"
        try:
            known = await gateway.image(specs[0].machine)
        except HeadwaterError as error:
            yield Finding("images", ok=False, words=f"{who}: {error}")
        else:
            yield Finding("images", ok=True, words=f"{who}: {known}")


def _wanted(catalog: Catalog, cloud: str) -> list[InstanceSpec]:
    return [
        spec
        for resolved in catalog.deployments.values()
        for spec in expand(resolved).instances.values()
        if spec.machine.cloud == cloud
    ]


def _cloud(catalog: Catalog, name: str) -> ResolvedCloud:
    if name not in catalog.clouds:
        known = ", ".join(sorted(catalog.clouds)) or "none"
        raise Refused(
            f"there is no sound Cloud {name}; known: {known} (headwater validate shows what is"
            " wrong with others)"
        )
    return catalog.clouds[name]


def _snapshot(settings: Settings, revision: str | None) -> Snapshot:
    if revision is None:
        return snapshot_of_worktree(Path(settings.repository), settings.path)
    login = SshLogin(settings.ssh_key, settings.known_hosts)
    return snapshot_of(settings.repository, revision, settings.path, login)
