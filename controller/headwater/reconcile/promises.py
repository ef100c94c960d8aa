"""What a cloud promises, also of one that cannot be asked now."""

from headwater.errors import HeadwaterError
from headwater.reconcile.ports import Clouds
from headwater.topology.machines import Capabilities


def promised(clouds: Clouds, cloud: str) -> Capabilities:
    """Nothing of a cloud that cannot be used: whoever relies on a promise does without."""
    try:
        return clouds.capabilities(cloud)
    except HeadwaterError:
        return Capabilities(abilities=frozenset())
