"""All clouds of the manifests, as the loop's Clouds."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from headwater.cloud.account import Account
from headwater.cloud.threads import Pool
from headwater.errors import Stalled
from headwater.manifests.resolved import Quota, ResolvedCloud
from headwater.topology.machines import Capabilities, CreateOrder, Listing, Machine, MachineSpec
from headwater.topology.sizes import Offer
from headwater.topology.volumes import Volume, VolumeListing, VolumeOrder, VolumeTags

_PATIENCE = 10.0
"""Seconds that a new revision waits for its clouds to tell what they can do."""


class Gateway:
    """What accounts keep on this host is below `directory`.

    `local/`: machines of the embedded cloud. `secrets/NAME.toml`: credentials, as arguments of
    the driver, for Cloud manifests to name.

    Who only looks is no `keeper`: it puts nothing right of what it sees.
    """

    def __init__(
        self,
        installation: str,
        directory: Path,
        pool: Pool = ThreadPoolExecutor,
        *,
        keeper: bool = True,
    ) -> None:
        self._keeper = keeper
        self._installation = installation
        self._directory = directory
        self._pool = pool
        self._accounts: dict[str, Account] = {}

    async def configure(self, clouds: Mapping[str, ResolvedCloud]) -> None:
        """An account whose definition is unchanged keeps its threads, drivers and listing."""
        for name, account in list(self._accounts.items()):
            if name not in clouds or _essence(account.cloud) != _essence(clouds[name]):
                self._accounts.pop(name).close()
        for name, cloud in clouds.items():
            if name not in self._accounts:
                self._accounts[name] = Account(
                    cloud, self._installation, self._directory, self._pool, keeper=self._keeper
                )
        probes = [asyncio.create_task(account.probe()) for account in self._accounts.values()]
        if probes:
            await asyncio.wait(probes, timeout=_PATIENCE)

    async def close(self) -> None:
        for account in self._accounts.values():
            account.close()
        self._accounts.clear()

    def capabilities(self, cloud: str) -> Capabilities:
        return self._account(cloud).capabilities

    async def observe(self, cloud: str) -> Listing:
        try:
            account = self._account(cloud)
        except Stalled as e:
            return Listing(cloud, (), complete=False, error=str(e))
        return await account.observe()

    async def limits(self, cloud: str) -> Mapping[str, int]:
        """The account's own, by the cloud's words. Raises HeadwaterError."""
        return await self._account(cloud).limits()

    async def offers(self, cloud: str, names: Collection[str]) -> Sequence[Offer]:
        """Those of these sizes that there are. Raises HeadwaterError."""
        return await self._account(cloud).offers(names)

    async def image(self, spec: MachineSpec) -> str:
        """What its cloud knows of it. Raises HeadwaterError; Stalled where there is none."""
        return await self._account(spec.cloud).image(spec)

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        answers: list[Machine | Exception | None] = [None] * len(orders)
        places: dict[str, list[int]] = {}
        for place, order in enumerate(orders):
            places.setdefault(order.spec.cloud, []).append(place)

        async def create(cloud: str) -> None:
            made = await self._create(cloud, [orders[place] for place in places[cloud]])
            for place, answer in zip(places[cloud], made, strict=True):
                answers[place] = answer

        async with asyncio.TaskGroup() as group:
            for cloud in places:
                group.create_task(create(cloud))
        return [answer for answer in answers if answer is not None]

    async def terminate(self, machine: Machine) -> None:
        await self._account(machine.id.cloud).terminate(machine)

    async def observe_volumes(self, cloud: str) -> VolumeListing:
        try:
            account = self._account(cloud)
        except Stalled as e:
            return VolumeListing(cloud, (), complete=False, error=str(e))
        return await account.observe_volumes()

    async def create_volume(self, order: VolumeOrder) -> Volume:
        account = self._account(order.machine.id.cloud)
        return await account.change_volumes(lambda volumes: volumes.create(order))

    async def attach_volume(
        self, volume: Volume, machine: Machine, taken: Collection[str]
    ) -> Volume:
        account = self._account(volume.id.cloud)
        return await account.change_volumes(lambda volumes: volumes.attach(volume, machine, taken))

    async def retag_volume(self, volume: Volume, tags: VolumeTags) -> None:
        account = self._account(volume.id.cloud)
        await account.change_volumes(lambda volumes: volumes.retag(volume, tags))

    async def delete_volume(self, volume: Volume) -> None:
        account = self._account(volume.id.cloud)
        await account.change_volumes(lambda volumes: volumes.delete(volume))

    async def _create(
        self, cloud: str, orders: Sequence[CreateOrder]
    ) -> Sequence[Machine | Exception]:
        try:
            account = self._account(cloud)
        except Stalled as e:
            return [e] * len(orders)
        return await account.create(orders)

    def _account(self, cloud: str) -> Account:
        if cloud not in self._accounts:
            raise Stalled(f"no Cloud {cloud!r} is defined: add its manifest again, or correct it")
        return self._accounts[cloud]


def _essence(cloud: ResolvedCloud) -> ResolvedCloud:
    """What a driver depends on: the quota is checked when planning."""
    return replace(cloud, quota=Quota())
