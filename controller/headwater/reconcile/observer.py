"""What the clouds show, kept between passes: one listing per account, shared by all deployments."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headwater.manifests.resolved import Size
from headwater.planning.events import CloudListed
from headwater.reconcile.depot import Depot
from headwater.reconcile.ports import Clouds, Listener
from headwater.reconcile.promises import promised
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Listing, Machine, MachineState
from headwater.topology.placement import Places

COMING = frozenset({MachineState.PENDING, MachineState.RUNNING})


def _now() -> float:
    """Seconds of the loop's own clock, which tests may make their own."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Account:
    listing: Listing | None = None
    machines: dict[MachineId, Machine] = field(default_factory=dict)
    missed: dict[MachineId, InstanceKey] = field(default_factory=dict)
    """Absent from the last complete listing, for the first time."""
    remembered: dict[MachineId, InstanceKey] = field(default_factory=dict)
    """From before a restart, and no listing that would know them has shown them yet."""
    first: float | None = None
    """When it was first listed whole."""
    expected: Counter[Size] = field(default_factory=Counter)
    """Machines that are being made."""
    written: dict[MachineId, float] = field(default_factory=dict)
    """When we made or ended these, which no listing has shown since."""


def _recent(account: _Account, lag: float) -> set[MachineId]:
    """What a listing need not know yet."""
    since = _now() - lag
    account.written = {id: at for id, at in account.written.items() if at > since}
    return set(account.written)


class Observer:
    def __init__(self, clouds: Clouds, emit: Listener) -> None:
        self._clouds = clouds
        self._emit = emit
        self._accounts: dict[str, _Account] = {}
        self._by_deployment: dict[str, dict[MachineId, Machine]] = {}
        self.depot = Depot(clouds)
        self.looks = 0
        """Complete listings so far."""

    def expect(self, known: Iterable[tuple[MachineId, InstanceKey]]) -> None:
        """Machines of before a restart: one listing without them does not make them gone."""
        for machine, key in known:
            self._account(machine.cloud).remembered[machine] = key

    async def refresh(self, clouds: Iterable[str]) -> set[str]:
        """List these accounts anew. Returns the deployments for which something is different."""
        async with asyncio.TaskGroup() as group:
            clouds = list(clouds)
            tasks = [group.create_task(self._list(cloud)) for cloud in clouds]
            tasks += [group.create_task(self.depot.refresh(cloud)) for cloud in clouds]
        return set().union(*(task.result() for task in tasks))

    async def _list(self, cloud: str) -> set[str]:
        began = time.monotonic()
        account = self._account(cloud)
        before = set(account.machines)
        listing = await self._clouds.observe(cloud)
        self._emit(
            CloudListed(
                cloud=cloud,
                machines=len(listing.machines),
                unknown=listing.unknown,
                complete=listing.complete,
                seconds=time.monotonic() - began,
                error=listing.error,
            )
        )
        changed = self._merge(account, listing, before)
        account.listing = listing
        return changed

    def _merge(self, account: _Account, listing: Listing, before: set[MachineId]) -> set[str]:
        """Take over what is listed; `before` is what was known when the listing was asked for."""
        changed: set[str] = set()
        lag = promised(self._clouds, listing.cloud).lag
        recent = _recent(account, lag)
        ended = recent - set(account.machines)
        listed = {machine.id: machine for machine in listing.machines if machine.id not in ended}
        for id in listed:
            account.written.pop(id, None)
        for id, machine in listed.items():
            account.missed.pop(id, None)
            if account.machines.get(id) != machine and (id in account.machines or id not in before):
                self._put(account, machine)
                changed.add(machine.key.deployment)
        if not listing.complete:
            return changed
        self.looks += 1
        lost = before & set(account.machines) - set(listed) - recent
        account.first = _now() if account.first is None else account.first
        absent = {id: key for id, key in account.remembered.items() if id not in listed}
        settled = _now() - account.first >= lag
        account.remembered = {} if settled else absent
        missed = absent if settled else {}
        missed |= {id: self._remove(account, id).key for id in lost}
        changed |= {key.deployment for key in (*account.missed.values(), *missed.values())}
        account.missed = missed
        return changed

    def _account(self, cloud: str) -> _Account:
        return self._accounts.setdefault(cloud, _Account())

    def _put(self, account: _Account, machine: Machine) -> None:
        account.machines[machine.id] = machine
        self._by_deployment.setdefault(machine.key.deployment, {})[machine.id] = machine

    def _remove(self, account: _Account, id: MachineId) -> Machine:
        machine = account.machines.pop(id)
        mine = self._by_deployment[machine.key.deployment]
        del mine[id]
        if not mine:
            del self._by_deployment[machine.key.deployment]
        return machine

    def created(self, machine: Machine) -> None:
        """An own write: it shows before the next listing does."""
        account = self._account(machine.id.cloud)
        account.written[machine.id] = _now()
        self._put(account, machine)

    def terminated(self, machine: Machine) -> None:
        account = self._account(machine.id.cloud)
        account.missed.pop(machine.id, None)
        account.remembered.pop(machine.id, None)
        account.written[machine.id] = _now()
        if machine.id in account.machines:
            self._remove(account, machine.id)

    def machines(self, deployment: str) -> tuple[Machine, ...]:
        return tuple(self._by_deployment.get(deployment, {}).values())

    def machine(self, id: MachineId) -> Machine | None:
        return self._account(id.cloud).machines.get(id)

    def places(self, known: Iterable[tuple[MachineId, InstanceKey]]) -> Places:
        """The clouds of the instances that exist, the newest machine of each; or are `known` of."""
        machines = (m for mine in self._by_deployment.values() for m in mine.values())
        ordered = sorted(machines, key=lambda machine: machine.tags.incarnation)
        remembered = {key: machine.cloud for machine, key in known}
        return remembered | {machine.key: machine.id.cloud for machine in ordered}

    def deployments(self) -> frozenset[str]:
        """Whose machines exist, wanted or not."""
        return frozenset(self._by_deployment)

    def limbo(self, deployment: str) -> frozenset[InstanceKey]:
        """Instances whose machine was missing once (semantics.md 2: gone needs two looks)."""
        return frozenset(
            key
            for account in self._accounts.values()
            for key in (*account.missed.values(), *account.remembered.values())
            if key.deployment == deployment
        )

    @property
    def has_pending(self) -> bool:
        """Machines that are only coming up: nobody tells when they are there."""
        return any(
            machine.state is MachineState.PENDING or not machine.is_reachable
            for account in self._accounts.values()
            for machine in account.machines.values()
            if machine.state in COMING
        )

    @property
    def has_moving_volumes(self) -> bool:
        """Volumes that come or go, or whose machine is about to let them go."""
        return self.depot.is_moving or any(
            self._is_leaving(MachineId(volume.id.cloud, volume.machine))
            for volume in self.depot.every()
            if volume.machine
        )

    def _is_leaving(self, id: MachineId) -> bool:
        machine = self.machine(id)
        if machine is None:
            return id in self._account(id.cloud).written
        return machine.state is MachineState.STOPPING

    def holds(self, cloud: str) -> bool:
        """Something of ours is there."""
        return bool(self.count(cloud) or self.depot.counts(cloud, ()))

    @property
    def has_limbo(self) -> bool:
        return any(account.missed or account.remembered for account in self._accounts.values())

    def incomplete(self, clouds: Iterable[str]) -> str:
        """Why one of these accounts may have more machines than are known; empty if none has."""
        for cloud in sorted(clouds):
            listing = self._account(cloud).listing
            if listing is None:
                return f"cloud {cloud} has not been listed yet"
            if not listing.complete:
                return f"the listing of cloud {cloud} is incomplete: {listing.error}"
        return ""

    def count(self, cloud: str) -> int:
        """How many machines of ours are known there, those that are being made included."""
        account = self._account(cloud)
        return len(account.machines) + account.expected.total()

    def sizes(self, cloud: str) -> Mapping[Size, int]:
        """What these machines asked for."""
        account = self._account(cloud)
        known = Counter(machine.tags.size for machine in account.machines.values())
        return known + account.expected

    @property
    def total(self) -> int:
        """Machines of ours, at all clouds."""
        return sum(len(account.machines) for account in self._accounts.values())

    def expect_new(self, wanted: Mapping[tuple[str, Size], int]) -> None:
        """So many machines per cloud and size are about to be made; negative numbers: not more."""
        for (cloud, size), number in wanted.items():
            self._account(cloud).expected[size] += number

    def listing(self, cloud: str) -> Listing | None:
        return self._account(cloud).listing

    def retain(self, clouds: Iterable[str]) -> None:
        """Drop accounts that no manifest and no machine speaks of any more."""
        keep = set(clouds)
        for cloud in [c for c, account in self._accounts.items() if not account.machines]:
            if cloud not in keep:
                del self._accounts[cloud]
