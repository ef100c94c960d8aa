"""Everything that a plan can ask for."""

from dataclasses import dataclass

from headwater.manifests.resolved import RecipeKind
from headwater.topology.desired import InstanceSpec
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine


@dataclass(frozen=True, slots=True)
class Create:
    """A new machine for an instance; `replaces` tells that an outdated one serves until then."""

    spec: InstanceSpec
    incarnation: int
    reason: str
    replaces: bool = False

    @property
    def key(self) -> InstanceKey:
        return self.spec.key


@dataclass(frozen=True, slots=True)
class Contextualise:
    """Have the machine run its recipes, as generation `generation`."""

    machine: Machine
    spec: InstanceSpec
    generation: int
    reason: str

    @property
    def key(self) -> InstanceKey:
        return self.spec.key


@dataclass(frozen=True, slots=True)
class Terminate:
    machine: Machine
    reason: str

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


Action = Create | Contextualise | Terminate
"""What a plan decides, and what an approval is about."""
