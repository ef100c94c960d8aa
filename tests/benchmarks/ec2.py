"""What EC2 is asked, and how long it takes: counted on the endpoint, with a cloud's manners.

100 ms a call, AWS's own token buckets, 5 s to boot; the machines' agents answer at once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import say
from fakes.answers import FakeAnswers
from fakes.builders import CLOUD, catalog, deployment, node
from fakes.ec2.account import IMAGE
from fakes.ec2.endpoint import Ec2Endpoint, ec2_endpoint
from fakes.ec2.limits import Limits
from fakes.house import House
from fakes.source import FakeSource
from headwater.cloud.gateway import Gateway
from headwater.cloud.tags import DEPLOYMENT
from headwater.manifests.resolved import Catalog, ResolvedCloud, ResolvedDeployment
from headwater.manifests.snapshot import Snapshot
from headwater.topology.keys import InstanceKey

LATENCY, BOOT = 0.1, 5.0
PATIENCE = 180.0


class Run:
    """A controller on one EC2 account, with the deployments that its only revision wants."""

    def __init__(
        self, endpoint: Ec2Endpoint, directory: Path, wished: Mapping[str, ResolvedDeployment]
    ) -> None:
        self.endpoint = endpoint
        self.wished = wished
        self.gateway = Gateway("house", directory)
        self.house = House(
            self.gateway,  # type: ignore[arg-type]  # a real cloud instead of one in memory
            prompt=True,
            clock=lambda: datetime.now(UTC),
        )

    def _read(self, snapshot: Snapshot) -> Catalog:
        clouds = {CLOUD: account(self.endpoint)}
        read = catalog(*self.wished.values(), revision=snapshot.revision)
        return Catalog(
            read.revision, read.deployments, clouds, read.failed, (), complete=True, resources=1
        )

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        source = FakeSource()
        source.commit({"wish": "all"})
        loop = self.house.looping(source, self._read, FakeAnswers())
        task = asyncio.create_task(loop.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.gateway.close()

    async def until_ready(self, machines: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self._is_ready(machines):  # noqa: ASYNC110  # other threads change it too
                await asyncio.sleep(0.02)

    def _is_ready(self, machines: int) -> bool:
        statuses = self.house.reconciler.statuses
        ready = [name for name, status in statuses.items() if status.is_ready]
        return len(ready) == len(self.wished) and self.house.observer.total == machines

    async def until_repaired(self, key: InstanceKey) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.house.ledger.incarnations(key.deployment).get(key) != 2:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.02)
        await self.until_ready(self.house.observer.total)


@contextmanager
def manners(boot: float = BOOT) -> Iterator[tuple[Ec2Endpoint, Path]]:
    with ec2_endpoint() as endpoint, TemporaryDirectory(prefix="headwater-benchmark-") as folder:
        endpoint.account.ask({"Action": "DescribeInstances"})  # moto loads its models
        endpoint.latency, endpoint.limits, endpoint.account.timing.boot = LATENCY, Limits(), boot
        yield endpoint, Path(folder)


def account(endpoint: Ec2Endpoint) -> ResolvedCloud:
    """moto needs its time for 300 machines, which EC2 does not."""
    return endpoint.cloud(CLOUD, timeout=120)


def system(name: str, machines: int) -> dict[str, ResolvedDeployment]:
    return {name: deployment(node("wn", machines, image=IMAGE), name=name)}


async def cluster(machines: int) -> dict[str, float]:
    """Up; a look by a controller that comes new; the repair of one."""
    with manners() as (endpoint, folder):
        wished = system("cluster", machines)
        run, began = Run(endpoint, folder, wished), time.perf_counter()
        async with run.going():
            await run.until_ready(machines)
            took = {"up": time.perf_counter() - began, "calls": len(endpoint.calls)}
            took["creates"] = endpoint.counted()["RunInstances"]
            took |= await _repair(run, endpoint)
        endpoint.clear()
        new = Gateway("house", folder)
        await new.configure({CLOUD: account(endpoint)})
        listing = await new.observe(CLOUD)
        await new.close()
        assert len(listing.machines) == machines, listing
        return took | {"plan calls": len(endpoint.calls), "refused": len(endpoint.refused)}


async def _repair(run: Run, endpoint: Ec2Endpoint) -> dict[str, float]:
    lost = run.house.observer.machines("cluster")[0]
    endpoint.clear()
    endpoint.account.become(lost.id.id, "terminated")
    run.house.whole.suspect()
    began = time.perf_counter()
    await run.until_repaired(lost.key)
    asked = endpoint.counted()
    return {
        "repair": time.perf_counter() - began,
        "repair calls": sum(asked.values()) - asked["DescribeInstances"],
    }


async def many(deployments: int) -> dict[str, float]:
    """Deployments of one machine each that are there already: what a pass over all of them asks."""
    with manners(boot=0.0) as (endpoint, folder):
        await _populate(endpoint, folder, deployments)
        wished = {
            f"d{number}": next(iter(system(f"d{number}", 1).values()))
            for number in range(1, deployments + 1)
        }
        run = Run(endpoint, folder, wished)
        endpoint.clear()
        async with run.going():
            await run.until_ready(deployments)
            first = dict(endpoint.counted())
            looks = run.house.observer.looks
            endpoint.clear()
            run.house.whole.suspect()
            async with asyncio.timeout(PATIENCE):
                while run.house.observer.looks == looks:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.02)
        assert set(first) == {"DescribeInstances"}, first
        return {"listing calls": len(endpoint.calls)}


async def _populate(endpoint: Ec2Endpoint, folder: Path, deployments: int) -> None:
    """All made by one call, and given to their deployments by hand."""
    endpoint.limits = None
    run = Run(endpoint, folder, system("d", deployments))
    async with run.going():
        await run.until_ready(deployments)
    backend = endpoint.account._backend
    for number, instance in enumerate(endpoint.account.present, start=1):
        backend.create_tags(
            [instance.id],
            {
                DEPLOYMENT: f"d{number}",
                "headwater:index": "1",
                "headwater:incarnation": "1",
                "headwater:members": "",
            },
        )
    endpoint.limits = Limits()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--deployments", type=int, default=1000)
    options = parser.parse_args()
    aims = {"up": 7.0, "calls": 12, "plan calls": 1, "repair calls": 4, "refused": 0, "creates": 1}
    for machines in (31, 300):
        took: dict[str, list[float]] = {}
        for _ in range(options.runs if machines == 31 else 1):
            for name, value in asyncio.run(cluster(machines)).items():
                took.setdefault(name, []).append(value)
        for name, values in took.items():
            small = machines == 31 or name in {"plan calls", "refused", "creates"}
            unit = "s" if name in {"up", "repair"} else "calls"
            aim = aims.get(name) if small else None
            say(f"EC2, {machines} machines: {name}", unit, values, aim)
    for name, value in asyncio.run(many(options.deployments)).items():
        say(f"EC2, {options.deployments} deployments: {name}", "calls", [value], 1)


if __name__ == "__main__":
    main()
