"""Processes of this host, found and ended by what they are, never by name alone."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")
_END_SECONDS = 10.0
_EXEC_LOOKS, _EXEC_SECONDS = 200, 0.001


def boot_id() -> str:
    """Names the present boot of this host; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a live process; None when it is gone or a zombie."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def in_group(group: int) -> list[int]:
    """Every process of a process group."""
    found = []
    for pid in _pids() if _PROC.is_dir() else ():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == group:
                found.append(pid)
    return found or [group]


def with_environment(entry: str) -> list[int]:
    """Every process of ours that was started with `entry` (`NAME=value`) in its environment."""
    if not _PROC.is_dir():
        return _with_environment_by_ps(entry)
    wanted = entry.encode()
    return [pid for pid in _pids() if wanted in _environment(pid)]


def with_argument(argument: str) -> list[int]:
    """Every process that was started with exactly this among its arguments."""
    wanted = argument.encode()
    return [pid for pid in _pids() if wanted in _entries(pid, "cmdline")]


def in_namespace(init: int) -> list[int]:
    """Every process of the process-id namespace of `init`, besides `init` itself."""
    wanted = _namespace(init)
    found = [pid for pid in _pids() if wanted and pid != init and _namespace(pid) == wanted]
    return [pid for pid in found if start_time(pid) is not None]


def end_all(find: Callable[[], list[int]]) -> None:
    """SIGKILL what `find` lists, again and again until it lists nothing.

    A process that starts others can be faster than one look. Raises TimeoutError after 10 s.
    """
    deadline = time.monotonic() + _END_SECONDS
    while pids := find():
        for pid in pids:
            send(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} do not end")
        time.sleep(0.002)


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended by now."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_gone(pid: int, started: int, seconds: float = _END_SECONDS) -> None:
    """Blocks until the process has ended. Raises TimeoutError."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) != started:
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise TimeoutError(f"process {pid} does not end")
    finally:
        os.close(descriptor)


def when_ended(child: subprocess.Popen[bytes], done: Callable[[int], None]) -> None:
    """Calls `done(returncode)` once, on the running loop, when the child has ended and is reaped.

    A thread waits where the system has no process descriptors.
    """
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        when_gone(child.pid, lambda: done(child.wait()))
        return

    def wait() -> None:
        loop.call_soon_threadsafe(done, child.wait())

    threading.Thread(target=wait, daemon=True).start()


def when_gone(pid: int, done: Callable[[], None]) -> None:
    """Calls `done()` once, on the running loop, when a process ends, whoever started it."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        loop.call_soon(done)
        return

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        done()

    loop.add_reader(descriptor, ended)


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdecimal()]


def _environment(pid: int) -> list[bytes]:
    """In the middle of its exec a process shows none, and must not be overlooked for that."""
    for _ in range(_EXEC_LOOKS):
        entries = _entries(pid, "environ")
        if any(entries) or any(_entries(pid, "cmdline")) or not _has_memory(pid):
            return entries
        time.sleep(_EXEC_SECONDS)
    return []


def _has_memory(pid: int) -> bool:
    """Neither a zombie nor a part of the kernel."""
    try:
        return not (_PROC / str(pid) / "statm").read_text().startswith("0 ")
    except OSError:
        return False


def _entries(pid: int, file: str) -> list[bytes]:
    try:
        return (_PROC / str(pid) / file).read_bytes().split(b"\0")
    except OSError:
        return []


def _namespace(pid: int) -> str:
    try:
        return str((_PROC / str(pid) / "ns/pid").readlink())
    except OSError:
        return ""


def _with_environment_by_ps(entry: str) -> list[int]:
    listing = subprocess.run(
        ["ps", "axeww", "-o", "pid=,command="],  # noqa: S607  # where it lies differs by system
        capture_output=True,
        check=True,
        text=True,
        errors="replace",
    ).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if entry in line.split()]
