"""Processes that keep the namespaces of a machine, and the way into them. util-linux alone."""

import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from headwater.cloud.local import processes
from headwater.cloud.local.levels.shape import SEARCH_PATH, LevelUnavailableError
from headwater.cloud.local.record import Holder, Record

_BOOT_SECONDS = 20.0

_BOOT = r"""
set -e
read -r pid rest </proc/self/stat
hostname "$3" 2>/dev/null || echo "$3" >/proc/sys/kernel/hostname
mount -n -a -T "$2"
cd "$1"
pivot_root . .old
umount -n -l /.old
hosts=$(while IFS= read -r line; do
  case $line in *"# this machine") ;; *) printf '%s\n' "$line" ;; esac
done </etc/hosts)
printf '%s\n%s\t%s\t# this machine\n' "$hosts" "$4" "$3" >/etc/hosts
echo "$3" >/etc/hostname
eval "$5"
echo "started $pid"
cd /root
exec env --ignore-signal=CHLD sleep infinity </dev/null >/dev/null 2>&1
"""
"""Becomes the machine's process 1. Its id is read while /proc is still the host's; its names are
written from inside, where no link of the machine's leads out; ignoring SIGCHLD, which survives
exec, has the kernel reap the orphans that process 1 inherits. env is that of coreutils 8.31."""


def start(
    unshare: Sequence[str], tree: Path, fstab: Path, record: Record, first: str = ""
) -> Holder:
    """Start a machine on `tree`, mounted as `fstab` says, in the namespaces that are asked for.

    Its name and address become its host name and its line in its hosts file. `first` are commands
    of the shell that run inside before anybody can log in.

    Raises LevelUnavailableError with what the host's programs said.
    """
    argv = ["unshare", *unshare, "--fork", "--kill-child", "--propagation", "private"]
    argv += ["/bin/sh", "-c", _BOOT, "sh", str(tree), str(fstab)]
    argv += [record.name, record.address, first]
    try:
        outer = subprocess.Popen(  # noqa: S603  # fixed programs; the rest are our own paths
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise LevelUnavailableError("needs the program unshare (package util-linux)") from error
    init, said = _first_words(outer)
    outer_started = processes.start_time(outer.pid)
    init_started = processes.start_time(init) if init else None
    if init_started is None or outer_started is None:
        outer.kill()
        outer.wait()
        raise LevelUnavailableError(said or "the machine's first process ended at once")
    _children[outer.pid] = outer
    return Holder(outer.pid, outer_started, init, init_started)


def alive(holder: Holder) -> bool:
    return (
        processes.start_time(holder.outer) == holder.outer_started
        and processes.start_time(holder.init) == holder.init_started
    )


def end(holder: Holder | None, tree: Path) -> None:
    """Everything in the namespaces ends with their process 1. Raises TimeoutError.

    A machine whose start was interrupted has no holder on record: its tree names the process.
    """
    if holder is None:
        processes.end_all(lambda: processes.with_argument(str(tree)))
        return
    for pid, started in (
        (holder.init, holder.init_started),
        (holder.outer, holder.outer_started),
    ):
        if processes.start_time(pid) == started:
            processes.send(pid, signal.SIGKILL)
            processes.wait_gone(pid, started)
    if child := _children.pop(holder.outer, None):
        child.wait()


def enter(holder: Holder, namespaces: Sequence[str], argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `argv` inside, in the machine's /root."""
    return ("nsenter", "-t", str(holder.init), *namespaces, "-r", "-w", *argv)


def mount_line(source: str | Path, target: Path, type: str, options: str) -> str:
    """One line of an fstab; paths may hold blanks."""
    return " ".join((_field(source), _field(target), type, options, "0 0\n"))


def _field(path: str | Path) -> str:
    text = str(path).replace("\\", r"\134")
    return text.replace(" ", r"\040").replace("\t", r"\011").replace("\n", r"\012")


def _first_words(outer: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The id of the machine's process 1 as this host numbers it, or 0 and what went wrong."""
    if outer.stdout is None:
        raise ValueError("the holder is started with a pipe")
    alarm = threading.Timer(_BOOT_SECONDS, outer.kill)
    alarm.start()
    said = []
    try:
        for line in outer.stdout:
            words = line.decode(errors="replace").split()
            if words[:1] == ["started"]:
                return int(words[1]), ""
            said.append(" ".join(words))
    finally:
        alarm.cancel()
        outer.stdout.close()
    return 0, "; ".join(said)


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Holders that this process started, to be reaped when they end."""
