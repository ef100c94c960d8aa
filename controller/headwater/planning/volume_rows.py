"""Volumes as people see them: rows of a status, lines of a plan."""

from headwater.manifests.resolved import VolumeSpec
from headwater.planning.actions import Fitting
from headwater.planning.situation import Situation
from headwater.planning.status import VolumeStatus
from headwater.planning.volumes import wanted_volumes
from headwater.topology.volumes import Volume, VolumeKey


def remarks(situation: Situation) -> tuple[str, ...]:
    """What stays although the manifest says something else, or nothing, of it."""
    rows = volume_statuses(situation) if situation.stock.volumes else ()
    return tuple(f"{row.volume} ({row.id}) {row.message}" for row in rows if row.message)


def volume_statuses(situation: Situation) -> tuple[VolumeStatus, ...]:
    """What is wanted and what there is, by name."""
    desired = situation.desired
    if not (situation.stock.volumes or (desired and desired.volumes_at)):
        return ()
    specs = desired.instances.values() if desired else ()
    asked = {
        VolumeKey(spec.key, each.name): (each, spec) for spec in specs for each in spec.volumes
    }
    rows = [
        VolumeStatus(key.label, "missing", each.size, each.retain, cloud=spec.machine.cloud)
        for key, (each, spec) in asked.items()
        if key not in situation.stock.volumes
    ]
    wanted = wanted_volumes(situation)
    for key, (first, *others) in situation.stock.volumes.items():
        there = asked[key][0] if key in asked and key in wanted else None
        rows.append(_status(first, _other_size(first, there) if there else _kept(first, situation)))
        rows += [_status(each, "is a second volume of this name: left alone") for each in others]
    return tuple(sorted(rows, key=lambda row: (row.volume, row.id)))


def _kept(volume: Volume, situation: Situation) -> str:
    """Why it is there although nobody asks for it."""
    if volume.tags.ended is not None:
        return "is deleted when its quarantine is over"
    if volume.tags.retain:
        return "is kept (retain)"
    if volume.id not in situation.stock.known:
        return "is not known here and asked for by nobody: left alone"
    return "" if volume.is_free else f"goes when {volume.machine or 'its machine'} lets it go"


def _other_size(volume: Volume, asked: VolumeSpec) -> str:
    if volume.size >= asked.size:
        return ""
    return f"stays at {written(volume.size)}, although the manifest says {written(asked.size)}"


def _status(volume: Volume, message: str) -> VolumeStatus:
    return VolumeStatus(
        volume=volume.key.label,
        state="ended" if volume.tags.ended else volume.state.value,
        size=volume.size,
        retain=volume.tags.retain,
        id=volume.id.id,
        cloud=volume.id.cloud,
        machine=volume.machine,
        message=message,
    )


def written(size: int) -> str:
    """`50 GiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size / 1024**power:.4g} {units[power]}"


def fitting_line(fitting: Fitting, cloud: str) -> tuple[str, str]:
    """The kind of line, and what it says."""
    name, volume = fitting.spec.name, fitting.volume
    if volume is None:
        return "create", f"volume {name}, {written(fitting.spec.size)} on {cloud}"
    return "change", f"attach volume {name} ({volume.id.id})"
