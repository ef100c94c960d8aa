"""What our volumes carry at their cloud: text keys and values, as machines do."""

from collections.abc import Mapping
from datetime import datetime

from headwater.cloud.tags import CLOUD, DEPLOYMENT, INDEX, INSTALLATION, NODE, number
from headwater.topology.keys import InstanceKey
from headwater.topology.volumes import VolumeKey, VolumeTags

VOLUME = "headwater:volume"
RETAIN = "headwater:retain"
"""`true` or `false`."""
ENDED = "headwater:ended"
"""ISO 8601; empty while somebody wants it. (Not every cloud can take a tag away.)"""


def to_metadata(tags: VolumeTags, cloud: str) -> dict[str, str]:
    instance = tags.key.instance
    return {
        INSTALLATION: tags.installation,
        CLOUD: cloud,
        DEPLOYMENT: instance.deployment,
        NODE: instance.node,
        INDEX: str(instance.index),
        VOLUME: tags.key.name,
        RETAIN: "true" if tags.retain else "false",
        ENDED: tags.ended.isoformat() if tags.ended else "",
    }


def from_metadata(
    metadata: Mapping[str, object], installation: str, cloud: str
) -> VolumeTags | None:
    """None for a volume that is not ours, or that says so in a way that we never wrote.

    What says neither that it goes nor that it stays, stays.
    """
    if metadata.get(INSTALLATION) != installation or metadata.get(CLOUD) != cloud:
        return None
    deployment, node, name = (str(metadata.get(key) or "") for key in (DEPLOYMENT, NODE, VOLUME))
    index = number(metadata.get(INDEX))
    if not (deployment and node and name and index):
        return None
    key = VolumeKey(InstanceKey(deployment, node, index), name)
    retain = metadata.get(RETAIN) != "false"
    return VolumeTags(installation, key, retain, _moment(metadata.get(ENDED)))


def _moment(said: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(said or ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
