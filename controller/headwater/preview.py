"""Plans that are only shown: made by the same code as the plans that are applied."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from headwater.app import installation, now, reader, sources
from headwater.cloud.gateway import Gateway
from headwater.errors import Refused
from headwater.manifests.resolved import Catalog
from headwater.manifests.snapshot import Snapshot
from headwater.planning.decision import decide
from headwater.planning.failure import tolerated
from headwater.planning.planner import Plan
from headwater.planning.prices import PriceList, priced
from headwater.planning.records import Run, next_run
from headwater.planning.situation import Fleet, Situation
from headwater.prices import read_prices
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.gathering import gathered, taken_away
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.loop import ACCEPTED
from headwater.reconcile.observer import Observer
from headwater.reconcile.ports import Clock
from headwater.reconcile.safety import Safety
from headwater.reconcile.stocktaking import expect, watched
from headwater.reporting.version import own_version
from headwater.secrets.sources import Sources
from headwater.settings import Settings
from headwater.source.address import SshLogin
from headwater.source.git import snapshot_of
from headwater.source.worktrees import snapshot_of_worktree
from headwater.store.sqlite import SqliteStore
from headwater.topology.desired import Desired, expand


@dataclass(frozen=True, slots=True)
class Preview:
    plans: tuple[Plan, ...]
    errors: tuple[str, ...]

    @property
    def changes(self) -> bool:
        return any(plan.actions or plan.withheld for plan in self.plans)


async def preview(settings: Settings, revision: str | None, name: str | None) -> Preview:
    """What a pass would do at `revision` (None: the work tree), for one deployment or all.

    Reads the repository, the clouds and the state directory; changes none of them. Raises
    Refused for an unknown revision or deployment.
    """
    ours = read_prices(settings.prices)
    ledger = Ledger(_Documents(settings.state.absolute()))
    snapshot = await asyncio.to_thread(_snapshot, settings, revision, ledger.note(ACCEPTED))
    catalog = await asyncio.to_thread(reader(), snapshot)
    async with AsyncExitStack() as stack:
        gateway = Gateway(installation(settings), settings.state.absolute(), keeper=False)
        stack.push_async_callback(gateway.close)
        await gateway.configure(catalog.clouds)
        observer = Observer(gateway, lambda _event: None)
        observer.depot.quarantine = timedelta(seconds=settings.quarantine)
        observer.depot.watch(watched(catalog))
        expect(observer.depot, ledger)
        await observer.refresh(catalog.clouds)
        places = observer.places(ledger.known())
        desired = {n: expand(resolved, places) for n, resolved in catalog.deployments.items()}
        names = _names(catalog, desired, observer, name)
        world = _World(gateway, ledger, observer, Exchange(ledger, now), now)
        view = _View(world, catalog, desired, sources(settings), frozenset(snapshot.approvals))
        situations = [view.situation(n, desired.get(n)) for n in names]
        prices = PriceList(gateway.capabilities, ours)
        plans = [_priced(situation, prices) for situation in situations]
    errors = tuple(str(d) for d in catalog.diagnostics)
    return Preview(tuple(plans), errors)


def _priced(situation: Situation, prices: PriceList) -> Plan:
    plan = _plan(situation)
    return replace(plan, price=priced(plan.actions, situation.machines, prices))


def _plan(situation: Situation) -> Plan:
    """With what comes first: a deployment that waits is still shown as it will be made."""
    plan, desired = decide(situation), situation.desired
    if desired is None or situation.machines or not plan.actions:
        return plan
    first = [f"once {name} is Ready" for name in desired.depends_on]
    return replace(plan, held=(*plan.held, *first))


def _snapshot(settings: Settings, revision: str | None, accepted: object) -> Snapshot:
    if revision is None:
        return snapshot_of_worktree(Path(settings.repository), settings.path)
    login = SshLogin(settings.ssh_key, settings.known_hosts)
    since = str(accepted) if accepted else None
    return snapshot_of(settings.repository, revision, settings.path, login, accepted=since)


def _names(
    catalog: Catalog, desired: Mapping[str, Desired], observer: Observer, name: str | None
) -> list[str]:
    """What is wanted, and what has machines that nobody wants any more; broken ones stay."""
    left = observer.deployments() - set(catalog.failed) if catalog.complete else frozenset()
    names = sorted({*desired, *left})
    if name is None:
        return names
    if name not in names and name not in catalog.failed:
        raise Refused(f"there is no deployment {name}; known: {', '.join(names[:10]) or 'none'}")
    return [name] if name in names else []


@dataclass(frozen=True, slots=True)
class _World:
    clouds: Gateway
    ledger: Ledger
    observer: Observer
    exchange: Exchange
    clock: Clock


@dataclass(frozen=True, slots=True)
class _View:
    world: _World
    catalog: Catalog
    desired: Mapping[str, Desired]
    secrets: Sources
    approvals: frozenset[str]
    """Of the revision's own message."""

    def situation(self, name: str, desired: Desired | None) -> Situation:
        """As a pass at this revision would find it."""
        ledger, exchange = self.world.ledger, self.world.exchange
        if desired is not None:
            exchange.want(desired)
        machines = self.world.observer.machines(name)
        for machine in sorted(machines, key=lambda machine: machine.tags.incarnation):
            exchange.place(machine)
            exchange.lead(machine.key, machine.id)
        run = _next_run(ledger.runs.get(name), desired, self.catalog.revision)
        situation = gathered(self.world, self.catalog, name, desired, run)
        if exchange.lose(name, tolerated(situation)):
            situation = replace(situation, inputs=exchange.inputs(name))
        unavailable = self._unavailable(desired) if desired else ()
        return self._weighed(replace(situation, unavailable=unavailable))

    def _weighed(self, situation: Situation) -> Situation:
        """With what people have said, and what this revision alone takes away."""
        safety = Safety(self.world.ledger, self.world.clock, own_version())
        situation = safety.weigh(situation, self._fleet(situation))
        lost = taken_away(self.world.observer, self.desired.values())
        return replace(
            situation,
            fleet=replace(situation.fleet, lost=lost),
            approvals=situation.approvals | self.approvals,
        )

    def _unavailable(self, desired: Desired) -> tuple[str, ...]:
        """What can be said of its secrets without reading them."""
        checked = (self.secrets.check(name, file) for name, file in desired.secrets.items())
        return tuple(filter(None, checked))

    def _fleet(self, situation: Situation) -> Fleet:
        observer = self.world.observer
        defined = {*self.catalog.deployments, *self.catalog.failed}
        gone = observer.deployments() - defined if situation.desired is None else frozenset[str]()
        return Fleet(observer.total, len(defined), gone or frozenset({situation.deployment}))


def _next_run(run: Run | None, desired: Desired | None, revision: str) -> Run:
    """The present run where nothing differs; the one that would begin otherwise."""
    wanted = desired.digest if desired else ""
    if run is not None and run.digest == wanted:
        return run
    begun = next_run(run, revision, wanted, now())
    return replace(begun, protect=desired.protect) if desired else begun


class _Documents:
    """What a store held at one moment. Nothing is written."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def load(self) -> dict[str, str]:
        if not self._state.is_dir():
            return {}
        store = SqliteStore(self._state)
        try:
            return store.load()
        finally:
            store.close()

    def save(self, key: str, document: str | None) -> None:
        raise AssertionError(f"a preview writes nothing, least of all {key}: {document}")
