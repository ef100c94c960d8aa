"""Volumes: made once for each instance, on one machine at a time, and never lost by accident.

A volume belongs to its instance and not to a machine: a replacement gets it when the machine
before it has let go. It ends with its instance unless it is retained, and only when it is known:
what a lost journal has forgotten is told and left alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from headwater.planning.actions import Action, Attach, Discard, Fitting, Retag, Terminate
from headwater.planning.lifecycle import is_ending
from headwater.planning.records import WorkState
from headwater.planning.seats import Seat
from headwater.planning.situation import DOUBT, Situation
from headwater.planning.stock import Stock
from headwater.topology.context import Mount
from headwater.topology.desired import InstanceSpec
from headwater.topology.keys import MachineId
from headwater.topology.volumes import Volume, VolumeKey, VolumeState

REPLUGGED = "another volume than before"


def fittings(spec: InstanceSpec, stock: Stock) -> tuple[Fitting, ...]:
    """What the instance asks for, with what there is."""
    return tuple(Fitting(each, stock.of(VolumeKey(spec.key, each.name))) for each in spec.volumes)


def obstacle(spec: InstanceSpec, situation: Situation) -> str:
    """Why no machine can be made that would have the instance's volumes; empty where one can."""
    if not spec.volumes:
        return ""
    zones = set[str]()
    for fitting in fittings(spec, situation.stock):
        volume, name = fitting.volume, fitting.spec.name
        if VolumeKey(spec.key, name) in situation.stock.limbo:
            return f"its volume {name} was missing once"
        if volume is None:
            continue
        if volume.id.cloud != spec.machine.cloud:
            where = f"at cloud {volume.id.cloud}, and cannot come to {spec.machine.cloud}"
            return f"its volume {name} is {where}: leave it there, or name another volume"
        zones |= {volume.zone} - {""}
    if len(zones) > 1:
        return f"its volumes are in different zones ({', '.join(sorted(zones))})"
    return ""


def fitted(seat: Seat, situation: Situation, held: list[str]) -> Iterator[Action]:
    """What brings the machine of a seat its volumes; what has to wait is said in `held`."""
    machine = seat.current
    if machine is None or not seat.spec.volumes or not machine.is_reachable:
        return
    for fitting in fittings(seat.spec, situation.stock):
        key = VolumeKey(seat.spec.key, fitting.spec.name)
        if why := _waits(key, fitting, seat, situation):
            held.append(f"{key.label}: {why}")
            continue
        volume = fitting.volume
        if volume is None:
            yield Attach(machine, fitting, _why_none(key, seat))
        elif volume.is_free:
            yield Attach(machine, fitting, f"its machine is {machine.id.id} now")
        if volume is not None and (wanted := _retagged(fitting, volume)):
            yield wanted


def _why_none(key: VolumeKey, seat: Seat) -> str:
    told = seat.record.mounts if seat.record else ()
    return "repair: the volume is gone" if any(m.name == key.name for m in told) else "new"


def _waits(key: VolumeKey, fitting: Fitting, seat: Seat, situation: Situation) -> str:
    """Why the volume cannot be brought now; empty where it can, or is there."""
    volume, stock = fitting.volume, situation.stock
    if key in stock.limbo:
        return "it was missing once; looking again"
    if volume is None:
        since = stock.doubts.get(key)
        doubtful = since is not None and situation.now - since < DOUBT
        return "its creation has had no answer; looking again" if doubtful else ""
    return _state_of(volume, seat)


def _state_of(volume: Volume, seat: Seat) -> str:
    """Why the machine of the seat cannot be given it now."""
    if volume.id.cloud != seat.spec.machine.cloud:
        return f"it is at cloud {volume.id.cloud}, and cannot come to {seat.spec.machine.cloud}"
    if volume.state is VolumeState.FAILED:
        return f"its cloud says that {volume.id.id} has failed: look there, or delete it"
    if volume.state in {VolumeState.CREATING, VolumeState.CHANGING}:
        return f"it is {volume.state.value}"
    if volume.state is VolumeState.ATTACHED and not _is_at(volume, seat):
        return f"{volume.machine} still has it"
    return ""


def _is_at(volume: Volume, seat: Seat) -> bool:
    return seat.current is not None and seat.current.id == MachineId(
        volume.id.cloud, volume.machine
    )


def _retagged(fitting: Fitting, volume: Volume) -> Retag | None:
    """Wanted again, or to survive from now on, or not any more."""
    tags = replace(volume.tags, retain=fitting.spec.retain, ended=None)
    if tags == volume.tags:
        return None
    if volume.tags.ended is not None:
        return Retag(volume, tags, "its instance is back")
    return Retag(volume, tags, "retained" if tags.retain else "not retained any more")


def unplugged(seat: Seat, situation: Situation) -> bool:
    """Its machine lacks a volume: no recipe may begin."""
    return any(
        each.volume is None
        or each.volume.state is not VolumeState.ATTACHED
        or not _is_at(each.volume, seat)
        for each in fittings(seat.spec, situation.stock)
    )


def mounts(seat: Seat, situation: Situation) -> tuple[Mount, ...]:
    """What the machine is to mount; of one that lacks something, nothing."""
    if unplugged(seat, situation):
        return ()
    return tuple(
        Mount(each.volume.id.id, each.spec.name, each.spec.path, each.volume.devices)
        for each in fittings(seat.spec, situation.stock)
        if each.volume
    )


def replugged(seat: Seat, situation: Situation) -> str:
    """Why a machine whose recipes succeeded is given them again: it has not this volume mounted."""
    record = seat.record
    if record is None or record.is_adopted or record.state is not WorkState.SUCCEEDED:
        return ""
    told = {mount.name: mount.volume for mount in record.mounts}
    there = {mount.name: mount.volume for mount in mounts(seat, situation)}
    other = [name for name, volume in there.items() if told.get(name, volume) != volume]
    return f"{REPLUGGED}: {', '.join(other)}" if other else ""


def wanted_volumes(situation: Situation) -> set[VolumeKey]:
    if situation.desired is None or is_ending(situation):
        return set()
    every = situation.desired.instances.items()
    return {VolumeKey(key, each.name) for key, spec in every for each in spec.volumes}


def departures(situation: Situation) -> Iterator[Discard]:
    """What nobody asks for any more, and no machine has."""
    stock = situation.stock
    if not stock.volumes:
        return
    wanted = wanted_volumes(situation)
    for volume in stock.leaving:
        if volume.key not in wanted and volume.is_free:
            yield Discard(volume, _why_gone(volume, situation), stock.quarantine)


def _why_gone(volume: Volume, situation: Situation) -> str:
    desired, instance = situation.desired, volume.key.instance
    if desired is None:
        return "the deployment is no longer in the repository"
    if is_ending(situation) or instance not in desired.instances:
        return f"its instance {instance.instance} is gone"
    return f"{instance.node} has no volume {volume.key.name} any more"


def with_volumes(actions: Iterable[Action], situation: Situation) -> Iterator[Action]:
    """The ends of machines with the volumes that are lost by them, which are ended afterwards."""
    leaving = situation.stock.leaving
    wanted = wanted_volumes(situation) if leaving else set()
    for action in actions:
        if leaving and isinstance(action, Terminate):
            lost = (v for v in leaving if v.key.instance == action.key and v.key not in wanted)
            yield replace(action, volumes=tuple(lost))
        else:
            yield action
