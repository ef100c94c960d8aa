"""Parts of a machine's file system that the levels with namespaces share."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from headwater.cloud.local.levels.holder import mount_line

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus")
"""Of /proc: they set the host's kernel, and a machine whose root is the host's root could."""
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


VOLUMES = ".volumes"
"""Where the volumes of a machine with a root of its own are found."""


def own_folders(tree: Path, more: Sequence[str]) -> None:
    """Folders that every machine has for itself; `.old` is where the host's root goes at boot."""
    for folder in ("root", "home", "proc", "dev", "run", "mnt", ".old", VOLUMES, *more):
        (tree / folder).mkdir(parents=True)
    for folder in ("tmp", "var/tmp"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder).chmod(0o1777)
    (tree / "root").chmod(0o700)


def link_programs(tree: Path) -> list[Path]:
    """Repeat the host's links from / into /usr; answers the real folders, made but still empty."""
    real = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        outside = Path("/", name)
        if outside.is_symlink():
            (tree / name).symlink_to(outside.readlink())
        elif outside.is_dir():
            (tree / name).mkdir()
            real.append(outside)
    return real


def lay_devices(dev: Path) -> None:
    """Mount points and links of a /dev with nothing in it that reaches the host's hardware."""
    for name in _DEVICES:
        (dev / name).touch()
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()


def bind_devices(tree: Path) -> list[str]:
    dev = tree / "dev"
    shared_memory = "nosuid,nodev,mode=1777,size=64m"
    return [
        *(mount_line(f"/dev/{each}", dev / each, "none", "bind") for each in _DEVICES),
        mount_line("devpts", dev / "pts", "devpts", "newinstance,ptmxmode=0666,mode=620"),
        mount_line("tmpfs", dev / "shm", "tmpfs", shared_memory),
    ]


def boot_mounts(tree: Path) -> list[str]:
    """The root itself, which must be a mount to become one, and what every boot begins empty."""
    proc = tree / "proc"
    return [
        mount_line(tree, tree, "none", "rbind"),
        mount_line("proc", proc, "proc", "nosuid,nodev,noexec"),
        *(
            mount_line(proc / each, proc / each, "none", "bind,ro")
            for each in _KERNEL
            if Path("/proc", each).exists()
        ),
        mount_line("tmpfs", tree / "run", "tmpfs", "nosuid,nodev,mode=755,size=64m"),
    ]


def bind_volumes(attached: Path, tree: Path) -> str:
    """The folder of the machine's volumes, which come and go while it runs."""
    attached.mkdir(parents=True, exist_ok=True)
    return mount_line(attached, tree / VOLUMES, "none", "bind")


def unbind_volumes(attached: Path) -> None:
    """What is in it still is not the level's to remove."""
    with suppress(OSError):
        attached.rmdir()


def lay_hosts(etc: Path) -> None:
    """The hosts file of a new machine; every boot adds the machine's own line."""
    (etc / "hosts").write_text("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
