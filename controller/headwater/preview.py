"""Plans that are only shown: made by the same code as the plans that are applied."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from headwater.app import installation, now, reader, sources
from headwater.cloud.gateway import Gateway
from headwater.errors import Refused
from headwater.manifests.resolved import Catalog
from headwater.planning.decision import decide
from headwater.planning.failure import tolerated
from headwater.planning.planner import Plan
from headwater.planning.problems import problems
from headwater.planning.quota import room
from headwater.planning.records import Run, next_run
from headwater.planning.situation import Fleet, Situation
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.observer import Observer
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
    catalog = await asyncio.to_thread(_catalog, settings, revision)
    async with AsyncExitStack() as stack:
        gateway = Gateway(installation(settings), settings.state.absolute())
        stack.push_async_callback(gateway.close)
        await gateway.configure(catalog.clouds)
        ledger = Ledger(_Documents(settings.state.absolute()))
        observer = Observer(gateway, lambda _event: None)
        await observer.refresh(catalog.clouds)
        places = observer.places(ledger.known())
        desired = {n: expand(resolved, places) for n, resolved in catalog.deployments.items()}
        names = _names(catalog, desired, observer, name)
        world = _World(gateway, ledger, observer, Exchange(ledger, now), catalog, sources(settings))
        situations = [world.situation(n, desired.get(n)) for n in names]
    errors = tuple(str(d) for d in catalog.diagnostics)
    return Preview(tuple(_plan(situation) for situation in situations), errors)


def _plan(situation: Situation) -> Plan:
    """With what comes first: a deployment that waits is still shown as it will be made."""
    plan, desired = decide(situation), situation.desired
    if desired is None or situation.machines or not plan.actions:
        return plan
    first = [f"once {name} is Ready" for name in desired.depends_on]
    return replace(plan, held=(*plan.held, *first))


def _catalog(settings: Settings, revision: str | None) -> Catalog:
    if revision is None:
        return reader()(snapshot_of_worktree(Path(settings.repository), settings.path))
    login = SshLogin(settings.ssh_key, settings.known_hosts)
    return reader()(snapshot_of(settings.repository, revision, settings.path, login))


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
    gateway: Gateway
    ledger: Ledger
    observer: Observer
    exchange: Exchange
    catalog: Catalog
    secrets: Sources

    def situation(self, name: str, desired: Desired | None) -> Situation:
        machines = self.observer.machines(name)
        if desired is not None:
            self.exchange.want(desired)
        for machine in sorted(machines, key=lambda machine: machine.tags.incarnation):
            self.exchange.place(machine)
            self.exchange.lead(machine.key, machine.id)
        clouds = desired.clouds if desired else {machine.id.cloud for machine in machines}
        records = {machine.id: self.ledger.records.get(machine.id) for machine in machines}
        situation = Situation(
            deployment=name,
            desired=desired,
            machines=machines,
            run=_next_run(self.ledger.runs.get(name), desired, self.catalog.revision),
            now=now(),
            incomplete=self.observer.incomplete(clouds),
            records={machine: record for machine, record in records.items() if record},
            inputs=self.exchange.inputs(name),
            incarnations=self.ledger.incarnations(name),
            problems=problems(desired, self.gateway.capabilities) if desired else (),
            unavailable=self._unavailable(desired) if desired else (),
            fleet=self._fleet(name, desired),
            room=room(self.catalog, self.observer.count),
        )
        if self.exchange.lose(name, tolerated(situation)):
            situation = replace(situation, inputs=self.exchange.inputs(name))
        return situation

    def _unavailable(self, desired: Desired) -> tuple[str, ...]:
        """What can be said of its secrets without reading them."""
        checked = (self.secrets.check(name, file) for name, file in desired.secrets.items())
        return tuple(filter(None, checked))

    def _fleet(self, name: str, desired: Desired | None) -> Fleet:
        defined = {*self.catalog.deployments, *self.catalog.failed}
        gone = frozenset(self.observer.deployments() - defined) if desired is None else {name}
        return Fleet(self.observer.total, len(defined), frozenset(gone))


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
