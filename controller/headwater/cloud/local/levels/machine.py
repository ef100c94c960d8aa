"""Level `machine`: this host's system as an image, changed at will, with an address of its own.

Needs root. Each folder of the host's system is overlaid apart, so that the layers may lie on the
same disk: an overlay's upper folder must not lie inside its lower one.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from headwater.cloud.local import processes
from headwater.cloud.local.layout import Layout
from headwater.cloud.local.levels import holder
from headwater.cloud.local.levels.gate import told_to_apt
from headwater.cloud.local.levels.network import Network, listen_inside
from headwater.cloud.local.levels.shape import (
    Command,
    LevelUnavailableError,
    Place,
    login_environment,
)
from headwater.cloud.local.levels.tree import (
    VOLUMES,
    bind_devices,
    bind_volumes,
    boot_mounts,
    lay_devices,
    lay_hosts,
    link_programs,
    own_folders,
    unbind_volumes,
)
from headwater.cloud.local.record import Holder, Record

_PORT = 22
_SYSTEM = ("usr", "etc", "var")
_UNSHARE = ("--mount", "--pid", "--uts", "--ipc", "--net")
_ENTER = ("-m", "-u", "-i", "-p", "-n")
_WITHOUT = ("setpriv", "--bounding-set", "-sys_module,-sys_rawio,-sys_time,-mknod")
"""Root in a machine is the host's root: what would reach the host's kernel is taken away."""


class MachineLevel:
    name = "machine"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._network = Network(layout.root)

    def reserve(self, record: Record, taken: Collection[str]) -> Place:
        self._refuse_hopeless()
        return Place(self._network.lease(record.id, record.address, taken), _PORT)

    def lay(self, record: Record) -> None:
        tree = self._layout.tree(record.id)
        own_folders(tree, (*_SYSTEM, "sys", "opt", "srv"))
        programs = [each.name for each in link_programs(tree)]
        lay_devices(tree / "dev")
        lines = [*boot_mounts(tree), *bind_devices(tree)]
        lines.append(bind_volumes(self._layout.attached(record.id), tree))
        lines.append(holder.mount_line("sysfs", tree / "sys", "sysfs", "ro,nosuid,nodev,noexec"))
        lines.extend(self._lay_overlay(record, name) for name in (*_SYSTEM, *programs))
        self._fstab(record).write_text("".join(lines))
        etc = self._layer(record, "etc")
        lay_hosts(etc)
        (etc / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
        if Path("/etc/resolv.conf").is_file():
            shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")

    def boot(self, record: Record) -> Holder:
        tree = self._layout.tree(record.id)
        told = told_to_apt(self._network.environment(record.address))
        held = holder.start(_UNSHARE, tree, self._fstab(record), record, told)
        try:
            self._network.connect(record.id, held.init, record.address)
        except LevelUnavailableError:
            holder.end(held, tree)
            raise
        return held

    def listener(self, record: Record, place: Place) -> socket.socket:
        if record.holder is None:
            raise ValueError(f"machine {record.id} was not started")
        self._network.open_gate()
        return listen_inside(record.holder.init, place.address, place.port)

    def command(self, record: Record, argv: Sequence[str]) -> Command:
        if record.holder is None:
            raise ValueError(f"machine {record.id} was not started")
        entered = holder.enter(record.holder, _ENTER, [*_WITHOUT, *argv])
        environment = login_environment("/root") | self._network.environment(record.address)
        return Command(entered, environment, enters=True)

    def device(self, record: Record, volume: str) -> str:
        del record  # the same on every machine
        return f"/{VOLUMES}/{volume}"

    def alive(self, record: Record) -> bool:
        return record.holder is not None and holder.alive(record.holder)

    def pids(self, record: Record) -> list[int]:
        return processes.in_namespace(record.holder.init) if record.holder else []

    def cut(self, record: Record) -> None:
        holder.end(record.holder, self._layout.tree(record.id))
        self._network.disconnect(record.id)

    def clear(self, record: Record) -> None:
        self._network.release(record.id)
        unbind_volumes(self._layout.attached(record.id))

    def _refuse_hopeless(self) -> None:
        """Say in plain words what the kernel would refuse with a number."""
        if os.geteuid():
            raise LevelUnavailableError("needs root")
        root = self._layout.root.resolve()
        for name in _SYSTEM:
            if root.is_relative_to(f"/{name}"):
                raise LevelUnavailableError(
                    f"the state directory {root} lies in /{name}, which machines overlay: "
                    "choose a state directory elsewhere"
                )
        if any(mark in str(root) for mark in ',:\\"'):
            raise LevelUnavailableError(
                f"the path {root} holds a character with a meaning to mount"
            )

    def _lay_overlay(self, record: Record, name: str) -> str:
        upper = self._layer(record, name)
        upper.mkdir(parents=True)
        shutil.copymode(f"/{name}", upper)
        work = upper.with_name(f"{name}.work")
        work.mkdir()
        options = f"lowerdir=/{name},upperdir={upper},workdir={work}"
        return holder.mount_line("overlay", self._layout.tree(record.id) / name, "overlay", options)

    def _layer(self, record: Record, name: str) -> Path:
        return self._layout.machine(record.id) / "layers" / name

    def _fstab(self, record: Record) -> Path:
        return self._layout.machine(record.id) / "fstab"
