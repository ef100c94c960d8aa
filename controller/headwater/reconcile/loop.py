"""The loop: what triggers passes, and what it keeps true. Triggers only say: look again."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from headwater.errors import HeadwaterError, Transient
from headwater.manifests.resolved import Catalog, ResolvedCloud
from headwater.manifests.snapshot import Snapshot
from headwater.planning.events import ActionEnded, Event, RevisionRead, SourceFailed, StatusChanged
from headwater.reconcile.agenda import Priority
from headwater.reconcile.answering import Answering
from headwater.reconcile.dispatch import Dispatch
from headwater.reconcile.gathering import taken_away
from headwater.reconcile.observer import Observer
from headwater.reconcile.ports import Clouds, Listener, Source
from headwater.reconcile.reconciler import LIMBO_DELAY, Reconciler
from headwater.reconcile.stocktaking import watched
from headwater.reconcile.sweep import sweep

logger = logging.getLogger("headwater.loop")

ACCEPTED = "accepted"
BOOT_DELAY = 1.0
"""Seconds between two listings while machines are coming up: nothing else tells."""
SUSPICION_GAP = 0.5
"""Seconds between two listings that suspicions ask for."""


@dataclass(slots=True)
class Loop:
    source: Source
    clouds: Clouds
    read: Callable[[Snapshot], Catalog]
    reconciler: Reconciler
    dispatch: Dispatch
    observer: Observer
    answering: Answering
    emit: Listener
    resync: float = 10.0
    """Seconds between two listings of the clouds while nothing happens."""
    source_error: str = ""
    _passes: asyncio.Task[None] | None = None
    _last: Snapshot | None = None
    _known: dict[str, ResolvedCloud] = field(default_factory=dict)
    """The clouds of the manifests, and those without one that still hold machines of ours."""
    _read_once: asyncio.Event = field(default_factory=asyncio.Event)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _suspected: bool = False
    _since: float = 0.0
    """When the clouds were listed last, or a machine was made."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Keep the system as the branch says, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconciler.executor.machines.run(), name="lines")
            group.create_task(self.answering.deliver(), name="answers")
            group.create_task(self.reconciler.executor.tasks.reports.deliver(), name="reports")
            self._passes = group.create_task(self.dispatch.run(), name="dispatch")
            group.create_task(self._follow_source(), name="source")
            group.create_task(self._follow_clouds(), name="clouds")

    async def drain(self) -> None:
        """Come to a safe point: the passes under way end, and what is to be said is said."""
        self.dispatch.stop()
        if self._passes is not None:
            await asyncio.wait([self._passes])
        await self.answering.flush()

    async def run_once(self) -> None:
        """One look at the branch and one pass over every deployment; waits for no recipe."""
        async with asyncio.TaskGroup() as group:
            lines = group.create_task(self.reconciler.executor.machines.run(), name="lines")
            answers = group.create_task(self.answering.deliver(), name="answers")
            await self._fetch()
            names = self.reconciler.wanted.names | self._left()
            for name in sorted(names) if self._last else ():
                await self.dispatch.rounds(name)
            self.check_settled()
            await self.answering.flush()
            answers.cancel()
            lines.cancel()

    async def _follow_source(self) -> None:
        changes: AsyncIterator[None] = self.source.changes()
        await self._fetch()
        async for _ in changes:
            await self._fetch()

    async def _fetch(self) -> None:
        """The newest revision, if it can be had; otherwise what was applied before stays."""
        began = time.monotonic()
        try:
            snapshot = await self.source.fetch()
            if snapshot is not self._last:
                catalog = await asyncio.to_thread(self.read, snapshot)
                await self._take(snapshot, catalog, began)
            self.source_error = ""
        except HeadwaterError as error:
            self.source_error = str(error)
            self.emit(SourceFailed(str(error)))
        self._read_once.set()
        self.check_settled()

    async def _take(self, snapshot: Snapshot, catalog: Catalog, began: float) -> None:
        ledger = self.reconciler.executor.ledger
        kept = {name: cloud for name, cloud in self._known.items() if self.observer.holds(name)}
        self._known = {**kept, **catalog.clouds}
        await self.clouds.configure(self._known)
        self.observer.depot.watch(watched(catalog))
        unseen = {cloud for cloud in self._known if self.observer.listing(cloud) is None}
        unseen |= self.observer.depot.unseen(self._known)
        seen = await self.observer.refresh(unseen) if unseen else set()
        wanted, first = self.reconciler.wanted, self._last is None
        errors = tuple(str(diagnostic) for diagnostic in catalog.diagnostics)
        # From here on without a pause: no pass sees the revision before its answers are begun.
        with wanted.updated(catalog) as touched:
            touched.update(seen, filter(wanted.is_removed, self.reconciler.statuses))
            self._weigh(snapshot.approvals)
            ledger.set_note(ACCEPTED, snapshot.revision)
            self.answering.begin(snapshot.revision, self._answerable(touched), errors)
        self.source.accept(snapshot.revision)
        self._last = snapshot
        self.emit(
            RevisionRead(
                snapshot.revision, len(catalog.deployments), errors, time.monotonic() - began
            )
        )
        for name in touched | (self._left() if first else set()):
            self.dispatch.add(name, Priority.COMMIT)
        for name in wanted.names - touched:
            self.dispatch.add(name, Priority.RESYNC)

    def _left(self) -> set[str]:
        """What an earlier controller has not brought to its end."""
        ledger, wanted = self.reconciler.executor.ledger, self.reconciler.wanted
        return {*self.observer.deployments(), *filter(wanted.is_removed, ledger.runs)}

    def _weigh(self, approvals: Iterable[str]) -> None:
        """What one revision takes away is looked at together, for as long as it takes to go."""
        wanted, safety = self.reconciler.wanted, self.reconciler.safety
        safety.approve(approvals)
        safety.came_back(wanted.names)
        self._weigh_removals()
        kept = (wanted.desired(name) for name in wanted.names)
        lost = taken_away(self.observer, filter(None, kept))
        safety.shrinks(wanted.catalog.revision, lost)

    def _weigh_removals(self) -> None:
        """Also of machines that are found only now."""
        wanted = self.reconciler.wanted
        gone = [name for name in self.observer.deployments() if wanted.is_removed(name)]
        self.reconciler.safety.removed(gone, wanted.catalog.revision)

    def _answerable(self, touched: set[str]) -> set[str]:
        """Deployments whose wish this revision changes; drift alone is not the commit's affair."""
        ledger = self.reconciler.executor.ledger
        wanted = self.reconciler.wanted
        changed = set()
        for name in touched:
            desired, run = wanted.desired(name), ledger.runs.get(name)
            same = run is not None and desired is not None and run.digest == desired.digest
            if name in wanted.catalog.failed or not same:
                changed.add(name)
        return changed

    async def _follow_clouds(self) -> None:
        await self._read_once.wait()
        rng = random.Random()  # noqa: S311  # jitter, no secret
        while True:
            await self._wait(rng.uniform(0.9, 1.1))
            for name in await self._refresh():
                self.dispatch.add(name, Priority.DRIFT)
            self.check_settled()

    async def _wait(self, jitter: float) -> None:
        """Until the clouds are to be listed again; a creation or a suspicion changes when."""
        now = asyncio.get_running_loop().time
        self._since = now()
        while not self._suspected and (left := self._since + self._pause() * jitter - now()) > 0:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stirred.wait()
        if self._suspected:
            await asyncio.sleep(SUSPICION_GAP)
        self._suspected = False

    async def _refresh(self) -> set[str]:
        """List every cloud; what a listing held back is looked at again once it is complete."""
        clouds = list(self._known)
        before = self.observer.incomplete(clouds)
        changed = await self.observer.refresh(clouds)
        self._weigh_removals()
        await sweep(self.reconciler.survey)
        if self.observer.incomplete(clouds) != before:
            changed |= self.reconciler.wanted.names | self.observer.deployments()
            changed |= self.reconciler.statuses.keys()
        return changed | self._unsupported() | self._renewed()

    def _renewed(self) -> set[str]:
        """Deployments whose secrets have changed."""
        survey, wanted = self.reconciler.survey, self.reconciler.wanted
        return survey.supply.changed(d for n in wanted.names if (d := survey.desired(n)))

    def _unsupported(self) -> set[str]:
        """A cloud that could not tell what it can do is asked again with every listing."""
        return {
            name
            for name, status in self.reconciler.statuses.items()
            if (stalled := status.condition("Stalled")) and stalled.reason == "Unsupported"
        }

    def _pause(self) -> float:
        """Seconds until the clouds are listed again without being asked."""
        if self.observer.has_limbo:
            return LIMBO_DELAY
        comes = self.observer.has_pending or self.observer.has_moving_volumes
        return min(self.resync, BOOT_DELAY) if comes else self.resync

    def suspect(self) -> None:
        """Something may have happened to a machine: list sooner."""
        self._suspected = True
        self._stirred.set()

    def heard(self, event: Event) -> None:
        """Listens to the loop's own events: what is answered, looked at and listed next."""
        if isinstance(event, ActionEnded) and event.action == "create":
            self._since = asyncio.get_running_loop().time()
            self._stirred.set()
        if isinstance(event, StatusChanged):
            self.answering.heard(event.deployment, event.status)
            order = self.reconciler.survey.order
            for name in order.concerned(event.deployment, event.status):
                self.dispatch.add(name, Priority.PROGRESS)

    def check_settled(self) -> None:
        """After every pass: when everything is at rest, the revision is answered."""
        self._settled.clear()
        if not self.is_settled:
            return
        try:
            self.answering.close(self.reconciler.statuses)
        except Transient as error:  # a full disk; the next listing comes here again
            logger.warning("answer.delayed", extra={"reason": str(error)})
        else:
            self._settled.set()

    @property
    def is_settled(self) -> bool:
        """Every deployment of the newest revision is at rest: Ready, removed, or Stalled."""
        wanted, statuses = self.reconciler.wanted, self.reconciler.statuses
        if self._last is None or not self.dispatch.is_idle:
            return False
        if wanted.names - set(statuses):
            return False
        return all(status.at_rest for status in statuses.values())

    @property
    def succeeded(self) -> bool:
        """The newest revision was read whole, and nothing of it has failed."""
        wanted = self.reconciler.wanted
        stalled = any(status.is_stalled for status in self.reconciler.statuses.values())
        return not (
            self._last is None or self.source_error or wanted.catalog.diagnostics or stalled
        )

    async def wait_settled(self) -> None:
        """Until everything is at rest and what is to be said has been said.

        A repository that cannot be read at the first try counts as at rest too.
        """
        await self._read_once.wait()
        if self._last is None:
            return
        await self._settled.wait()
        await self.answering.flush()
