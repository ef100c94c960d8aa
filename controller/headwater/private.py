"""A controller of one's own: one deployment at one revision, and nothing of it stays behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from headwater.app import Running, World, Worlds, assemble, reader
from headwater.errors import HeadwaterError, Refused
from headwater.manifests.resolved import Catalog, Keep
from headwater.manifests.snapshot import Snapshot
from headwater.manifests.suggestions import did_you_mean
from headwater.planning.status import CommitStatus
from headwater.reconcile.ledger import Ledger
from headwater.settings import Settings
from headwater.source.address import SshLogin
from headwater.source.git import snapshot_of
from headwater.topology.machines import Machine

DRAIN = 8.0
"""Seconds for the passes under way."""
ATTEMPTS = 5
"""To end what is left at the clouds."""
SECRETS = "secrets"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the controller is for."""

    deployment: str
    snapshot: Snapshot
    keep: bool = False
    """Machines stay, and so does the state directory that knows them."""


def subject(settings: Settings, deployment: str, revision: str, *, keep: bool) -> Subject:
    """Raises Refused where there is nothing to run: what is wrong with it, or near its name."""
    login = SshLogin(settings.ssh_key, settings.known_hosts)
    snapshot = snapshot_of(settings.repository, revision, settings.path, login)
    found = Subject(deployment, snapshot, keep)
    _alone(reader()(snapshot), found)
    return found


def _alone(catalog: Catalog, subject: Subject) -> Catalog:
    """The catalogue without everything else: other deployments, and clouds that are not asked."""
    name = subject.deployment
    if wrong := catalog.failed.get(name):
        raise Refused("\n".join(map(str, wrong)))
    if (found := catalog.deployments.get(name)) is None:
        hint = did_you_mean(name, catalog.deployments) or ", ".join(catalog.deployments)
        broken = "".join(f"\n{diagnostic}" for diagnostic in catalog.diagnostics)
        raise Refused(f"there is no deployment {name}: {hint or 'there is none at all'}{broken}")
    asked = {cloud for node in found.nodes.values() for cloud, _ in node.clouds}
    keep = Keep("always" if subject.keep else "never")
    return replace(
        catalog,
        deployments={name: replace(found, keep=keep, depends_on=())},
        clouds={cloud: each for cloud, each in catalog.clouds.items() if cloud in asked},
        failed={},
        diagnostics=(),
        complete=True,
    )


class _Fixed:
    """A source that does not move."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def fetch(self) -> Snapshot:
        return self._snapshot

    def accept(self, revision: str) -> None:
        pass

    async def changes(self) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


class _Unheard:
    """Nobody is answered: who asked is here."""

    async def answer(self, status: CommitStatus) -> None:
        pass


def _world(subject: Subject) -> Worlds:
    read = reader()

    def world(_settings: Settings, _state: Path, _ledger: Ledger) -> World:
        return World(
            installation=uuid4().hex,
            source=_Fixed(subject.snapshot),
            read=lambda snapshot: _alone(read(snapshot), subject),
            answers=_Unheard(),
        )

    return world


@asynccontextmanager
async def private(settings: Settings, subject: Subject, scratch: Path) -> AsyncIterator[Running]:
    """Running on an empty state directory until the block ends; then its machines are gone.

    Credentials are those of the settings' state directory. Raises Stalled where machines are left,
    with their names.
    """
    secrets = settings.state.absolute() / SECRETS
    if secrets.is_dir():
        (scratch / SECRETS).symlink_to(secrets)
    alone = settings.model_copy(update={"state": scratch, "listen": "", "resync": 2.0})
    async with assemble(alone, _world(subject)) as running:
        work = asyncio.create_task(running.loop.run())
        try:
            yield running
        finally:
            await _end(running, work, keep=subject.keep)


async def _end(running: Running, work: "asyncio.Task[None]", *, keep: bool) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN):
            await running.loop.drain()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    if not keep and (left := await _cleared(running)):
        names = ", ".join(f"{machine.name} at {machine.id.cloud}" for machine in left)
        raise HeadwaterError(f"these machines are left, remove them by hand: {names}")


async def _cleared(running: Running) -> list[Machine]:
    """What could not be ended. What a cut-off order has made shows in a fresh listing."""
    observer, clouds = running.loop.observer, running.loop.clouds
    catalog = running.loop.reconciler.wanted.catalog
    left: list[Machine] = []
    for attempt in range(ATTEMPTS):
        await observer.refresh(catalog.clouds)
        left = [m for name in observer.deployments() for m in observer.machines(name)]
        if not left:
            break
        ends = [clouds.terminate(machine) for machine in left]
        for machine, end in zip(
            left, await asyncio.gather(*ends, return_exceptions=True), strict=True
        ):
            if not isinstance(end, Exception):
                observer.terminated(machine)
        if observer.total == 0:
            return []
        await asyncio.sleep(attempt)
    return left
