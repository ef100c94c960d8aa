"""One account of one cloud: listings that are shared, and writes that end their sharing."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from libcloud.compute.base import Node

from headwater.cloud.faults import classify
from headwater.cloud.machines import is_gone, machine_of, tags_of
from headwater.cloud.pace import Bucket, Circuit
from headwater.cloud.provider import Provider, open_provider
from headwater.cloud.threads import Pool, Threads
from headwater.errors import HeadwaterError, Transient
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import Capabilities, CreateOrder, Listing, Machine

READS_PER_SECOND, WRITES_PER_SECOND = 20.0, 2.0
"""For clouds that say nothing themselves: EC2's refill rate of RunInstances is 2 a second."""

T = TypeVar("T")
_WIDTH = 4
_READ_SECONDS = 60.0
_WRITE_SECONDS = 60.0
_WRITE_SECONDS_PER_ORDER = 2.0


class Account:
    def __init__(
        self, cloud: ResolvedCloud, installation: str, directory: Path, pool: Pool
    ) -> None:
        self.cloud = cloud
        self._installation = installation
        self._threads = Threads(cloud, lambda: open_provider(cloud, directory), _WIDTH, pool)
        self._known: Capabilities | HeadwaterError = Transient(
            f"cloud {cloud.name!r} has not answered yet"
        )
        self._listing: asyncio.Task[Listing] | None = None
        self._circuit = Circuit(f"cloud {cloud.name!r}")
        self._reads = _bucket(cloud, cloud.reads_per_second, READS_PER_SECOND)
        self._writes = _bucket(cloud, cloud.writes_per_second, WRITES_PER_SECOND)

    @property
    def capabilities(self) -> Capabilities:
        """As probed; does no I/O. Raises what the probe raised."""
        if isinstance(self._known, HeadwaterError):
            raise self._known
        return self._known

    async def probe(self) -> None:
        """Ask what the cloud can do, until it has told. Never raises."""
        if isinstance(self._known, Capabilities):
            return
        try:
            self._known = await self._threads.run(lambda p: p.capabilities(), _READ_SECONDS)
        except HeadwaterError as e:
            self._known = e

    async def observe(self) -> Listing:
        """A listing that began after the last write of ours. Never raises."""
        if self._listing is None:
            self._listing = asyncio.create_task(self._list())
            self._listing.add_done_callback(self._end_sharing)
        return await asyncio.shield(self._listing)

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        """One answer per order. A creation that takes too long is Transient, not undone."""
        self._listing = None
        deadline = _WRITE_SECONDS + _WRITE_SECONDS_PER_ORDER * len(orders)
        try:
            made = await self._ask(
                lambda provider: provider.create(orders), deadline, self._writes, len(orders)
            )
        except HeadwaterError as e:
            return [e] * len(orders)
        finally:
            self._listing = None
        answers = [self._answer(order, each) for order, each in zip(orders, made, strict=True)]
        for answer in answers:
            self._circuit.told(answer if isinstance(answer, HeadwaterError) else None)
        return answers

    async def terminate(self, machine: Machine) -> None:
        """Raises HeadwaterError; an absent machine is terminated."""
        self._listing = None
        id = machine.id.id
        try:
            await self._ask(lambda provider: provider.destroy(id), _WRITE_SECONDS, self._writes)
        finally:
            self._listing = None

    async def _ask(
        self,
        call: Callable[[Provider], T],
        deadline: float,
        bucket: Bucket | None,
        count: int = 1,
    ) -> T:
        """One call, at our pace; refused at once while the circuit is open."""
        self._circuit.check()
        if bucket is not None:
            await bucket.take(count)
        try:
            answer = await self._threads.run(call, deadline)
        except HeadwaterError as error:
            self._circuit.told(error)
            raise
        self._circuit.told(None)
        return answer

    def close(self) -> None:
        """Calls under way end by themselves; their answers are still given."""
        self._threads.close()

    async def _list(self) -> Listing:
        name = self.cloud.name
        await self.probe()
        try:
            nodes = await self._ask(lambda p: p.list(), _READ_SECONDS, self._reads)
            present = [node for node in nodes if not is_gone(node)]
            tagged = [(node, tags_of(node, self._installation)) for node in present]
            ours = tuple(machine_of(node, name, tags) for node, tags in tagged if tags)
        except HeadwaterError as e:
            return Listing(name, (), complete=False, error=str(e))
        except Exception as e:  # noqa: BLE001  # a node in a shape that no driver should make
            error = classify(e, self.cloud.driver, f"cloud {name!r}")
            return Listing(name, (), complete=False, error=str(error))
        return Listing(name, ours, complete=True, unknown=len(present) - len(ours))

    def _end_sharing(self, ended: asyncio.Task[Listing]) -> None:
        if self._listing is ended:
            self._listing = None

    def _answer(self, order: CreateOrder, made: Node | Exception) -> Machine | Exception:
        name = self.cloud.name
        if isinstance(made, Exception):
            return classify(made, self.cloud.driver, f"cloud {name!r}, {order.name}")
        # An order that is repeated finds the machine of the first time, with the tags of then.
        return machine_of(made, name, tags_of(made, self._installation) or order.tags)


def _bucket(cloud: ResolvedCloud, limit: float | None, default: float) -> Bucket | None:
    """Our own host needs no limit unless the manifest names one."""
    if limit is None and cloud.driver == "local":
        return None
    return Bucket(limit or default)
