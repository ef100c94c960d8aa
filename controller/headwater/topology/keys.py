"""Who is who."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    """Which instance this is, whatever machine plays it. Indexes are 1..replicas."""

    deployment: str
    node: str
    index: int

    @property
    def instance(self) -> str:
        """The name inside the deployment: `wn.3`."""
        return f"{self.node}.{self.index}"

    def __str__(self) -> str:
        return f"{self.deployment}/{self.instance}"


@dataclass(frozen=True, slots=True, order=True)
class MachineId:
    """A machine of a cloud: the Cloud manifest's name and the provider's own id."""

    cloud: str
    id: str

    def __str__(self) -> str:
        return f"{self.cloud}:{self.id}"
