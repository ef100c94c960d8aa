"""What the clouds hold of volumes, kept between passes.

Only accounts that are watched are asked: a controller without volumes makes no call for them.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from headwater.reconcile.ports import Clouds
from headwater.reconcile.promises import promised
from headwater.topology.volumes import Volume, VolumeId, VolumeKey, VolumeListing, VolumeState

_MOVING = frozenset({VolumeState.CREATING, VolumeState.CHANGING})


@dataclass(slots=True)
class _Account:
    listing: VolumeListing | None = None
    volumes: dict[VolumeId, Volume] = field(default_factory=dict)
    missed: dict[VolumeId, VolumeKey] = field(default_factory=dict)
    """Absent from the last complete listing, for the first time."""
    remembered: dict[VolumeId, VolumeKey] = field(default_factory=dict)
    """From before a restart, and no listing has shown them yet."""
    written: dict[VolumeId, float] = field(default_factory=dict)
    """When we made, changed or deleted these."""
    looks: int = 0
    """Complete listings so far."""
    seen: dict[VolumeId, int] = field(default_factory=dict)
    """How many there had been when a volume was seen first."""


def _now() -> float:
    return asyncio.get_running_loop().time()


class Depot:
    def __init__(self, clouds: Clouds) -> None:
        self._clouds = clouds
        self._accounts: dict[str, _Account] = {}
        self._by_deployment: dict[str, dict[VolumeId, Volume]] = {}
        self.quarantine = timedelta()
        """How long an ended volume is kept."""

    def watch(self, clouds: Iterable[str]) -> None:
        """Their volumes matter: a manifest asks for some there, or the ledger knows some."""
        for cloud in clouds:
            self._accounts.setdefault(cloud, _Account())

    def expect(self, known: Iterable[tuple[VolumeId, VolumeKey]]) -> None:
        """Volumes of before a restart: one listing without them does not make them gone."""
        for volume, key in known:
            self._accounts.setdefault(volume.cloud, _Account()).remembered[volume] = key

    def unseen(self, clouds: Iterable[str]) -> set[str]:
        """Which of them are watched and have not been listed yet."""
        watched = (cloud for cloud in clouds if cloud in self._accounts)
        return {cloud for cloud in watched if self._accounts[cloud].listing is None}

    async def refresh(self, cloud: str) -> set[str]:
        """List it anew, if it is watched. Returns the deployments whose volumes differ."""
        account = self._accounts.get(cloud)
        if account is None:
            return set()
        began, before = _now(), set(account.volumes)
        listing = await self._clouds.observe_volumes(cloud)
        changed = self._merge(account, listing, before, began)
        if account.listing is None or account.listing.complete != listing.complete:
            changed |= {volume.key.instance.deployment for volume in account.volumes.values()}
        account.listing = listing
        return changed

    def _merge(
        self, account: _Account, listing: VolumeListing, before: set[VolumeId], began: float
    ) -> set[str]:
        """`before` is what was known when the listing was asked for, at `began`."""
        oldest = min(began, _now() - promised(self._clouds, listing.cloud).lag)
        written = {id: at for id, at in account.written.items() if at >= oldest}
        account.written = written
        listed = {volume.id: volume for volume in listing.volumes}
        changed: set[str] = set()
        for id, volume in listed.items():
            account.missed.pop(id, None)
            account.remembered.pop(id, None)
            stale = written.get(id, oldest) > began or (id in written and id not in account.volumes)
            if not stale and account.volumes.get(id) != volume:
                self._put(account, volume)
                changed.add(volume.key.instance.deployment)
        if not listing.complete:
            return changed
        account.looks += 1
        lost = (before & set(account.volumes)) - set(listed) - set(written)
        missed = account.remembered | {id: self._pop(account, id).key for id in lost}
        gone = account.missed
        account.missed, account.remembered = missed, {}
        changed |= {key.instance.deployment for key in (*gone.values(), *missed.values())}
        return changed

    def _put(self, account: _Account, volume: Volume) -> None:
        account.volumes[volume.id] = volume
        account.seen.setdefault(volume.id, account.looks)
        mine = self._by_deployment.setdefault(volume.key.instance.deployment, {})
        mine[volume.id] = volume

    def _pop(self, account: _Account, id: VolumeId) -> Volume:
        volume = account.volumes.pop(id)
        deployment = volume.key.instance.deployment
        del self._by_deployment[deployment][id]
        if not self._by_deployment[deployment]:
            del self._by_deployment[deployment]
        return volume

    def put(self, volume: Volume) -> None:
        """An own write: it shows before the next listing does."""
        account = self._accounts.setdefault(volume.id.cloud, _Account())
        account.written[volume.id] = _now()
        account.missed.pop(volume.id, None)
        account.remembered.pop(volume.id, None)
        self._put(account, volume)

    def deleted(self, id: VolumeId) -> None:
        account = self._accounts.setdefault(id.cloud, _Account())
        account.written[id] = _now()
        account.missed.pop(id, None)
        if id in account.volumes:
            self._pop(account, id)

    def every(self) -> list[Volume]:
        """Of all deployments and clouds."""
        return [v for account in self._accounts.values() for v in account.volumes.values()]

    def volume(self, id: VolumeId) -> Volume | None:
        account = self._accounts.get(id.cloud)
        return account.volumes.get(id) if account else None

    def volumes(self, deployment: str) -> tuple[Volume, ...]:
        return tuple(self._by_deployment.get(deployment, {}).values())

    def limbo(self, deployment: str) -> frozenset[VolumeKey]:
        """Volumes that were missing once."""
        return frozenset(
            key
            for account in self._accounts.values()
            for key in (*account.missed.values(), *account.remembered.values())
            if key.instance.deployment == deployment
        )

    def incomplete(self, clouds: Iterable[str]) -> str:
        """Why one of these accounts may have more volumes than are known; empty if none has."""
        for cloud in sorted(clouds):
            account = self._accounts.get(cloud)
            if account is None or account.listing is None:
                return f"the volumes of cloud {cloud} have not been listed yet"
            if not account.listing.complete:
                return f"the volumes of cloud {cloud} could not be listed: {account.listing.error}"
        return ""

    @property
    def is_moving(self) -> bool:
        """Something comes, goes, or was missed: nobody tells when it is over."""
        accounts = self._accounts.values()
        unsure = any(account.missed or account.remembered for account in accounts)
        return unsure or any(volume.state in _MOVING for volume in self.every())

    def has_listed_twice(self, id: VolumeId) -> bool:
        """Two looks have shown it."""
        account = self._accounts.get(id.cloud)
        return account is not None and account.looks > account.seen.get(id, account.looks) + 1

    def counts(self, cloud: str, leaked: Iterable[VolumeId]) -> list[tuple[str, int]]:
        """By state; `ended` and `leaked` are states too."""
        account, leaks = self._accounts.get(cloud), set(leaked)
        volumes = account.volumes.values() if account else ()
        found = Counter(
            "leaked" if v.id in leaks else "ended" if v.tags.ended else v.state.value
            for v in volumes
        )
        return sorted(found.items())
