"""What the sandboxes of a directory start with, prepared once."""

import shutil
import threading
from pathlib import Path

from headwater.cloud.local.levels.tree import lay_devices

_ETC_FILES = (
    *("passwd", "group", "nsswitch.conf", "resolv.conf", "ld.so.cache", "os-release"),
    *("login.defs", "profile", "bash.bashrc", "bashrc", "localtime", "services", "protocols"),
)


class Template:
    """Threads may ask at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._etc_is_fresh = False
        self._lock = threading.Lock()

    def etc(self) -> list[Path]:
        """Files to copy: the few that programs need, as an ordinary user sees them, no links.

        Taken from the host once per process, so that a new resolver is noticed.
        """
        etc = self._folder / "etc"
        with self._lock:
            if not self._etc_is_fresh:
                shutil.rmtree(etc, ignore_errors=True)
                etc.mkdir(parents=True)
                for name in _ETC_FILES:
                    if Path("/etc", name).is_file():
                        shutil.copyfile(Path("/etc", name), etc / name)
                self._etc_is_fresh = True
        return list(etc.iterdir())

    def dev(self) -> Path:
        """A /dev to bind, and to mount devices in.

        Never made anew: removing what machines have mounted would take it away from them.
        """
        dev = self._folder / "dev"
        with self._lock:
            if not dev.is_dir():
                scratch = self._folder / "dev.new"
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)
                lay_devices(scratch)
                scratch.rename(dev)
        return dev
