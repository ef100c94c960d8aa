"""Lock files that outlive their holder: a process that is killed leaves them, and Git waits."""

import time
from contextlib import suppress
from pathlib import Path

FORSAKEN = 5.0
"""Seconds. Git holds the lock of a reference for milliseconds; nobody holds one this old."""


def remove_forsaken_lock(reference: Path) -> None:
    """The one of a reference's file, in a repository that others write to as well."""
    lock = reference.with_name(f"{reference.name}.lock")
    with suppress(OSError):
        if time.time() - lock.stat().st_mtime > FORSAKEN:
            lock.unlink()


def remove_locks(mirror: Path) -> bool:
    """All in a repository that nobody else writes to. True when there was one."""
    found = [*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")]
    for lock in found:
        lock.unlink(missing_ok=True)
    return bool(found)
