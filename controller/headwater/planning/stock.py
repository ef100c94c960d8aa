"""What there is of a deployment's volumes, as one value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from headwater.topology.volumes import Volume, VolumeId, VolumeKey, VolumeState


@dataclass(frozen=True, slots=True)
class Stock:
    volumes: Mapping[VolumeKey, tuple[Volume, ...]] = field(default_factory=dict)
    """Ours, of this deployment, from every cloud that was listed (`by_key`)."""
    limbo: frozenset[VolumeKey] = frozenset()
    """Those that have been missing from one listing only."""
    known: frozenset[VolumeId] = frozenset()
    """Those that the ledger has: what it does not have is a leak unless it is wanted."""
    doubts: Mapping[VolumeKey, datetime] = field(default_factory=dict)
    """Creations without an answer, at clouds that would not know a repeated order."""
    quarantine: timedelta = timedelta()
    """How long an ended volume is kept."""

    def of(self, key: VolumeKey) -> Volume | None:
        mine = self.volumes.get(key)
        return mine[0] if mine else None

    @property
    def doubles(self) -> tuple[Volume, ...]:
        """Further ones under the same key: nobody knows what is on them."""
        return tuple(volume for mine in self.volumes.values() for volume in mine[1:])

    @property
    def leaving(self) -> tuple[Volume, ...]:
        """What goes with its instance, and has not been ended yet."""
        return tuple(
            volume
            for volume, *_ in self.volumes.values()
            if not (volume.tags.retain or volume.tags.ended) and volume.id in self.known
        )


def by_key(volumes: Iterable[Volume]) -> dict[VolumeKey, tuple[Volume, ...]]:
    """Of several under one key, the one that is in use comes first, or else the oldest."""
    grouped: dict[VolumeKey, list[Volume]] = {}
    for volume in volumes:
        grouped.setdefault(volume.key, []).append(volume)
    return {key: tuple(sorted(mine, key=_preference)) for key, mine in grouped.items()}


def _preference(volume: Volume) -> tuple[object, ...]:
    used = volume.state is VolumeState.ATTACHED
    return (not used, volume.created is None, volume.created, volume.id)
