"""Whether QEMU is here, and disks without a system: they show a machine's life, not its work."""

import shutil
import subprocess
from pathlib import Path

import pytest

from headwater.manifests.resolved import ResolvedCloud

IMAGE = "bare.qcow2"
MISSING = [name for name in ("qemu-system-x86_64", "qemu-img") if shutil.which(name) is None]
needs_qemu = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def images(folder: Path) -> Path:
    """A folder with one image of a gibibyte."""
    folder.mkdir(parents=True, exist_ok=True)
    file = str(folder / IMAGE)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "1G"], check=True)
    return folder


def cloud(name: str, folder: Path) -> ResolvedCloud:
    """Emulated: to find out whether the processor helps takes seconds."""
    options = {"images": str(images(folder)), "accelerator": "tcg"}
    return ResolvedCloud(name, "qemu", options=options)
