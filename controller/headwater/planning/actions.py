"""Everything that a plan can ask for."""

from dataclasses import dataclass
from datetime import timedelta

from headwater.manifests.resolved import RecipeKind, VolumeSpec
from headwater.topology.context import Mount
from headwater.topology.desired import InstanceSpec
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine
from headwater.topology.volumes import Volume, VolumeKey, VolumeTags


@dataclass(frozen=True, slots=True)
class Fitting:
    """A volume that an instance asks for, and the one that there is."""

    spec: VolumeSpec
    volume: Volume | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """A new machine for an instance; `replaces` tells that an outdated one serves until then."""

    spec: InstanceSpec
    incarnation: int
    reason: str
    replaces: bool = False
    fittings: tuple[Fitting, ...] = ()
    """The volumes that it is to have; they follow once it runs."""

    @property
    def key(self) -> InstanceKey:
        return self.spec.key

    @property
    def zone(self) -> str:
        """Where its volumes are; empty where they bind it to no part of the cloud."""
        zones = (each.volume.zone for each in self.fittings if each.volume)
        return next(filter(None, zones), "")


@dataclass(frozen=True, slots=True)
class Contextualise:
    """Have the machine run its recipes, as generation `generation`."""

    machine: Machine
    spec: InstanceSpec
    generation: int
    reason: str
    mounts: tuple[Mount, ...] = ()

    @property
    def key(self) -> InstanceKey:
        return self.spec.key


@dataclass(frozen=True, slots=True)
class Terminate:
    machine: Machine
    reason: str
    volumes: tuple[Volume, ...] = ()
    """What is deleted after it: volumes that do not survive their instance."""

    @property
    def key(self) -> InstanceKey:
        return self.machine.key


@dataclass(frozen=True, slots=True)
class RunTask:
    """Have the machine do something beside its contextualisation: a hook, or the report."""

    machine: Machine
    id: str
    """The same at every attempt: the machine does it once."""
    kind: RecipeKind
    reason: str
    instances: tuple[str, ...] = ()
    """Those that came, go, or went."""
    change: str = ""
    """`add`, `remove` or `replace`."""
    told: int = 0
    """The number of the live set that the machine knows afterwards; 0 where that is no matter."""
    leaves: bool = False
    """The machine goes afterwards: what runs there is stopped first."""

    @property
    def key(self) -> InstanceKey:
        return self.machine.key


@dataclass(frozen=True, slots=True)
class Attach:
    """Bring the machine its volume, which is made where there is none."""

    machine: Machine
    fitting: Fitting
    reason: str

    @property
    def key(self) -> InstanceKey:
        return self.machine.key

    @property
    def volume(self) -> VolumeKey:
        return VolumeKey(self.machine.key, self.fitting.spec.name)


@dataclass(frozen=True, slots=True)
class Retag:
    """What the volume says of itself is no more what the manifest says."""

    volume: Volume
    tags: VolumeTags
    reason: str

    @property
    def key(self) -> InstanceKey:
        return self.volume.key.instance


@dataclass(frozen=True, slots=True)
class Discard:
    """End a volume that nobody asks for: deleted at once, or after its quarantine."""

    volume: Volume
    reason: str
    quarantine: timedelta = timedelta()

    @property
    def key(self) -> InstanceKey:
        return self.volume.key.instance


VolumeAction = Attach | Retag | Discard
Action = Create | Contextualise | Terminate | VolumeAction
"""What a plan decides, and what an approval is about."""
