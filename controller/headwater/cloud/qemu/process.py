"""One process of QEMU per machine: it outlives us, and no other is ever taken for it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from headwater.cloud.local.processes import send, start_time, with_argument
from headwater.cloud.qemu.command import MONITOR, PIDFILE

_START_SECONDS = 60.0
_END_SECONDS = 10.0
_LOOK = 0.02


class StartError(Exception):
    """QEMU's own words."""


def start(command: list[str], folder: Path) -> None:
    """Returns when the machine runs by itself. Raises StartError."""
    if pid_of(folder):
        return
    for name in (PIDFILE, MONITOR):
        (folder / name).unlink(missing_ok=True)
    try:
        ended = subprocess.run(  # noqa: S603  # arguments, no shell
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=_START_SECONDS,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise StartError(f"no start within {_START_SECONDS:.0f} s") from error
    if ended.returncode:
        raise StartError(" ".join(ended.stderr.split())[-300:] or f"exit code {ended.returncode}")


def pid_of(folder: Path) -> int | None:
    """Of the machine's own process: only that has its pid file among its arguments."""
    mine = str(folder / PIDFILE)
    try:
        pid = int((folder / PIDFILE).read_text())
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if mine.encode() in arguments and start_time(pid) is not None:
            return pid
    return None


def kill(folder: Path) -> None:
    """Also one that was started and has not told its pid yet. Raises TimeoutError."""
    deadline = time.monotonic() + _END_SECONDS
    while pids := with_argument(str(folder / PIDFILE)):
        for pid in pids:
            if start_time(pid) is not None:
                send(pid, signal.SIGKILL)
        if not any(start_time(pid) is not None for pid in pids):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} do not end")
        time.sleep(_LOOK)


def shut_down(folder: Path, seconds: float) -> None:
    """Press the button, and cut the power of a machine that does not mind it."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError, ValueError):
        _press(folder)
        while pid_of(folder) and time.monotonic() < deadline:
            time.sleep(_LOOK)
    kill(folder)


def _press(folder: Path) -> None:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2.0)
            line.connect(f"/proc/self/fd/{place}/{MONITOR}")
            with line.makefile("rwb") as talk:
                json.loads(talk.readline())  # its greeting
                for verb in ("qmp_capabilities", "system_powerdown"):
                    talk.write(json.dumps({"execute": verb}).encode() + b"\n")
                    talk.flush()
                    while "return" not in json.loads(talk.readline()):
                        pass  # what happened meanwhile
    finally:
        os.close(place)
