"""Carrying out what a plan says of volumes. What is begun is on record before a cloud is asked."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from headwater.errors import HeadwaterError, Throttled, Transient
from headwater.planning.actions import Action, Attach, Discard, Retag, VolumeAction
from headwater.reconcile.claims import Claim, claim, claims
from headwater.reconcile.depot import Depot
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock, Clouds
from headwater.topology.digests import digest
from headwater.topology.machines import Machine
from headwater.topology.volumes import Volume, VolumeKey, VolumeOrder, VolumeTags, volume_name

DEADLINE = 300.0
"""Seconds for one call of a cloud."""
Done = tuple[Action, HeadwaterError | None]


@dataclass(frozen=True, slots=True)
class Furnishing:
    installation: str
    clouds: Clouds
    ledger: Ledger
    depot: Depot
    clock: Clock

    async def carry_out(self, actions: Iterable[Action]) -> list[Done]:
        """Try every one that is about volumes; those of a machine one after the other."""
        mine = [action for action in actions if isinstance(action, VolumeAction)]
        ordered = sorted(mine, key=lambda action: action.key)
        groups = [list(each) for _, each in groupby(ordered, key=lambda action: action.key)]
        if not groups:
            return []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._in_turn(each)) for each in groups]
        return [done for task in tasks for done in task.result()]

    async def look_after(self, ended: Iterable[Machine]) -> None:
        """What these machines have let go may be wanted at once."""
        clouds = {machine.id.cloud for machine in ended if self._devices(machine)}
        for cloud in sorted(clouds):
            await self.depot.refresh(cloud)

    async def _in_turn(self, actions: Iterable[VolumeAction]) -> list[Done]:
        return [(action, await self._attempt(self._do(action))) for action in actions]

    async def _do(self, action: VolumeAction) -> None:
        match action:
            case Attach():
                await self._attach(action)
            case Retag(volume, tags):
                await self.clouds.retag_volume(volume, tags)
                self.depot.put(replace(volume, tags=tags))
            case Discard(volume):
                await self._discard(action)

    async def _attempt(self, call: Awaitable[None]) -> HeadwaterError | None:
        try:
            async with asyncio.timeout(DEADLINE):
                await call
        except HeadwaterError as error:
            return error
        except TimeoutError:
            return Transient(f"no answer of the cloud within {DEADLINE:.0f} s")
        return None

    async def _attach(self, action: Attach) -> None:
        """A volume that is still being made is attached when it is there."""
        volume = action.fitting.volume or await self._create(action)
        if volume.is_free:
            taken = self._devices(action.machine)
            self.depot.put(await self.clouds.attach_volume(volume, action.machine, taken))

    def _devices(self, machine: Machine) -> frozenset[str]:
        there = (
            volume
            for volume in self.depot.volumes(machine.key.deployment)
            if (volume.id.cloud, volume.machine) == (machine.id.cloud, machine.id.id)
        )
        return frozenset(device for volume in there for device in volume.devices)

    async def _create(self, action: Attach) -> Volume:
        key, cloud = action.volume, action.machine.id.cloud
        before = claims(self.ledger, key.instance.deployment).get(key, Claim(cloud))
        number = before.number + bool(before.id)  # that one is gone, and must not answer
        begun = Claim(cloud, since=self.clock(), number=number)
        claim(self.ledger, key, begun)
        try:
            made = await self.clouds.create_volume(self._order(action, begun))
        except HeadwaterError as error:
            if isinstance(error, Throttled) or not isinstance(error, Transient):
                claim(self.ledger, key, replace(begun, since=None))
            raise
        claim(self.ledger, key, replace(begun, id=made.id.id, since=None))
        self.depot.put(made)
        return made

    def _order(self, action: Attach, begun: Claim) -> VolumeOrder:
        key, spec = action.volume, action.fitting.spec
        return VolumeOrder(
            name=volume_name(key),
            token=self._token(key, begun, action.machine),
            tags=VolumeTags(self.installation, key, spec.retain),
            size=spec.size,
            machine=action.machine,
        )

    def _token(self, key: VolumeKey, begun: Claim, machine: Machine) -> str:
        """The same at every attempt for this machine; another after a volume was deleted."""
        return digest([self.installation, "volume", str(key), begun.number, str(machine.id)])

    async def _discard(self, action: Discard) -> None:
        volume = action.volume
        if action.quarantine:
            tags = replace(volume.tags, ended=self.clock())
            await self.clouds.retag_volume(volume, tags)
            self.depot.put(replace(volume, tags=tags))
            return
        await self.delete(volume)

    async def delete(self, volume: Volume) -> None:
        """Raises HeadwaterError."""
        await self.clouds.delete_volume(volume)
        self.depot.deleted(volume.id)
        told = claims(self.ledger, volume.key.instance.deployment).get(volume.key)
        if told is not None and told.id == volume.id.id:
            gone = volume.key.instance.deployment not in self.ledger.runs
            next_one = replace(told, id="", number=told.number + 1)
            claim(self.ledger, volume.key, None if gone else next_one)
