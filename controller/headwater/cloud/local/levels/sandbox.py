"""Level `sandbox`: own users, mounts, processes and host name; no root on this host needed.

The host's /usr is seen read-only. Files of /etc are copies: an ordinary user cannot overlay them,
since the host's root is not mapped into the machine.
"""

import shutil
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from headwater.cloud.local import processes
from headwater.cloud.local.addresses import listen_on_loopback
from headwater.cloud.local.layout import Layout
from headwater.cloud.local.levels import holder
from headwater.cloud.local.levels.shape import Command, Place, login_environment
from headwater.cloud.local.levels.template import Template
from headwater.cloud.local.levels.tree import (
    VOLUMES,
    bind_devices,
    bind_volumes,
    boot_mounts,
    lay_hosts,
    link_programs,
    own_folders,
    unbind_volumes,
)
from headwater.cloud.local.record import Holder, Record

_UNSHARE = ("--user", "--map-root-user", "--mount", "--pid", "--uts", "--ipc")
_ENTER = ("-U", "--preserve-credentials", "-m", "-u", "-i", "-p")

_ETC_FOLDERS = ("ssl", "alternatives", "pki", "crypto-policies", "ca-certificates")
"""Bound, not copied: the copies would cost more than all the rest of a machine."""


class SandboxLevel:
    name = "sandbox"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._template = Template(layout.template)

    def reserve(self, record: Record, taken: Collection[str]) -> Place:
        listener = listen_on_loopback(self._layout.root, record.address, taken)
        address, port = listener.getsockname()
        return Place(address, port, listener)

    def lay(self, record: Record) -> None:
        tree = self._layout.tree(record.id)
        own_folders(tree, ("etc", "usr", "var/lib", "var/log", "var/tmp", "opt", "srv"))
        programs = link_programs(tree)
        for each in self._template.etc():
            shutil.copyfile(each, tree / "etc" / each.name)
        lay_hosts(tree / "etc")
        bound = [Path("/etc", name) for name in _ETC_FOLDERS if Path("/etc", name).is_dir()]
        for each in bound:
            (tree / "etc" / each.name).mkdir()
        lines = boot_mounts(tree)
        lines.append(holder.mount_line(self._template.dev(), tree / "dev", "none", "bind,ro"))
        lines.extend(bind_devices(tree))
        lines.append(bind_volumes(self._layout.attached(record.id), tree))
        for each in (Path("/usr"), *programs, *bound):
            target = tree / each.relative_to("/")
            lines.append(holder.mount_line(each, target, "none", "rbind,ro"))
        self._fstab(record).write_text("".join(lines))

    def boot(self, record: Record) -> Holder:
        tree = self._layout.tree(record.id)
        return holder.start(_UNSHARE, tree, self._fstab(record), record)

    def listener(self, record: Record, place: Place) -> socket.socket:
        del record
        if place.listener is None:
            raise ValueError("a place on the host's network comes with its socket")
        return place.listener

    def command(self, record: Record, argv: Sequence[str]) -> Command:
        if record.holder is None:
            raise ValueError(f"machine {record.id} was not started")
        entered = holder.enter(record.holder, _ENTER, argv)
        return Command(entered, login_environment("/root"), enters=True)

    def device(self, record: Record, volume: str) -> str:
        del record  # the same on every machine
        return f"/{VOLUMES}/{volume}"

    def alive(self, record: Record) -> bool:
        return record.holder is not None and holder.alive(record.holder)

    def pids(self, record: Record) -> list[int]:
        return processes.in_namespace(record.holder.init) if record.holder else []

    def cut(self, record: Record) -> None:
        holder.end(record.holder, self._layout.tree(record.id))

    def clear(self, record: Record) -> None:
        unbind_volumes(self._layout.attached(record.id))

    def _fstab(self, record: Record) -> Path:
        return self._layout.machine(record.id) / "fstab"
