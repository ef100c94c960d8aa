"""The step that mounts volumes: formatted once, and never where there is anything on them.

A folder is a volume of a cloud that shares its own disk: it is bound to its place, or linked where
the machine is only a folder itself. All of it may be done again, and changes nothing then.
"""

import os
import time

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, NoReturn

PATIENCE = 60.0
"""Seconds until a device that was attached is given up: clouds are slow to show it."""
LOOK = 0.2
NOTHING, FOUND = 2, 0
"""Exit codes of blkid: anything else is a doubt."""
FIRST = 4096
"""Bytes that a file system keeps empty or names itself in: something else there is content."""
TABLE = "/etc/fstab"


class Refused(Exception):  # the reason's word
    """The volume cannot be mounted: its text says why, for people."""


class Mounting:
    """A program of a step, in the process that the runner has made for it."""

    def __init__(self, mounts: "list[dict[str, Any]]", base: str) -> None:
        """`base` is the folder that the machine is; empty for one that is more than that."""
        self._mounts = mounts
        self._base = base

    def become(self) -> "NoReturn":
        """Never returns; what is printed is the step's output."""
        code = 0
        try:
            self._mount_all()
        except (Refused, OSError) as error:
            _say(str(error))
            code = 1
        os._exit(code)

    def why_not(self, error: OSError) -> str:
        return "the volumes cannot be mounted: %s" % error.strerror

    def _mount_all(self) -> None:
        """Raises Refused, OSError."""
        table = [self._mount(mount) for mount in self._mounts]
        lines = [line for line in table if line]
        if lines:
            from headwater_agent.blocks import maintain  # noqa: PLC0415

            maintain(self._base + TABLE, lines, 0o644)

    def _mount(self, mount: "dict[str, Any]") -> bytes:
        """Its line of the table of file systems; empty for a folder."""
        name, path = mount["name"], self._base + mount["path"]
        source = _appeared(name, mount["devices"])
        if os.path.isdir(source):
            if self._base:
                _link(name, source, path)
            else:
                _bind(name, source, path)
            return b""
        device = os.path.realpath(source)
        os.makedirs(path, 0o755, exist_ok=True)
        present = _mounted(path)
        if present != device:
            if present:
                raise Refused("volume %s: %s is mounted at %s already" % (name, present, path))
            if not has_file_system(name, device):
                _say("volume %s: %s is empty, and formatted" % (name, device))
                _run(name, "mkfs.ext4", "-q", "-F", "-m", "0", device)
            _run(name, "mount", device, path)
        _say("volume %s: %s is at %s" % (name, device, path))
        uuid = _output(name, "blkid", "-p", "-s", "UUID", "-o", "value", device)[1].strip()
        return ("UUID=%s %s auto defaults,nofail 0 2" % (uuid, path)).encode() if uuid else b""


def has_file_system(name: str, device: str) -> bool:
    """False where there is nothing at all. Raises Refused for anything but a file system."""
    code, said = _output(name, "blkid", "-p", "-o", "export", device)
    found = dict(line.partition("=")[::2] for line in said.splitlines())
    if code == FOUND and found.get("USAGE") == "filesystem":
        return True
    if code == NOTHING and not _has_content(device):
        return False
    kind = found.get("TYPE") or found.get("PTTYPE") or "something that is no file system"
    words = "volume %s: %s holds %s: it is neither formatted nor mounted; clear it by hand (wipefs)"
    raise Refused(words % (name, device, kind))


def _has_content(device: str) -> bool:
    with open(device, "rb") as file:
        return bool(file.read(FIRST).strip(b"\0"))


def _appeared(name: str, devices: "list[str]") -> str:
    """Raises Refused."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for device in devices:
            if os.path.exists(device):
                return device
        if time.monotonic() >= deadline:
            known = ", ".join(devices) or "no name of it is known"
            raise Refused("volume %s: no device appeared (%s)" % (name, known))
        time.sleep(LOOK)


def _link(name: str, source: str, path: str) -> None:
    if os.path.islink(path):
        if os.readlink(path) == source:
            return
        os.unlink(path)
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        os.symlink(source, path)
    except OSError as error:
        raise Refused("volume %s: %s is in the way (%s)" % (name, path, error.strerror)) from error
    _say("volume %s is at %s" % (name, path))


def _bind(name: str, source: str, path: str) -> None:
    os.makedirs(path, 0o755, exist_ok=True)
    if not os.path.samefile(source, path):
        _run(name, "mount", "--bind", source, path)
    _say("volume %s is at %s" % (name, path))


def _mounted(path: str) -> str:
    """The device of what is mounted there last; empty where nothing is."""
    found = ""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            source, target = line.split(" ")[:2]
            if target == path:
                found = os.path.realpath(source)
    return found


def _run(name: str, *command: str) -> None:
    code, said = _output(name, *command)
    if code:
        last = (said.strip().splitlines() or ["it does not say why"])[-1]
        raise Refused("volume %s: %s failed with %d: %s" % (name, command[0], code, last))


def _output(name: str, *command: str) -> "tuple[int, str]":
    import subprocess  # noqa: PLC0415  # slow, and needed once

    try:
        done = subprocess.run(  # noqa: S603, PLW1510  # Python 3.6; fixed programs
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        words = "volume %s: this machine has no program %s" % (name, command[0])
        raise Refused(words) from error
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _say(words: str) -> None:
    os.write(1, (words + "\n").encode("utf-8", "surrogateescape"))
