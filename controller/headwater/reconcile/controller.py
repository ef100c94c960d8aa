"""The running controller as the web and the command line see it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from headwater.errors import Refused
from headwater.planning.events import Event
from headwater.planning.history import present
from headwater.planning.status import (
    CloudStatus,
    ControllerStatus,
    DeploymentStatus,
    Login,
    ParameterView,
    Phase,
    ReportView,
    RunView,
    StepView,
    VolumeCount,
)
from headwater.reconcile.history import History
from headwater.reconcile.hostkeys import believed
from headwater.reconcile.loop import Loop
from headwater.reconcile.people import People
from headwater.reconcile.stocktaking import leaks
from headwater.reconcile.views import parameters
from headwater.topology.reports import ReportPlace

Outputs = Callable[..., AsyncGenerator[tuple[str, bytes], None]]
SSH_PORT = 22
LIVENESS = 900.0
"""Seconds after which a pass that has not ended counts as stuck: its calls have deadlines."""


@dataclass(slots=True)
class Controller:
    loop: Loop
    people: People
    repository: str
    branch: str
    path: str
    key_file: PurePath
    outputs: Outputs
    _version: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def heard(self, _event: Event) -> None:
        """Listens to the loop's events: whoever watches is woken."""
        self._version += 1
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def changes(self) -> AsyncGenerator[None, None]:
        seen = self._version
        while True:
            async with self._changed:
                while self._version == seen:
                    await self._changed.wait()
            seen = self._version
            yield

    def alive(self) -> bool:
        return self.loop.dispatch.longest() < LIVENESS

    def status(self) -> ControllerStatus:
        catalog = self.loop.reconciler.wanted.catalog
        clouds, depot = [], self.loop.observer.depot
        leaked = leaks(depot, self.loop.reconciler.executor.ledger, self.loop.reconciler.wanted)
        for name, cloud in sorted(catalog.clouds.items()):
            listing = self.loop.observer.listing(name)
            try:
                description = self.loop.clouds.capabilities(name).description
            except Exception as error:  # noqa: BLE001  # shown, not hidden
                description = str(error)
            clouds.append(
                CloudStatus(
                    name=name,
                    driver=cloud.driver,
                    description=description,
                    machines=self.loop.observer.count(name),
                    unknown=listing.unknown if listing else 0,
                    complete=bool(listing and listing.complete),
                    error=listing.error if listing else "",
                    volumes=tuple(VolumeCount(*each) for each in depot.counts(name, leaked)),
                )
            )
        return ControllerStatus(
            repository=self.repository,
            branch=self.branch,
            path=self.path,
            revision=catalog.revision,
            source_error=self.loop.source_error,
            diagnostics=tuple(str(diagnostic) for diagnostic in catalog.diagnostics),
            clouds=tuple(clouds),
            deployments=self._deployments(),
            settled=self.loop.is_settled,
        )

    def _deployments(self) -> tuple[DeploymentStatus, ...]:
        """Also those that no pass has looked at yet: they are there, and nothing is known."""
        statuses, wanted = self.loop.reconciler.statuses, self.loop.reconciler.wanted
        unseen = {
            name: DeploymentStatus(
                name,
                Phase.INITIALIZING,
                conditions=(),
                desired=len(desired.instances) if (desired := wanted.desired(name)) else 0,
                ready=0,
            )
            for name in wanted.names - set(statuses)
        }
        return tuple(status for _, status in sorted((unseen | statuses).items()))

    def parameters(self, name: str) -> tuple[ParameterView, ...]:
        executor = self.loop.reconciler.executor
        return parameters(name, executor.exchange, executor.ledger)

    def runs(self, name: str) -> tuple[RunView, ...]:
        """Oldest first; the present one last. Empty where there never was such a deployment."""
        return (*self._history.of(name), *self._under_way(name))

    def every_run(self) -> tuple[RunView, ...]:
        names = {run.deployment for run in self._history.everything()}
        names |= self.loop.reconciler.statuses.keys()
        return tuple(run for name in sorted(names) for run in self.runs(name))

    def steps(self, name: str, number: int) -> tuple[StepView, ...]:
        """What became of each step of that run; nothing but for the last one that has ended."""
        return self._history.steps(name, number)

    @property
    def _history(self) -> History:
        return self.loop.reconciler.publisher.history

    def _under_way(self, name: str) -> Iterator[RunView]:
        executor = self.loop.reconciler.executor
        run, status = executor.ledger.runs.get(name), self.loop.reconciler.statuses.get(name)
        if run is not None and run.ended is None and status is not None:
            yield present(status, run, executor.clock())

    def reports(self, name: str) -> tuple[ReportView, ...]:
        return self.loop.reconciler.executor.tasks.reports.views(name)

    def report(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        return self.loop.reconciler.executor.tasks.reports.read(place)

    def login(self, name: str, instance: str) -> Login:
        """How a person reaches the machine that speaks for the instance."""
        executor = self.loop.reconciler.executor
        system = executor.exchange.system(name)
        if system is None:
            raise Refused(self._no_such(name))
        key = next((key for key in system.desired.instances if key.instance == instance), None)
        if key is None:
            known = ", ".join(key.instance for key in list(system.desired.instances)[:10])
            raise Refused(f"{name} has no instance {instance}; it has {known}")
        lead = system.leads.get(key)
        machine = executor.observer.machine(lead) if lead else None
        if machine is None or not machine.address or not machine.host_key:
            raise Refused(f"{name}/{instance} has no machine that answers yet")
        # sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": only other ports than 22 stand in brackets.
        other = machine.port != SSH_PORT
        name = f"[{machine.address}]:{machine.port}" if other else machine.address
        trusted = believed(executor.ledger, machine)
        known = f"{name} {trusted.host_key or trusted.one_time}"
        return Login(
            address=machine.address,
            port=machine.port,
            user=system.desired.instances[key].machine.login_user,
            known_hosts=known,
            private_key_file=str(self.key_file),
        )

    def _no_such(self, name: str) -> str:
        known = ", ".join(sorted(self.loop.reconciler.statuses)[:10]) or "none yet"
        return f"there is no deployment {name}; known: {known}"
