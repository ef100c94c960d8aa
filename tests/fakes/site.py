"""A whole controller around a world in memory, and what may happen to that world."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from fakes.answers import FakeAnswers
from fakes.builders import catalog
from fakes.cloud import FakeClouds
from fakes.house import House
from fakes.looptime import clock
from fakes.machines import Agents
from fakes.source import FakeSource
from fakes.store import Disk
from headwater.manifests.resolved import Catalog, ResolvedDeployment
from headwater.manifests.snapshot import Snapshot

WISH = "wish"
BROKEN = "broken:"


class Site:
    """Wishes have names; a commit names the one that it stands for."""

    def __init__(
        self, wishes: Mapping[str, Sequence[ResolvedDeployment]], *, approves: bool = True
    ) -> None:
        self.wishes = wishes
        self.approves = approves
        self.source = FakeSource()
        self.answers = FakeAnswers()
        self.clouds = FakeClouds()
        self.agents = Agents()
        self.disk = Disk()
        self.house = self._controller()

    def _controller(self) -> House:
        return House(
            self.clouds, self.agents, self.disk, prompt=True, approves=self.approves, clock=clock
        )

    def commit(self, wish: str) -> str:
        """`broken:NAME` is a revision in which that deployment's manifest is wrong."""
        return self.source.commit({WISH: wish})

    def read(self, snapshot: Snapshot) -> Catalog:
        content = snapshot.files[WISH].content or b""
        name = content.decode()
        failed = [name.removeprefix(BROKEN)] if name.startswith(BROKEN) else []
        return catalog(*self.wishes.get(name, ()), revision=snapshot.revision, failed=failed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        """The loop runs; at the end it is killed, and what is in memory only is lost."""
        loop = self.house.looping(self.source, self.read, self.answers)
        task = asyncio.create_task(loop.run())
        try:
            yield self.house
        finally:
            task.cancel()
            await asyncio.wait([task])
            for line in list(self.house.machines.lines):
                self.house.machines.forget(line)
            self.house = self._controller()
        if not task.cancelled() and (crash := task.exception()):
            raise crash

    async def settled(self, revision: str, seconds: float = 7200.0) -> None:
        """Until that revision has its final answer, and everything is at rest."""
        async with asyncio.timeout(seconds):
            while True:
                aggregate = self.answers.of(revision, "headwater")
                loop = self.house.loop
                if loop and loop.is_settled and aggregate and aggregate[-1] != "pending":
                    return
                await asyncio.sleep(1.0)

    def instances(self) -> list[str]:
        """Who exists at the clouds: `shop/web.1`."""
        return sorted(str(machine.key) for machine in self.clouds.present())
