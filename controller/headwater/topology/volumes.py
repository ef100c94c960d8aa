"""Volumes as they are ordered from a cloud, and as a cloud lists them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine


@dataclass(frozen=True, slots=True, order=True)
class VolumeKey:
    """Which volume this is, whatever machine it is attached to."""

    instance: InstanceKey
    name: str

    @property
    def label(self) -> str:
        """The name inside the deployment: `web.1/scratch`."""
        return f"{self.instance.instance}/{self.name}"

    def __str__(self) -> str:
        return f"{self.instance}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class VolumeId:
    """A volume of a cloud: the Cloud manifest's name and the provider's own id."""

    cloud: str
    id: str

    def __str__(self) -> str:
        return f"{self.cloud}:{self.id}"


class VolumeState(Enum):
    """A cloud's own states, told by what we can do with such a volume."""

    CREATING = "creating"
    AVAILABLE = "available"
    """Attached to nothing."""
    ATTACHED = "attached"
    CHANGING = "changing"
    """On its way to a machine or from one."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VolumeTags:
    """What a volume of ours carries at its cloud: it makes the cloud's listing enough to go on."""

    installation: str
    key: VolumeKey
    retain: bool = False
    ended: datetime | None = None
    """Since when nobody wants it: it is deleted when its quarantine is over."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of ours, as listed by its cloud."""

    id: VolumeId
    name: str
    tags: VolumeTags
    state: VolumeState
    size: int
    """Bytes."""
    machine: str = ""
    """The id, at the same cloud, of the machine that it is attached to or on its way to."""
    devices: tuple[str, ...] = ()
    """What it is called on that machine, where it is attached; the first that exists is it."""
    zone: str = ""
    """A part of the cloud outside of which no machine can have it; empty where there is none."""
    created: datetime | None = None

    @property
    def key(self) -> VolumeKey:
        return self.tags.key

    @property
    def is_free(self) -> bool:
        return self.state is VolumeState.AVAILABLE


@dataclass(frozen=True, slots=True)
class VolumeOrder:
    """One volume to make, where `machine` can have it."""

    name: str
    token: str
    """The same at every attempt: a repeated order makes nothing new."""
    tags: VolumeTags
    size: int
    """Bytes, at least."""
    machine: Machine


@dataclass(frozen=True, slots=True)
class VolumeListing:
    """One look at one account's volumes. Incomplete: what is missing here may well exist."""

    cloud: str
    volumes: tuple[Volume, ...]
    complete: bool
    error: str = ""
    """Why it is incomplete, in words for people."""


def volume_name(key: VolumeKey) -> str:
    """What the volume is called at its cloud."""
    instance = key.instance
    return f"{instance.deployment}-{instance.node}-{instance.index}-{key.name}"
