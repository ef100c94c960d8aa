"""One live controller per state directory, and where it answers."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from headwater.errors import Stalled
from headwater.store.directory import prepared, unwritable

_LOCK = "lock"
_HOLDER = "controller.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """The controller that holds the directory, as it tells of itself."""

    pid: int
    started: str
    """ISO 8601."""
    socket: str = ""
    """The path of its unix socket; empty until it serves."""
    listen: str = ""
    """The URL of its TCP listener; empty where there is none."""


@contextmanager
def held(directory: Path, started: datetime) -> Iterator[Holder]:
    """Hold the directory until the block ends; a process that dies lets go of it.

    Raises Stalled naming the process that holds it already.
    """
    path = prepared(directory) / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _take(descriptor, directory)
        holder = Holder(os.getpid(), started.isoformat(timespec="seconds"))
        announce(directory, holder)
        try:
            yield holder
        finally:
            (directory / _HOLDER).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _take(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = holder_of(directory)
        who = f"process {other.pid}, started {other.started}" if other else "another process"
        raise Stalled(
            f"a controller ({who}) already holds the state directory {directory}: "
            "stop it, or give this one another directory with --state"
        ) from None


def announce(directory: Path, holder: Holder) -> None:
    """Tell those who look for a controller in this directory where it answers."""
    path = directory / _HOLDER
    try:
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(holder), file)
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def holder_of(directory: Path) -> Holder | None:
    """Who last said that it holds the directory; it may have died since."""
    with suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads((directory / _HOLDER).read_text(encoding="utf-8")))
    return None
