"""The state directory: private to its owner."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from headwater.errors import HeadwaterError, Stalled, Transient

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN}


def prepared(directory: Path) -> Path:
    """The directory, made where it is missing, readable by its owner alone.

    Raises Stalled where it cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid == os.getuid():
            directory.chmod(0o700)
    except OSError as error:
        raise unwritable(directory, error) from error
    _keep_out_of_git(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise unwritable(directory, PermissionError(errno.EACCES, "Permission denied"))
    return directory


def _keep_out_of_git(directory: Path) -> None:
    """Where it lies in a work tree it is nobody's to commit, and no place for manifests."""
    ignore = directory / ".gitignore"
    if not ignore.exists():
        with suppress(OSError):
            ignore.touch(mode=0o600)
            ignore.write_text("*\n", encoding="utf-8")


def unwritable(path: Path, error: OSError) -> HeadwaterError:
    """What to raise for an error of the file system: Transient if it may pass, else Stalled."""
    reason = error.strerror or str(error)
    if error.errno in _PASSING:
        return Transient(f"cannot write to {path}: {reason}; free some space or files")
    return Stalled(
        f"cannot write to the state directory {path}: {reason}; "
        "make it writable, or choose another one with --state"
    )
