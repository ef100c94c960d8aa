"""Clouds in memory: state, no machines. Ten thousand of them are cheap."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fakes.volumes import FakeVolumes
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import (
    Capabilities,
    CreateOrder,
    Listing,
    Machine,
    MachineState,
)
from headwater.topology.volumes import Volume, VolumeListing, VolumeOrder, VolumeTags

if TYPE_CHECKING:
    from headwater.errors import HeadwaterError

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class FakeClouds:
    """Satisfies the Clouds port for any cloud named to it; any account exists.

    What goes wrong is set from outside:
    - `unlistable[cloud]`: listings are incomplete, and say this.
    - `omitted`: these machines exist and are missing from listings that claim to be complete.
    - `refused[key]`: the next creation of this instance is answered with this, once.
    - `lost_answers[key]`: the next creation of this instance is made, and answered with this.
    - `unterminable[machine]`: its termination raises this.
    - `unusable[cloud]`: what `capabilities` raises.
    - `gate`: every call waits until it is set; it is set at the beginning.
    """

    def __init__(self, able: Capabilities | None = None) -> None:
        self.able = able or Capabilities(description="memory")
        self.volumes = FakeVolumes(lambda: self.clock())  # noqa: PLW0108  # it may be set later
        self.machines: dict[str, dict[str, Machine]] = {}
        self.unknown: Counter[str] = Counter()
        self.listings: Counter[str] = Counter()
        self.created: list[CreateOrder] = []
        self.terminated: list[MachineId] = []
        self.unlistable: dict[str, str] = {}
        self.omitted: set[MachineId] = set()
        self.refused: dict[InstanceKey, HeadwaterError] = {}
        self.lost_answers: dict[InstanceKey, HeadwaterError] = {}
        self.unterminable: dict[MachineId, HeadwaterError] = {}
        self.unusable: dict[str, HeadwaterError] = {}
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.gate = asyncio.Event()
        self.gate.set()
        self._tokens: dict[tuple[str, str], str] = {}
        self._listed: dict[str, tuple[Machine, ...]] = {}
        self._count = 0

    async def configure(self, clouds: Mapping[str, ResolvedCloud]) -> None:
        for cloud in clouds:
            self.machines.setdefault(cloud, {})

    async def close(self) -> None:
        pass

    def capabilities(self, cloud: str) -> Capabilities:
        if cloud in self.unusable:
            raise self.unusable[cloud]
        return self.able

    async def observe(self, cloud: str) -> Listing:
        self.listings[cloud] += 1
        await self.gate.wait()
        if cloud in self.unlistable:
            return Listing(cloud, (), complete=False, error=self.unlistable[cloud])
        if cloud not in self._listed:
            self._listed[cloud] = tuple(self.machines.get(cloud, {}).values())
        listed = self._listed[cloud]
        if self.omitted:
            listed = tuple(machine for machine in listed if machine.id not in self.omitted)
        return Listing(cloud, listed, complete=True, unknown=self.unknown[cloud])

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        await self.gate.wait()
        return [self._create(order) for order in orders]

    async def terminate(self, machine: Machine) -> None:
        await self.gate.wait()
        if machine.id in self.unterminable:
            raise self.unterminable[machine.id]
        self.terminated.append(machine.id)
        self.lose(machine.id)

    async def observe_volumes(self, cloud: str) -> VolumeListing:
        await self.gate.wait()
        return self.volumes.listing(cloud)

    async def create_volume(self, order: VolumeOrder) -> Volume:
        await self.gate.wait()
        return self.volumes.create(order)

    async def attach_volume(
        self, volume: Volume, machine: Machine, taken: Collection[str]
    ) -> Volume:
        await self.gate.wait()
        return self.volumes.attach(volume, machine, taken)

    async def retag_volume(self, volume: Volume, tags: VolumeTags) -> None:
        await self.gate.wait()
        self.volumes.retag(volume, tags)

    async def delete_volume(self, volume: Volume) -> None:
        await self.gate.wait()
        self.volumes.delete(volume)

    def present(self) -> Iterable[Machine]:
        return [machine for account in self.machines.values() for machine in account.values()]

    def of(self, key: InstanceKey) -> list[Machine]:
        return [machine for machine in self.present() if machine.key == key]

    def put(self, machine: Machine) -> None:
        """The machine exists, or is as given from now on."""
        self.machines.setdefault(machine.id.cloud, {})[machine.id.id] = machine
        self._listed.pop(machine.id.cloud, None)

    def become(self, id: MachineId, state: MachineState) -> None:
        self.put(replace(self.machines[id.cloud][id.id], state=state))

    def lose(self, id: MachineId) -> None:
        """The machine is gone, and nobody says why."""
        self.machines.get(id.cloud, {}).pop(id.id, None)
        self.volumes.let_go(id)
        self._listed.pop(id.cloud, None)

    def _create(self, order: CreateOrder) -> Machine | Exception:
        key, cloud = order.tags.key, order.spec.cloud
        if key in self.refused:
            return self.refused.pop(key)
        known = self.machines.setdefault(cloud, {}).get(self._tokens.get((cloud, order.token), ""))
        machine = known or self._make(order)
        if key in self.lost_answers:
            return self.lost_answers.pop(key)
        return machine

    def _make(self, order: CreateOrder) -> Machine:
        self._count += 1
        high, low = divmod(self._count, 250)
        machine = Machine(
            id=MachineId(order.spec.cloud, f"m-{self._count}"),
            name=order.name,
            tags=order.tags,
            state=MachineState.RUNNING,
            address=f"10.0.{high}.{low + 1}",
            host_key=HOST_KEY,
            created=self.clock(),
        )
        self.created.append(order)
        self._tokens[order.spec.cloud, order.token] = machine.id.id
        self.put(machine)
        return machine
