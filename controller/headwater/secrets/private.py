"""Files that nobody else may read, inside one directory."""

import os
import stat
from pathlib import Path


class Unsafe(Exception):
    """The file cannot be read, or should not be as it is; says what to do."""


def stamp(path: Path) -> str:
    """Changes with the file, its permissions too; empty where there is none, or a folder."""
    try:
        told = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}"
    if stat.S_ISDIR(told.st_mode):
        return ""
    return f"{path} {told.st_ino} {told.st_size} {told.st_mtime_ns} {told.st_ctime_ns}"


def contents(path: Path, directory: Path | None = None, *, most: int) -> bytes:
    """The file's first `most` bytes. Raises Unsafe.

    Links may lead about inside the directory, and anywhere where none is named.
    """
    try:
        if directory and not path.resolve().is_relative_to(directory.resolve()):
            raise Unsafe(f"{path} leads out of {directory}: put the file itself there")
        # A pipe must not hold up the loop.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            _check(path, os.fstat(file.fileno()))
            return file.read(most)
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 say RuntimeError of link loops
        why = getattr(error, "strerror", None) or "its links lead in a circle"
        words = f"{path} cannot be read: {why}; it is to be a file of the controller's user"
        raise Unsafe(words) from None


def _check(path: Path, told: os.stat_result) -> None:
    if not stat.S_ISREG(told.st_mode):
        raise Unsafe(f"{path} is not a file")
    if told.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise Unsafe(f"{path} may be read or written by everybody: chmod 600 {path}")
