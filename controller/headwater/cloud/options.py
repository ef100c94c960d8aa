"""Options of Cloud manifests that several of our providers have."""

from headwater.errors import Stalled
from headwater.manifests.resolved import ResolvedCloud

_SSH = 22


def ssh_port(cloud: ResolvedCloud) -> int:
    """Where its machines' SSH servers listen. Raises Stalled."""
    port = cloud.options.get("ssh_port", _SSH)
    if not isinstance(port, int) or not 0 < port < 1 << 16:
        raise Stalled(f"cloud {cloud.name!r}: option ssh_port = {port!r} is no port")
    return port
