"""What a machine is told to do: the recipes of one instance, in order."""

from dataclasses import dataclass

from headwater.manifests.resolved import CommandCheck, HttpCheck, TcpCheck
from headwater.topology.keys import InstanceKey, MachineId

LONGEST_ANSWER = 10.0
"""Seconds that a check waits for an answer, where the interval is not shorter."""


VOLUMES = "volumes"
"""The step that mounts them, the first of all; what is mounted is known with the machine."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume that is attached, as its machine finds and mounts it."""

    volume: str
    """Its id at the cloud."""
    name: str
    path: str
    devices: tuple[str, ...]
    """Names that it may have on the machine; the first that exists is it. A folder is bound."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the agent runs: a script, packages to install, or volumes to mount."""

    name: str
    """`volumes`, `pre-install`, `packages`, `post-install` or `deploy`."""
    origin: str
    """The component that defines it."""
    script: str = ""
    packages: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold once the context has succeeded; the agent asks it again and again."""

    digest: str
    """Of all the rest."""
    asks: HttpCheck | TcpCheck | CommandCheck
    interval: float
    """Seconds from one question to the next."""
    failures: int
    """In a row; then the machine is unhealthy."""

    @property
    def timeout(self) -> float:
        """Seconds for one answer."""
        return min(self.interval, LONGEST_ANSWER)


@dataclass(frozen=True, slots=True)
class Context:
    """A whole contextualisation. The agent runs each id once, whatever happens to the line."""

    id: str
    steps: tuple[Step, ...]
    environment: tuple[tuple[str, str], ...] = ()
    timeout: float = 1800.0
    """Seconds for all steps together; then what runs is stopped and the context fails."""
    platform: str = "linux"
    authorized_keys: tuple[str, ...] = ()
    """Operators' public keys in OpenSSH form."""
    check: Check | None = None
    """Travels beside the recipes: another one runs nothing again."""


@dataclass(frozen=True, slots=True)
class Task:
    """Work beside the contextualisation: a hook, or the report. The agent runs each id once."""

    id: str
    steps: tuple[Step, ...]
    environment: tuple[tuple[str, str], ...] = ()
    timeout: float = 300.0
    """Seconds for all steps together."""
    collects: bool = False
    """What lies in the report directory afterwards is sent, whatever became of the steps."""


@dataclass(frozen=True, slots=True)
class Host:
    """A line of the deployment's hosts file: `address fqdn name`."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where and as whom a machine is reached, and which host key is believed."""

    machine: MachineId
    key: InstanceKey
    address: str
    port: int
    user: str
    host_key: str
    """Empty before the first contact with a machine that was given a one-time key."""
    one_time: str = ""
    """The key of its creation data: believed until the machine has answered with `host_key`."""
    inside: str = ""
    """Its address to itself and to other machines, where that is another one."""
