"""Whether the processor helps: found out by booting something, once per boot of this host.

A /dev/kvm that opens, and makes a virtual processor, may still run nothing.
"""

import subprocess
import tempfile
from pathlib import Path

from headwater.cloud.local.processes import boot_id
from headwater.cloud.qemu.command import PROGRAM

_SECONDS = 3.0
"""Emulated, it takes a quarter of a second; what is slower is no help."""
_BOOTED = 33
# mov al,16; out 0xf4,al; hlt; jmp: QEMU's exit device ends it with 2 * 16 + 1.
_SECTOR = bytes([0xB0, 0x10, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"


def accelerator(directory: Path, wanted: str) -> str:
    """`kvm` or `tcg`. Raises OSError where the directory cannot be written."""
    if wanted != "auto":
        return wanted
    known = directory / "accelerator"
    try:
        boot, found = known.read_text().split()
    except (OSError, ValueError):
        boot, found = "", ""
    if found not in {"kvm", "tcg"} or boot != (boot_id() or "?"):
        found = "kvm" if boots("kvm") else "tcg"
        known.write_text(f"{boot_id() or '?'} {found}\n")
    return found


def boots(accelerator: str) -> bool:
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.write(_SECTOR.ljust(1 << 20, b"\0"))
        disk.flush()
        try:
            ended = subprocess.run(  # noqa: S603  # arguments, no shell
                [
                    PROGRAM,
                    *("-nodefaults", "-no-user-config", "-no-reboot"),
                    *("-display", "none", "-m", "32"),
                    *("-machine", f"q35,accel={accelerator}"),
                    *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
                    *("-drive", f"file={disk.name},if=virtio,format=raw"),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return False
    return ended.returncode == _BOOTED
