"""What our machines carry at their cloud: text keys and values, as every cloud can keep them."""

import re
from collections.abc import Mapping

from headwater.manifests.resolved import Size
from headwater.topology.batches import read, written
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Batch, Tags, machine_name

INSTALLATION = "headwater:installation"
CLOUD = "headwater:cloud"
"""Which Cloud manifest a machine was made for, where several may share an account."""
DEPLOYMENT = "headwater:deployment"
NODE = "headwater:node"
INDEX = "headwater:index"
INCARNATION = "headwater:incarnation"
MACHINE_DIGEST = "headwater:machine-digest"
REVISION = "headwater:revision"
SAFETY = "headwater:safety"
"""`protect`, `orphan` or both, with a space between; absent where it would be empty."""
SIZE = "headwater:size"
"""What was asked for: `name=m5.large`, or `cpus=4 memory=8589934592 disk=0` in part."""
MEMBERS = "headwater:members"
"""In place of index and incarnation, where one call has made several machines."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def to_metadata(tags: Tags) -> dict[str, str]:
    safety = {"protect": tags.protect, "orphan": tags.orphan}
    said = " ".join(word for word, holds in safety.items() if holds)
    return {
        INSTALLATION: tags.installation,
        DEPLOYMENT: tags.key.deployment,
        NODE: tags.key.node,
        INDEX: str(tags.key.index),
        INCARNATION: str(tags.incarnation),
        MACHINE_DIGEST: tags.machine_digest,
        REVISION: tags.revision,
        **({SAFETY: said} if said else {}),
        **({SIZE: size} if (size := _size_written(tags.size)) else {}),
    }


def to_batch_metadata(tags: Tags, batch: Batch) -> dict[str, str]:
    """What all machines of a call carry; `tags` are those of any of them."""
    metadata = to_metadata(tags)
    if len(batch.members) > 1:
        del metadata[INDEX], metadata[INCARNATION]
        metadata[MEMBERS] = written(batch.members)
    return metadata


def of_member(metadata: Mapping[str, str], place: int | None) -> dict[str, str]:
    """One machine's own, by its place in the call that made it."""
    members = read(metadata.get(MEMBERS, ""))
    if not members or place is None or not 0 <= place < len(members):
        return dict(metadata)
    index, incarnation = members[place]
    return {**metadata, INDEX: str(index), INCARNATION: str(incarnation)}


def from_metadata(metadata: Mapping[str, object], installation: str) -> Tags | None:
    """None for a machine that is not ours, or that says so in a way that we never wrote."""
    if metadata.get(INSTALLATION) != installation:
        return None
    deployment, node = metadata.get(DEPLOYMENT), metadata.get(NODE)
    index, incarnation = number(metadata.get(INDEX)), number(metadata.get(INCARNATION))
    digest, revision = metadata.get(MACHINE_DIGEST), metadata.get(REVISION)
    if not (isinstance(deployment, str) and deployment and isinstance(node, str) and node):
        return None
    if not (isinstance(digest, str) and isinstance(revision, str)):
        return None
    if index is None or index < 1 or incarnation is None:
        return None
    key = InstanceKey(deployment, node, index)
    safety = str(metadata.get(SAFETY, "")).split()
    return Tags(
        installation,
        key,
        incarnation,
        digest,
        revision,
        protect="protect" in safety,
        orphan="orphan" in safety,
        size=_size(str(metadata.get(SIZE, ""))),
    )


def name_of(metadata: Mapping[str, str]) -> str:
    """The machine's own, where machines of one call share what their cloud calls them."""
    found = from_metadata(metadata, metadata.get(INSTALLATION, ""))
    return machine_name(found.key, found.incarnation) if found else ""


def _size_written(size: Size) -> str:
    if size.name is not None:
        return f"name={size.name}"
    needs = {"cpus": size.cpus, "memory": size.memory, "disk": size.disk}
    return " ".join(f"{need}={amount}" for need, amount in needs.items() if amount is not None)


def _size(text: str) -> Size:
    """What cannot be read asks for nothing."""
    if text.startswith("name="):
        return Size(name=text.removeprefix("name="))
    needs = dict(part.split("=", 1) for part in text.split() if "=" in part)
    cpus, memory, disk = (number(needs.get(need)) for need in ("cpus", "memory", "disk"))
    return Size(cpus, memory, disk)


def number(value: object) -> int | None:
    """Only in the form that we write: no sign, no leading zero, no other digits."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    return None
