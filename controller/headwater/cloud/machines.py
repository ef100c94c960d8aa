"""A libcloud Node, as one of our machines."""

from collections.abc import Mapping
from datetime import UTC, datetime

from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from headwater.cloud.drivers.tagging import carried
from headwater.cloud.tags import from_metadata
from headwater.topology.keys import MachineId
from headwater.topology.machines import Machine, MachineState, Tags

_STATES = {
    NodeState.RUNNING: MachineState.RUNNING,
    NodeState.STARTING: MachineState.PENDING,
    NodeState.PENDING: MachineState.PENDING,
    NodeState.REBOOTING: MachineState.PENDING,
    NodeState.RECONFIGURING: MachineState.PENDING,
    NodeState.STOPPED: MachineState.STOPPED,
    NodeState.SUSPENDED: MachineState.STOPPED,
    NodeState.PAUSED: MachineState.STOPPED,
    NodeState.STOPPING: MachineState.STOPPING,
    NodeState.TERMINATED: MachineState.STOPPING,
    NodeState.ERROR: MachineState.FAILED,
}
_FACTS = ("level", "zone", "availability", "region", "instance_type", "fault")
_SSH_PORT = 22


def is_gone(node: Node) -> bool:
    """Some clouds list a machine for an hour after its end."""
    return bool(node.state == NodeState.TERMINATED)


def tags_of(node: Node, installation: str) -> Tags | None:
    table = table_of(node, installation)
    return None if table is None else from_metadata(table, installation)


def table_of(node: Node, installation: str) -> Mapping[str, object] | None:
    """All that it carries beside its tags; None for a machine that is not ours."""
    tables = carried(node.extra)
    return next((table for table in tables if from_metadata(table, installation)), None)


def machine_of(node: Node, cloud: str, tags: Tags) -> Machine:
    extra = node.extra
    addresses = [*node.public_ips, *node.private_ips]
    host_key = extra.get("host_key")
    return Machine(
        id=MachineId(cloud, str(node.id)),
        name=str(node.name),
        tags=tags,
        state=_STATES.get(node.state, MachineState.UNKNOWN),
        address=str(addresses[0]) if addresses else None,
        inside=str(extra["inside"]) if extra.get("inside") else None,
        port=int(extra.get("ssh_port") or _SSH_PORT),
        host_key=str(host_key) if host_key else None,
        one_time=bool(extra.get("one_time")),
        created=_created(node),
        facts={name: str(extra[name]) for name in _FACTS if extra.get(name)},
    )


def _created(node: Node) -> datetime | None:
    created: object = node.created_at
    if created is None and isinstance(told := node.extra.get("created"), str):
        try:
            created = datetime.fromisoformat(told)
        except ValueError:
            return None
    if not isinstance(created, datetime):
        return None
    return created if created.tzinfo else created.replace(tzinfo=UTC)
