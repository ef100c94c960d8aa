"""The reconciling parts, put together on a world in memory."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from fakes.answers import FakeAnswers
from fakes.builders import CLOUD, NOON, catalog
from fakes.cloud import FakeClouds
from fakes.machines import Agents, FakeMachines
from fakes.reports import MemoryReports
from fakes.secrets import SEAL, FakeSecrets
from fakes.store import Disk, MemoryStore
from headwater.manifests.resolved import Catalog, Quota, ResolvedDeployment
from headwater.manifests.snapshot import Snapshot
from headwater.planning.events import Event, StatusChanged
from headwater.planning.status import DeploymentStatus
from headwater.reconcile.agenda import Agenda, Priority
from headwater.reconcile.answering import Answering
from headwater.reconcile.conversation import Conversation
from headwater.reconcile.dispatch import Dispatch
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.executor import Executor
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.lines import Lines
from headwater.reconcile.loop import Loop
from headwater.reconcile.memory import Memory
from headwater.reconcile.observer import Observer
from headwater.reconcile.order import Order
from headwater.reconcile.people import People
from headwater.reconcile.ports import Source
from headwater.reconcile.publisher import Publisher
from headwater.reconcile.reconciler import Next, Reconciler
from headwater.reconcile.returns import Returns
from headwater.reconcile.rollback import Rollback
from headwater.reconcile.safety import Safety
from headwater.reconcile.secrecy import Secrecy
from headwater.reconcile.steering import Steering
from headwater.reconcile.stocktaking import expect, watched
from headwater.reconcile.supply import Supply
from headwater.reconcile.survey import Survey
from headwater.reconcile.tasks import Tasks
from headwater.reconcile.wanted import Wanted
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine

MOST_ROUNDS = 60


def in_counts(status: DeploymentStatus) -> str:
    stalled = status.condition("Stalled")
    return f"{status.ready}/{status.desired} {stalled.message if stalled else ''}".strip()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class CountingStore(MemoryStore):
    def __init__(self, disk: Disk | None = None) -> None:
        super().__init__(disk)
        self.writes: list[str] = []

    def save(self, key: str, document: str | None) -> None:
        self.writes.append(key)
        super().save(key, document)


class House:
    """One controller without its loop: passes happen when the test says so."""

    def __init__(
        self,
        clouds: FakeClouds | None = None,
        agents: Agents | None = None,
        disk: Disk | None = None,
        *,
        prompt: bool = False,
        approves: bool = False,
        clock: Callable[[], datetime] | None = None,
        machines: FakeMachines | None = None,
        store: CountingStore | None = None,
        secrets: FakeSecrets | None = None,
    ) -> None:
        self.clouds = clouds or FakeClouds()
        self.machines = machines or FakeMachines(agents, prompt=prompt)
        self.store = store or CountingStore(disk)
        self.reports = MemoryReports(self.store.disk)
        self.quota = Quota()
        """Of every cloud of the revisions that follow."""
        self.clock = Clock()
        if isinstance(self.clouds, FakeClouds):
            self.clouds.clock = clock or self.clock
        self.loop: Loop | None = None
        self.events: list[Event] = []
        self.looks: list[str] = []
        self.suspicions = 0
        self.ledger = Ledger(self.store)
        self.secrets = secrets or FakeSecrets()
        self.exchange = Exchange(self.ledger, clock or self.clock, Secrecy(SEAL), self.look_again)
        self.observer = Observer(self.clouds, self.emit)
        self.observer.expect(self.ledger.known())
        expect(self.observer.depot, self.ledger)
        self.executor = Executor(
            installation="house",
            clouds=self.clouds,
            machines=self.machines,
            ledger=self.ledger,
            observer=self.observer,
            exchange=self.exchange,
            clock=clock or self.clock,
            emit=self.emit,
            tasks=Tasks(
                self.ledger,
                self.machines,
                self.reports,
                clock or self.clock,
                Memory(self.ledger),
                self.exchange.nodes,
            ),
        )
        lines = Lines(self.executor)
        lines.expect()
        wanted = Wanted(lambda: self.observer.places(self.ledger.known()))
        safety = Safety(self.ledger, clock or self.clock, "1")
        supply = Supply(self.secrets, self.exchange)
        publisher = Publisher(wanted, self.executor)
        order = Order(wanted, self.ledger, self.observer, publisher.statuses)
        survey = Survey(wanted, self.executor, safety, Rollback(self.ledger, wanted), supply, order)
        self.reconciler = Reconciler(survey, lines, publisher)
        self.dispatch = Dispatch(self.reconciler.reconcile, self.settled, agenda=Agenda(gap=0.0))
        self.steering = Steering(self.reconciler, self.dispatch)
        self.conversation = Conversation(
            ledger=self.ledger,
            exchange=self.exchange,
            store=self.store,
            emit=self.emit,
            look_again=self.look_again,
            suspect=self.suspect,
            abort=self.steering.abort,
            renew=self.steering.renew,
            clock=clock or self.clock,
            returns=Returns(self.ledger, self.reports, clock or self.clock, self.emit),
            tell=self.reconciler.publisher.tell,
        )
        self.machines.conversation = self.conversation
        self.people = People(self.steering)
        self.approves = approves

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if self.loop is not None:
            self.loop.heard(event)
        if self.approves and isinstance(event, StatusChanged) and event.status:
            self._approve(event.status)

    def _approve(self, status: DeploymentStatus) -> None:
        """A person who says yes to whatever the guard holds back."""
        blocked = next((c for c in status.conditions if c.reason == "PlanBlocked"), None)
        if blocked and (digest := re.search("approve ([0-9a-f]+)", blocked.message)):
            asyncio.get_running_loop().call_soon(self.people.approve, digest[1])

    def look_again(self, deployment: str) -> None:
        self.looks.append(deployment)
        if self.loop is not None:
            self.dispatch.add(deployment, Priority.PROGRESS)

    def suspect(self) -> None:
        self.suspicions += 1
        if self.loop is not None:
            self.loop.suspect()

    def settled(self) -> None:
        if self.loop is not None:
            self.loop.check_settled()

    def looping(
        self, source: Source, read: Callable[[Snapshot], Catalog], answers: FakeAnswers
    ) -> Loop:
        """The whole loop around the reconciling parts."""
        clock = self.executor.clock
        self.loop = Loop(
            source=source,
            clouds=self.clouds,
            read=read,
            reconciler=self.reconciler,
            dispatch=self.dispatch,
            observer=self.observer,
            answering=Answering(answers, self.ledger, clock, in_counts),
            emit=self.emit,
        )
        return self.loop

    @property
    def whole(self) -> Loop:
        if self.loop is None:
            raise ValueError("this house has no loop")
        return self.loop

    def restarted(self) -> "House":
        """The controller was killed, and another one starts on what is left."""
        return House(self.clouds, self.machines.agents, self.store.disk, secrets=self.secrets)

    async def want(
        self, *deployments: ResolvedDeployment, revision: str = "r1", failed: Iterable[str] = ()
    ) -> None:
        """A revision, and a first look at the clouds."""
        wished = catalog(*deployments, revision=revision, failed=failed)
        clouds = {name: replace(c, quota=self.quota) for name, c in wished.clouds.items()}
        wished = replace(wished, clouds=clouds)
        await self.clouds.configure(wished.clouds)
        self.reconciler.wanted.update(wished)
        self.observer.depot.watch(watched(wished))
        await self.look()

    async def look(self) -> set[str]:
        return await self.observer.refresh([CLOUD])

    async def reconcile(self, name: str = "shop") -> Next:
        return await self.reconciler.reconcile(name)

    async def rest(self, name: str = "shop") -> Next:
        """Passes, and work on the machines, until nothing moves any more."""
        for _ in range(MOST_ROUNDS):
            self.looks.clear()
            following = await self.reconcile(name)
            if not self.machines.work() and not self.looks and following.again != 0.0:
                return following
        raise AssertionError(f"{name} does not come to rest: {self.status(name)}")

    def status(self, name: str = "shop") -> DeploymentStatus:
        return self.reconciler.statuses[name]

    def machine(self, key: InstanceKey) -> Machine:
        """The one that plays the instance."""
        (machine,) = self.clouds.of(key)
        return machine

    def instances(self) -> list[str]:
        """Who exists at the clouds, with the incarnation: `web.1#2`."""
        return sorted(f"{m.key.instance}#{m.tags.incarnation}" for m in self.clouds.present())

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
