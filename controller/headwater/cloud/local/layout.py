"""Where the files of one embedded cloud are."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SOCKET_PATH_LIMIT = 100
"""Unix socket addresses hold 108 bytes on Linux and 104 elsewhere."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The directory of one embedded cloud. Nothing outside of it is written."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def control(self) -> Path:
        return self.root / "control"

    @property
    def log(self) -> Path:
        return self.root / "host.log"

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    @property
    def volumes(self) -> Path:
        """Volumes that no machine has, each beside its record."""
        return self.root / "volumes"

    def attached(self, machine: str) -> Path:
        """The volumes that the machine has; not below its folder, which goes with it."""
        return self.root / "attached" / machine

    def plugged(self) -> list[str]:
        """Machines that have a folder of volumes."""
        return folders(self.root / "attached")

    @property
    def template(self) -> Path:
        """What every sandbox starts with."""
        return self.root / "template"

    def machine(self, id: str) -> Path:
        return self.machines / id

    def record(self, id: str) -> Path:
        return self.machine(id) / "record.json"

    def tree(self, id: str) -> Path:
        """The machine's own file system, as the host sees it."""
        return self.machine(id) / "root"

    def home(self, id: str) -> Path:
        return self.tree(id) / "root"

    def ids(self) -> list[str]:
        """Every machine that has a directory, sorted; none when there is no directory at all."""
        return folders(self.machines)


def folders(place: Path) -> list[str]:
    """Names, sorted; none where there is no such place."""
    try:
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except FileNotFoundError:
        return []


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for the unix socket at `path`, however long the path is.

    Raises OSError when the folder does not exist, or when this system has no short way to it.
    """
    if len(os.fsencode(path)) < _SOCKET_PATH_LIMIT:
        yield str(path)
        return
    if sys.platform != "linux":
        message = f"the path of the socket {path} is too long: use a state directory nearer to /"
        raise OSError(message)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def remove_tree(path: Path) -> None:
    """Remove a folder, if it exists, and all in it, whatever permissions a machine took away.

    Raises OSError for what could not be removed.
    """
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    path.chmod(0o700)
    for folder, names, _files in os.walk(path):
        for name in names:
            inner = Path(folder, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(path)
