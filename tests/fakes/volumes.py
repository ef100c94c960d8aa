"""Volumes of clouds in memory."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from headwater.errors import HeadwaterError, Transient
from headwater.topology.keys import MachineId
from headwater.topology.machines import Machine
from headwater.topology.volumes import (
    Volume,
    VolumeId,
    VolumeKey,
    VolumeListing,
    VolumeOrder,
    VolumeState,
    VolumeTags,
)


@dataclass
class FakeVolumes:
    """What goes wrong is set from outside:

    - `unlistable[cloud]`: listings are incomplete, and say this.
    - `omitted`: these exist and are missing from listings that claim to be complete.
    - `lost_answers[key]`: the next creation is made, and answered with this.
    - `slow`: what is made is `creating` until the test says otherwise.
    """

    clock: Callable[[], datetime]
    there: dict[VolumeId, Volume] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    unlistable: dict[str, str] = field(default_factory=dict)
    omitted: set[VolumeId] = field(default_factory=set)
    lost_answers: dict[VolumeKey, HeadwaterError] = field(default_factory=dict)
    slow: bool = False
    _tokens: dict[tuple[str, str], VolumeId] = field(default_factory=dict)
    _count: int = 0

    def listing(self, cloud: str) -> VolumeListing:
        self.calls["list"] += 1
        if cloud in self.unlistable:
            return VolumeListing(cloud, (), complete=False, error=self.unlistable[cloud])
        shown = (v for id, v in self.there.items() if id.cloud == cloud and id not in self.omitted)
        return VolumeListing(cloud, tuple(shown), complete=True)

    def create(self, order: VolumeOrder) -> Volume:
        self.calls["create"] += 1
        cloud = order.machine.id.cloud
        known = self.there.get(self._tokens.get((cloud, order.token), VolumeId("", "")))
        volume = known or self._make(order)
        if order.tags.key in self.lost_answers:
            raise self.lost_answers.pop(order.tags.key)
        return volume

    def attach(self, volume: Volume, machine: Machine, taken: Collection[str]) -> Volume:
        self.calls["attach"] += 1
        there = self.there.get(volume.id)
        if there is None:
            raise Transient(f"there is no {volume.id}")
        if there.machine not in {"", machine.id.id}:
            raise Transient(f"{there.machine} has {volume.id}")
        names = (f"/dev/vd{letter}" for letter in "bcdefgh")
        devices = there.devices or (next(name for name in names if name not in taken),)
        return self.put(
            replace(there, state=VolumeState.ATTACHED, machine=machine.id.id, devices=devices)
        )

    def retag(self, volume: Volume, tags: VolumeTags) -> None:
        self.calls["retag"] += 1
        self.put(replace(self.there[volume.id], tags=tags))

    def delete(self, volume: Volume) -> None:
        self.calls["delete"] += 1
        there = self.there.get(volume.id)
        if there is not None and there.machine:
            raise Transient(f"{there.machine} has {volume.id}")
        self.there.pop(volume.id, None)

    def let_go(self, machine: MachineId) -> None:
        """The machine has gone."""
        for volume in list(self.there.values()):
            if (volume.id.cloud, volume.machine) == (machine.cloud, machine.id):
                free = replace(volume, state=VolumeState.AVAILABLE, machine="", devices=())
                self.put(free)

    def put(self, volume: Volume) -> Volume:
        """It exists, or is as given from now on."""
        self.there[volume.id] = volume
        return volume

    def of(self, label: str) -> list[Volume]:
        return [volume for volume in self.there.values() if volume.key.label == label]

    def _make(self, order: VolumeOrder) -> Volume:
        self._count += 1
        cloud = order.machine.id.cloud
        volume = Volume(
            id=VolumeId(cloud, f"v-{self._count}"),
            name=order.name,
            tags=order.tags,
            state=VolumeState.CREATING if self.slow else VolumeState.AVAILABLE,
            size=order.size,
            zone=order.machine.facts.get("zone", ""),
            created=self.clock(),
        )
        self._tokens[cloud, order.token] = volume.id
        return self.put(volume)
