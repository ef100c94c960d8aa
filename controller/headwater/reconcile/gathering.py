"""What is known of one deployment, for passes and for plans that are only shown alike."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from headwater.manifests.resolved import Catalog
from headwater.planning.problems import problems
from headwater.planning.records import Run
from headwater.planning.room import room
from headwater.planning.situation import Situation
from headwater.reconcile import stocktaking
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.observer import Observer
from headwater.reconcile.ports import Clock
from headwater.reconcile.promises import promised
from headwater.reconcile.replacements import replacements
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey


class World(stocktaking.World, Protocol):
    """Where a situation is looked up."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def clock(self) -> Clock: ...


def gathered(
    world: World, catalog: Catalog, name: str, desired: Desired | None, run: Run
) -> Situation:
    """All that clouds, ledger and exchange tell; people, tasks and other deployments come to it.

    The exchange must have been told what is wanted.
    """
    observer, ledger = world.observer, world.ledger
    machines = observer.machines(name)
    return Situation(
        deployment=name,
        desired=desired,
        machines=machines,
        run=run,
        now=world.clock(),
        incomplete=observer.incomplete(_clouds(world, name, desired))
        or stocktaking.incomplete_volumes(world, name, desired),
        limbo=observer.limbo(name),
        records={
            machine.id: ledger.records[machine.id]
            for machine in machines
            if machine.id in ledger.records
        },
        inputs=world.exchange.inputs(name),
        incarnations=ledger.incarnations(name),
        ended=ledger.ended(name),
        replacements=replacements(ledger, name),
        doubts=_doubts(world, name, desired),
        problems=problems(desired, world.clouds.capabilities) if desired else (),
        stock=stocktaking.stock(world, name, desired),
        room=room(catalog, observer.sizes, world.clouds.capabilities),
    )


def taken_away(observer: Observer, kept: Iterable[Desired]) -> int:
    """Instances that exist, and that the deployments which are kept do not ask for any more."""
    return sum(
        len({m.key for m in observer.machines(desired.name)} - desired.instances.keys())
        for desired in kept
    )


def _clouds(world: World, name: str, desired: Desired | None) -> frozenset[str]:
    """Where its machines are, or may be: a manifest that is gone still told where."""
    if desired is not None:
        return desired.clouds
    system = world.exchange.system(name)
    told = system.desired.clouds if system else frozenset()
    return told | {machine.id.cloud for machine in world.observer.machines(name)}


def _doubts(world: World, name: str, desired: Desired | None) -> Mapping[InstanceKey, datetime]:
    doubts = world.ledger.doubts(name)
    if desired is None or not doubts:
        return {}
    return {
        key: since
        for key, since in doubts.items()
        if (spec := desired.instances.get(key))
        and not promised(world.clouds, spec.machine.cloud).idempotent
    }
