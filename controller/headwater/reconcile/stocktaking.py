"""What is known of volumes: of one deployment's, for a decision, and of those that nobody wants."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from headwater.manifests.resolved import Catalog
from headwater.planning.situation import Situation
from headwater.planning.stock import Stock, by_key
from headwater.reconcile.claims import Claim, claim, claims, every_claim, known
from headwater.reconcile.depot import Depot
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.observer import Observer
from headwater.reconcile.ports import Clouds
from headwater.reconcile.promises import promised
from headwater.reconcile.wanted import Wanted
from headwater.topology.desired import Desired
from headwater.topology.volumes import Volume, VolumeId, VolumeKey


class World(Protocol):
    """Where it is looked up."""

    @property
    def clouds(self) -> Clouds: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def observer(self) -> Observer: ...


def stock(world: World, deployment: str, desired: Desired | None) -> Stock:
    """What is wanted counts as known, whatever the ledger has forgotten."""
    depot, told = world.observer.depot, claims(world.ledger, deployment)
    volumes = depot.volumes(deployment)
    if not (told or volumes):
        return Stock(quarantine=depot.quarantine)
    ours = {VolumeId(each.cloud, each.id) for each in told.values() if each.id}
    return Stock(
        volumes=by_key(volumes),
        limbo=depot.limbo(deployment),
        known=frozenset(ours | {v.id for v in volumes if is_wanted(v.key, desired)}),
        doubts=_doubts(world, told),
        quarantine=depot.quarantine,
    )


def is_wanted(key: VolumeKey, desired: Desired | None) -> bool:
    spec = desired.instances.get(key.instance) if desired else None
    return spec is not None and any(each.name == key.name for each in spec.volumes)


def incomplete_volumes(world: World, deployment: str, desired: Desired | None) -> str:
    """Why it may have more volumes than are known; empty where it has not, or asks for none."""
    at = desired.volumes_at if desired else frozenset()
    told = {each.cloud for each in claims(world.ledger, deployment).values() if each.is_open}
    return world.observer.depot.incomplete(at | told) if at or told else ""


def adopt(ledger: Ledger, situation: Situation) -> None:
    """What is wanted and there is known from now on, durably."""
    if not situation.stock.volumes or situation.desired is None:
        return
    told = claims(ledger, situation.deployment)
    for key, (volume, *_) in situation.stock.volumes.items():
        if is_wanted(key, situation.desired):
            before = told.get(key, Claim(volume.id.cloud))
            now = replace(before, cloud=volume.id.cloud, id=volume.id.id, since=None)
            if now != told.get(key):
                claim(ledger, key, now)


def watched(catalog: Catalog) -> set[str]:
    """The clouds where a revision asks for volumes."""
    return {
        cloud
        for deployment in catalog.deployments.values()
        for node in deployment.nodes.values()
        if node.volumes
        for cloud, _ in node.clouds
    }


def expect(depot: Depot, ledger: Ledger) -> None:
    """After a restart: what the ledger knows, and where to look."""
    depot.watch({each.cloud for _, each in every_claim(ledger) if each.is_open})
    depot.expect(known(ledger))


def leaks(depot: Depot, ledger: Ledger, wanted: Wanted) -> Iterable[VolumeId]:
    """Ours by their tags, wanted by nobody and unknown, on the second sight: never deleted."""
    if not depot.every():
        return []
    ours = {id for id, _ in known(ledger)}
    return [
        volume.id
        for volume in depot.every()
        if volume.id not in ours and depot.has_listed_twice(volume.id) and _is_stray(volume, wanted)
    ]


def _is_stray(volume: Volume, wanted: Wanted) -> bool:
    """A manifest that cannot be read may well ask for it."""
    name = volume.key.instance.deployment
    desired = wanted.desired(name)
    unread = desired is None and not wanted.is_removed(name)
    return not (unread or is_wanted(volume.key, desired))


def _doubts(world: World, told: Mapping[VolumeKey, Claim]) -> dict[VolumeKey, datetime]:
    begun = {key: each for key, each in told.items() if each.since is not None}
    return {
        key: each.since
        for key, each in begun.items()
        if each.since is not None and not promised(world.clouds, each.cloud).idempotent
    }
