"""One account of one cloud: listings that are shared, and writes that end their sharing."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from libcloud.compute.base import Node

from headwater.cloud.faults import classify
from headwater.cloud.gathering import Gathering
from headwater.cloud.machines import is_gone, machine_of, tags_of
from headwater.cloud.pace import Bucket, Circuit
from headwater.cloud.provider import Provider, opener
from headwater.cloud.threads import Pool, Threads
from headwater.cloud.volumes import Volumes
from headwater.errors import HeadwaterError, Transient
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.machines import (
    Ability,
    Capabilities,
    CreateOrder,
    Listing,
    Machine,
    MachineSpec,
)
from headwater.topology.sizes import Offer
from headwater.topology.volumes import VolumeListing

logger = logging.getLogger("headwater.cloud")

READS_PER_SECOND, WRITES_PER_SECOND = 20.0, 2.0
"""For clouds that say nothing themselves: EC2's refill rate of RunInstances is 2 a second."""
BATCHES_AT_ONCE = 4.0
"""One less than EC2's burst of RunInstances, the dearest call of all."""

T = TypeVar("T")
_WIDTH = 4
_READ_SECONDS = 60.0
_WRITE_SECONDS = 60.0
_WRITE_SECONDS_PER_ORDER = 2.0


class Account:
    def __init__(
        self,
        cloud: ResolvedCloud,
        installation: str,
        directory: Path,
        pool: Pool,
        *,
        keeper: bool,
    ) -> None:
        self.cloud = cloud
        self._keeper = keeper
        self._installation = installation
        self._threads = Threads(cloud, opener(cloud, installation, directory), _WIDTH, pool)
        self._known: Capabilities | HeadwaterError = Transient(
            f"cloud {cloud.name!r} has not answered yet"
        )
        self._listing: asyncio.Task[Listing] | None = None
        self._circuit = Circuit(f"cloud {cloud.name!r}")
        self._reads = _bucket(cloud, cloud.reads_per_second, READS_PER_SECOND)
        self._writes = _bucket(cloud, cloud.writes_per_second, WRITES_PER_SECOND)
        rate = cloud.writes_per_second or WRITES_PER_SECOND
        self._batches = Bucket(rate, burst=BATCHES_AT_ONCE)
        self._ends = Gathering(self._destroy)
        self._tidying: asyncio.Task[None] | None = None

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

    async def limits(self) -> Mapping[str, int]:
        """The account's own. Raises HeadwaterError."""
        return await self._ask(lambda p: p.limits(), _READ_SECONDS, self._reads)

    async def offers(self, names: Collection[str]) -> Sequence[Offer]:
        """Those of these sizes that there are. Raises HeadwaterError."""
        return await self._ask(lambda p: p.offers(names), _READ_SECONDS, self._reads)

    async def image(self, spec: MachineSpec) -> str:
        """What is known of it, for people. Raises HeadwaterError; Stalled where there is none."""
        return await self._ask(lambda p: p.image(spec), _READ_SECONDS, self._reads)

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        """One answer per order. A creation that takes too long is Transient, not undone."""
        self._listing = None
        answers: dict[CreateOrder, Machine | Exception] = {}
        try:
            async with asyncio.TaskGroup() as group:
                parts = self._calls(orders)
                tasks = [group.create_task(self._create(part, calls)) for part, calls in parts]
        finally:
            self._listing = None
        for (part, _), task in zip(parts, tasks, strict=True):
            answers |= zip(part, task.result(), strict=True)
        return [answers[order] for order in orders]

    def _calls(self, orders: Sequence[CreateOrder]) -> list[tuple[list[CreateOrder], int]]:
        """Which orders go out together, and as how many calls of the cloud."""
        if not self._can(Ability.BATCH):
            return [(list(orders), len(orders))]
        batches: dict[str, list[CreateOrder]] = {}
        for order in orders:
            batches.setdefault(order.batch.token if order.batch else order.token, []).append(order)
        return [(batch, 1) for batch in batches.values()]

    async def _create(
        self, orders: Sequence[CreateOrder], calls: int
    ) -> Sequence[Machine | Exception]:
        deadline = _WRITE_SECONDS + _WRITE_SECONDS_PER_ORDER * len(orders)
        batches = self._can(Ability.BATCH)
        bucket = self._batches if batches else self._writes
        try:
            if batches:
                await self._ask(lambda p: p.prepare(orders), deadline, self._writes)
            made = await self._ask(
                lambda provider: provider.create(orders), deadline, bucket, calls
            )
        except HeadwaterError as e:
            return [e] * len(orders)
        answers = [self._answer(order, each) for order, each in zip(orders, made, strict=True)]
        failures = [answer for answer in answers if isinstance(answer, HeadwaterError)]
        if len(failures) == len(answers):  # Where it made something, it works.
            for failure in failures[:calls]:
                self._circuit.told(failure)
        return answers

    async def terminate(self, machine: Machine) -> None:
        """Raises HeadwaterError; an absent machine is terminated."""
        self._listing = None
        id = machine.id.id
        try:
            if self._can(Ability.ENDS):
                await self._ends.ask(id)
            elif error := (await self._destroy([id]))[0]:
                raise error
        finally:
            self._listing = None

    async def _destroy(self, ids: Sequence[str]) -> Sequence[Exception | None]:
        answers = await self._ask(
            lambda provider: provider.destroy(ids), _WRITE_SECONDS, self._writes
        )
        where = f"cloud {self.cloud.name!r}"
        said: list[HeadwaterError | None] = [
            None if each is None else classify(each, self.cloud.driver, where) for each in answers
        ]
        if failed := next((each for each in said if each), None):
            self._circuit.told(failed)
        return said

    async def observe_volumes(self) -> VolumeListing:
        """Never raises."""
        name = self.cloud.name
        await self.probe()
        try:
            seen = await self._ask(lambda p: tuple(p.volumes().list()), _READ_SECONDS, self._reads)
        except HeadwaterError as error:
            return VolumeListing(name, (), complete=False, error=str(error))
        return VolumeListing(name, seen, complete=True)

    async def change_volumes(self, call: Callable[[Volumes], T]) -> T:
        """Raises HeadwaterError."""
        return await self._ask(lambda p: call(p.volumes()), _WRITE_SECONDS, self._writes)

    def _can(self, ability: Ability) -> bool:
        return isinstance(self._known, Capabilities) and ability in self._known.abilities

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
        if self._tidying is not None:
            self._tidying.cancel()
        self._threads.close()

    async def _list(self) -> Listing:
        name = self.cloud.name
        await self.probe()
        try:
            seen = await self._ask(lambda p: p.list(), _READ_SECONDS, self._reads)
            present = [node for node in seen.nodes if not is_gone(node)]
            tagged = [(node, tags_of(node, self._installation)) for node in present]
            ours = tuple(machine_of(node, name, tags) for node, tags in tagged if tags)
        except HeadwaterError as e:
            return Listing(name, (), complete=False, error=str(e))
        except Exception as e:  # noqa: BLE001  # a node in a shape that no driver should make
            error = classify(e, self.cloud.driver, f"cloud {name!r}")
            return Listing(name, (), complete=False, error=str(error))
        self._tidy(seen.chores)
        unknown = seen.others + len(present) - len(ours)
        return Listing(name, ours, complete=True, unknown=unknown)

    def _tidy(self, chores: Sequence[str]) -> None:
        """Beside everything else, one at a time; what cannot be done is tried again."""
        if self._keeper and chores and (self._tidying is None or self._tidying.done()):
            self._tidying = asyncio.create_task(self._put_right(chores))

    async def _put_right(self, chores: Sequence[str]) -> None:
        try:
            await self._ask(lambda p: p.tidy(chores), _WRITE_SECONDS, self._writes)
        except HeadwaterError as error:
            extra = {"cloud": self.cloud.name, "reason": str(error)}
            logger.info("cloud.not_tidied", extra=extra)

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
    if limit is None and cloud.driver in {"local", "qemu"}:
        return None
    return Bucket(limit or default)
