"""The one place where the parts are put together, by hand."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from headwater.cloud.gateway import Gateway
from headwater.cloud.objects import Account, ObjectStore
from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog
from headwater.manifests.snapshot import Snapshot
from headwater.planning.events import Event
from headwater.planning.status import OutcomeStatus
from headwater.reconcile.agenda import Priority
from headwater.reconcile.answering import Answering
from headwater.reconcile.controller import Controller
from headwater.reconcile.conversation import Conversation
from headwater.reconcile.dispatch import Dispatch
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.executor import Executor
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.lines import Lines
from headwater.reconcile.loop import ACCEPTED, Loop
from headwater.reconcile.memory import Memory
from headwater.reconcile.observer import Observer
from headwater.reconcile.order import Order
from headwater.reconcile.people import People
from headwater.reconcile.ports import Answers, Listener, Source
from headwater.reconcile.publisher import Publisher
from headwater.reconcile.reconciler import Reconciler
from headwater.reconcile.returns import Returns
from headwater.reconcile.rollback import Rollback
from headwater.reconcile.safety import Safety
from headwater.reconcile.secrecy import Secrecy
from headwater.reconcile.steady import SteadyClock
from headwater.reconcile.steering import Steering
from headwater.reconcile.stocktaking import expect
from headwater.reconcile.supply import Supply
from headwater.reconcile.survey import Survey
from headwater.reconcile.tasks import Tasks
from headwater.reconcile.wanted import Wanted
from headwater.remote.lines import Lines as RemoteLines
from headwater.reporting.answers import describe
from headwater.reporting.metrics import Metrics
from headwater.reporting.version import own_version
from headwater.secrets.age import Age
from headwater.secrets.seal import FernetSeal
from headwater.secrets.sources import Sources
from headwater.settings import Settings
from headwater.source.address import SshLogin
from headwater.source.git import GitSource
from headwater.source.notes import GitNotes
from headwater.store.reports import Reports
from headwater.store.sqlite import SqliteStore
from headwater.topology.digests import digest
from headwater.web.server import serving


@dataclass(slots=True)
class Running:
    """A controller that is put together; `loop.run()` sets it going."""

    loop: Loop
    controller: Controller
    url: str
    listeners: list[Listener] = field(default_factory=list)


def now() -> datetime:
    return datetime.now(UTC)


def _elapsed() -> float:
    """Seconds, those of a host that sleeps included where the system counts them."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def reader() -> Callable[[Snapshot], Catalog]:
    """Snapshots to catalogs; what is unchanged is not parsed again."""
    parser = Parser()
    return lambda snapshot: compile_catalog(snapshot, parser, today=today())


def today() -> date:
    return now().date()


def installation(settings: Settings) -> str:
    """Names our machines at the clouds; the same wherever and whenever the controller runs."""
    repository = settings.repository
    if Path(repository).exists():
        repository = str(Path(repository).resolve())
    return digest([repository, settings.branch, settings.path.strip("/")])


@dataclass(frozen=True, slots=True)
class World:
    """What a controller follows, and whom it answers."""

    installation: str
    source: Source
    read: Callable[[Snapshot], Catalog]
    answers: Answers
    close: Callable[[], None] = lambda: None


Worlds = Callable[[Settings, Path, Ledger], World]


def branch(settings: Settings, state: Path, ledger: Ledger) -> World:
    """The branch of the settings, answered on its commits."""
    source = _source(settings, state, ledger)
    return World(
        installation(settings),
        source,
        reader(),
        GitNotes(source.upstream, source.worker),
        source.close,
    )


@asynccontextmanager
async def assemble(settings: Settings, worlds: Worlds = branch) -> AsyncIterator[Running]:
    """All parts, locked to the state directory and serving. Raises Stalled with what to do."""
    state = settings.state.absolute()
    listeners: list[Listener] = []

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    async with AsyncExitStack() as stack:
        store = SqliteStore(state)
        await stack.enter_async_context(store.locked())
        ledger = Ledger(store)
        world = worlds(settings, state, ledger)
        stack.callback(world.close)
        loop, steering = _loop(Parts(settings, state, store, ledger, world), emit, stack)
        controller = Controller(
            loop=loop,
            people=People(steering),
            repository=settings.repository,
            branch=settings.branch,
            path=settings.path,
            key_file=steering.reconciler.executor.machines.private_key_file,
            outputs=store.outputs.read,
        )
        metrics = Metrics(controller.status, lambda: loop.dispatch.agenda.depth)
        listeners += [loop.heard, metrics, controller.heard]
        addresses = await stack.enter_async_context(
            serving(controller, metrics.render, directory=state, listen=settings.listen)
        )
        store.announce(addresses.socket, addresses.url)
        yield Running(loop, controller, addresses.url, listeners)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop is made of, beside itself."""

    settings: Settings
    state: Path
    store: SqliteStore
    ledger: Ledger
    world: World


def _loop(parts: Parts, emit: Listener, stack: AsyncExitStack) -> tuple[Loop, Steering]:
    """The loop around its world."""
    settings, state, store = parts.settings, parts.state, parts.store
    ledger, world = parts.ledger, parts.world
    clock = SteadyClock(now, _elapsed, ledger.newest)
    gateway = Gateway(world.installation, state)
    stack.push_async_callback(gateway.close)
    observer = Observer(gateway, emit)
    observer.expect(ledger.known())
    observer.depot.quarantine = timedelta(seconds=settings.quarantine)
    expect(observer.depot, ledger)
    reports = _reports(settings, state, stack)

    # Machines speak to the loop, and the loop to machines: these names are bound further down.
    def look_again(deployment: str) -> None:
        dispatch.add(deployment, Priority.PROGRESS)

    def suspect() -> None:
        loop.suspect()

    def abort(deployment: str, reason: str) -> None:
        steering.abort(deployment, reason)

    def renew(deployment: str) -> None:
        steering.renew(deployment)

    def tell(deployment: str, outcome: OutcomeStatus) -> None:
        reconciler.publisher.tell(deployment, outcome)

    def settled() -> None:
        loop.check_settled()

    secrecy = Secrecy(FernetSeal.of(state / "keys"))
    exchange = Exchange(ledger, clock, secrecy, look_again)
    conversation = Conversation(
        ledger=ledger,
        exchange=exchange,
        store=store,
        emit=emit,
        look_again=look_again,
        suspect=suspect,
        abort=abort,
        renew=renew,
        clock=clock,
        returns=Returns(ledger, reports, clock, emit),
        tell=tell,
    )
    machines = RemoteLines(state / "keys", conversation)
    executor = Executor(
        installation=world.installation,
        clouds=gateway,
        machines=machines,
        ledger=ledger,
        observer=observer,
        exchange=exchange,
        clock=clock,
        emit=emit,
        tasks=Tasks(ledger, machines, reports, clock, Memory(ledger), exchange.nodes),
    )
    lines = Lines(executor)
    lines.expect()
    wanted = Wanted(lambda: observer.places(ledger.known()))
    safety = Safety(ledger, clock, own_version())
    supply = Supply(sources(settings), exchange)
    publisher = Publisher(wanted, executor)
    order = Order(wanted, ledger, observer, publisher.statuses)
    survey = Survey(wanted, executor, safety, Rollback(ledger, wanted), supply, order)
    reconciler = Reconciler(survey, lines, publisher)
    dispatch = Dispatch(reconciler.reconcile, settled, settings.workers)
    steering = Steering(reconciler, dispatch)
    loop = Loop(
        source=world.source,
        clouds=gateway,
        read=world.read,
        reconciler=reconciler,
        dispatch=dispatch,
        observer=observer,
        answering=Answering(world.answers, ledger, clock, describe),
        emit=emit,
        resync=settings.resync,
    )
    return loop, steering


def _reports(settings: Settings, state: Path, stack: AsyncExitStack) -> Reports:
    """Raises Stalled for an object store that cannot be used at all."""
    if (store := settings.reports) is None:
        return Reports(state / "reports")
    objects = ObjectStore(
        Account(store.driver, store.credentials, store.options),
        store.container,
        store.prefix,
        secrets=state / "secrets",
    )
    stack.callback(objects.close)
    return Reports(state / "reports", objects)


def sources(settings: Settings) -> Sources:
    """Where secrets come from."""
    return Sources(settings.secrets_directory, Age(settings.age_identity))


def _source(settings: Settings, state: Path, ledger: Ledger) -> GitSource:
    accepted = None if settings.allow_rewind else ledger.note(ACCEPTED)
    return GitSource(
        settings.repository,
        settings.branch,
        settings.path,
        state / "mirror",
        interval=settings.interval,
        last_accepted=str(accepted) if accepted else None,
        login=SshLogin(settings.ssh_key, settings.known_hosts),
    )
