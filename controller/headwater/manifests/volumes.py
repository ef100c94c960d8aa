"""The volumes of a component, with those that it inherits."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from headwater.manifests.component import Volume
from headwater.manifests.quantities import size_bytes
from headwater.manifests.resolved import VolumeSpec

if TYPE_CHECKING:
    from headwater.manifests.inheritance import FlatComponent


def joined(inherited: Iterable[Volume], own: Iterable[Volume]) -> tuple[Volume, ...]:
    """By name; what is written twice in one component stays twice, for `clash` to tell."""
    own = tuple(own)
    names = {volume.name for volume in own}
    return (*(volume for volume in inherited if volume.name not in names), *own)


def clash(volumes: Iterable[Volume]) -> str:
    """What two of them have in common and must not; empty where nothing is."""
    volumes = tuple(volumes)
    names = Counter(volume.name for volume in volumes)
    paths = Counter(volume.mount_path for volume in volumes)
    for name, count in names.items():
        if count > 1:
            return f"volume '{name}' is defined {count} times"
    for path, count in paths.items():
        if count > 1:
            return f"{count} volumes are mounted at {path}"
    return ""


def mounted(flat: "FlatComponent") -> tuple[VolumeSpec, ...]:
    """As wanted; what is mounted below another volume comes after it."""
    specs = (
        VolumeSpec(each.name, size_bytes(each.size), each.mount_path, each.retain)
        for each in flat.volumes
    )
    return tuple(sorted(specs, key=lambda spec: (spec.path.split("/"), spec.name)))
