"""Machines as they are ordered from a cloud, and as a cloud lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from headwater.manifests.resolved import Size
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.sizes import Offer


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """All that cannot be changed on a running machine: a difference here means a replacement."""

    cloud: str
    image: str
    image_id: str
    size: Size
    public: bool = True
    open: tuple[str, ...] = ()
    login_user: str = "root"
    platform: str = "linux"


class MachineState(Enum):
    """A cloud's own states, told by what we can do with such a machine."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    STOPPING = "stopping"
    """On its way out. A machine that is gone is not listed at all."""
    UNKNOWN = "unknown"
    """The cloud does not say: neither healthy nor a reason to act."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What a machine of ours carries at its cloud: it makes the cloud's listing enough to go on."""

    installation: str
    key: InstanceKey
    incarnation: int
    machine_digest: str
    revision: str
    protect: bool = False
    orphan: bool = False
    """What the manifest said when the machine was made, for when manifest and journal are lost."""
    size: Size = field(default_factory=Size)
    """What was asked for, so that quotas count machines that no manifest speaks of any more."""


def machine_name(key: InstanceKey, incarnation: int) -> str:
    """What the machine is called at its cloud."""
    suffix = "" if incarnation == 1 else f"-r{incarnation}"
    return f"{key.deployment}-{key.node}-{key.index}{suffix}"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of ours, as listed by its cloud."""

    id: MachineId
    name: str
    tags: Tags
    state: MachineState
    address: str | None = None
    """Where it answers; None until the cloud says."""
    port: int = 22
    host_key: str | None = None
    """The public host key in OpenSSH form (`ssh-ed25519 AAAA...`), told out of band."""
    one_time: bool = False
    """The host key came with the creation data: the first contact replaces it."""
    created: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the driver knows besides, for people: isolation level, region, zone."""
    inside: str | None = None
    """Where other machines reach it; None where that is the same address."""

    @property
    def key(self) -> InstanceKey:
        return self.tags.key

    @property
    def fault(self) -> str:
        """What is wrong with it, in its cloud's words; empty where these are lacking."""
        return self.facts.get("fault", "")

    def told(self, what: str) -> str:
        """With the cloud's words for it."""
        return f"{what}: {self.fault}" if self.fault else what

    @property
    def is_reachable(self) -> bool:
        """Up, and its cloud has told where it answers and which host key is believed."""
        told = self.address is not None and self.host_key is not None
        return self.state is MachineState.RUNNING and told


@dataclass(frozen=True, slots=True)
class Listing:
    """One look at one account. Incomplete means: what is missing here may well exist."""

    cloud: str
    machines: tuple[Machine, ...]
    complete: bool
    unknown: int = 0
    """Machines in the account that are not ours: counted, never touched."""
    error: str = ""
    """Why it is incomplete, in words for people."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One call that makes equal machines of a node, and that is only ever repeated as it was."""

    token: str
    """Covers everything that the call says: another set, another token."""
    members: tuple[tuple[int, int], ...]
    """(index, incarnation), in launch order."""
    revision: str
    protect: bool = False
    orphan: bool = False
    """What the machines' tags say, whatever holds when the call is repeated."""


@dataclass(frozen=True, slots=True)
class CreateOrder:
    """One machine to make. `name` and `token` are the same at every attempt (idempotency)."""

    name: str
    token: str
    """For a cloud that makes machines one by one; `batch` has the one of a whole call."""
    spec: MachineSpec
    tags: Tags
    authorized_key: str
    """The public login key in OpenSSH form."""
    batch: Batch | None = None
    """The call that makes it together with its equals, where the cloud can."""
    zone: str = ""
    """Where it must be to have its volumes; empty where that is no matter."""


class Ability(Enum):
    """What one driver can do and another cannot."""

    TAGS = "tags at creation"
    TOKENS = "idempotency tokens"
    """A create that is repeated with its token makes no second machine."""
    USER_DATA = "user data"
    BATCH = "creation of equal machines in one call"
    ENDS = "ending of machines in one call"
    PORTS = "open ports"
    IMAGES = "images of machines"
    VOLUMES = "volumes"
    STOP = "stop and start"
    PRICES = "prices"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cloud can do, asked when planning."""

    abilities: frozenset[Ability] = frozenset({Ability.TAGS, Ability.TOKENS, Ability.PORTS})
    lag: float = 0.0
    """Seconds for which a listing may lack what was just made, and show what was just ended."""
    packages: bool = True
    """Packages can be installed on its machines."""
    isolated_hosts_file: bool = True
    """Machines have an /etc/hosts of their own."""
    description: str = ""
    """One line for people: driver and, for the embedded cloud, the isolation level."""
    sizes: tuple[Offer, ...] | None = None
    """What it sells, as far as is known without asking for more. None: it sells nothing, machines
    are as large as they ask to be.
    """

    @property
    def idempotent(self) -> bool:
        return Ability.TOKENS in self.abilities
