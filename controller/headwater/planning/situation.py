"""All that a decision depends on, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from headwater.planning.records import Record, Run, TaskMemory
from headwater.planning.room import Room
from headwater.planning.stock import Stock
from headwater.planning.waits import Wait
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine

DOUBT = timedelta(seconds=60)
"""How long what was made may exist without being listed (eventual consistency)."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the guard weighs beside the one deployment."""

    instances: int = 0
    """Machines of ours, of all deployments."""
    defined: int = 1
    """Deployments that the revision defines."""
    removed: frozenset[str] = frozenset()
    """Deployments that went with the same revision as this one, itself included."""
    lost: int = 0
    """Instances that the revision takes away, of all the deployments that it keeps."""


@dataclass(frozen=True, slots=True)
class Situation:
    deployment: str
    desired: Desired | None
    """None: the manifest is gone, and everything goes with it."""
    machines: tuple[Machine, ...]
    """Ours, of this deployment, from every cloud that was listed."""
    run: Run
    now: datetime
    incomplete: str = ""
    """Why the listing may lack machines; empty when it is complete."""
    limbo: frozenset[InstanceKey] = frozenset()
    """Instances whose machine has been missing from one listing only."""
    records: Mapping[MachineId, Record] = field(default_factory=dict)
    inputs: Mapping[InstanceKey, Mapping[str, str]] = field(default_factory=dict)
    """Referenced inputs as they are at present, where they are known."""
    incarnations: Mapping[InstanceKey, int] = field(default_factory=dict)
    """The highest incarnation ever given out."""
    ended: Mapping[InstanceKey, int] = field(default_factory=dict)
    """The highest incarnation that we ended, or that a person has accepted as gone."""
    problems: tuple[str, ...] = ()
    """What the clouds cannot do of what the manifest asks."""
    unavailable: tuple[str, ...] = ()
    """Secrets that the manifest names and the controller has not."""
    replacements: Mapping[InstanceKey, tuple[datetime, ...]] = field(default_factory=dict)
    """When instances were replaced for their health, oldest first."""
    doubts: Mapping[InstanceKey, datetime] = field(default_factory=dict)
    """Creations without an answer, at clouds that would not know a repeated order."""
    fleet: Fleet = Fleet()
    approvals: frozenset[str] = frozenset()
    """Digests that people have approved, in commits or by `headwater approve`."""
    upgraded: bool = False
    """Another version of Headwater made the last plan."""
    suspended: str = ""
    """Why the deployment is suspended; empty when it is not."""
    room: Mapping[str, Room] = field(default_factory=dict)
    """How much more each cloud with a quota may hold."""
    tasks: TaskMemory = field(default_factory=TaskMemory)
    waits: tuple[Wait, ...] = ()
    """Other deployments that come first."""
    stock: Stock = field(default_factory=Stock)

    @property
    def is_gone(self) -> bool:
        """Nobody asks for it, and every cloud has told twice that nothing is there."""
        unsure = self.machines or self.limbo or self.incomplete or self.stock.limbo
        left = self.stock.leaving and not self.run.orphan
        return self.desired is None and not (unsure or left)
