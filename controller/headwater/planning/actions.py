"""Everything that a plan can ask for."""

from dataclasses import dataclass

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


Action = Create | Contextualise | Terminate
