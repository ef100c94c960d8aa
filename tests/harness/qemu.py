"""Whether QEMU is here, and disks without a system: they show a machine's life, not its work."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from headwater.manifests.resolved import ResolvedCloud

IMAGE = "bare.qcow2"
MISSING = [name for name in ("qemu-system-x86_64", "qemu-img") if shutil.which(name) is None]
REASON = f"not installed: {', '.join(MISSING)}"
needs_qemu = pytest.mark.skipif(bool(MISSING), reason=REASON)


def images(folder: Path) -> Path:
    """A folder with one image of a gibibyte."""
    folder.mkdir(parents=True, exist_ok=True)
    file = str(folder / IMAGE)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "1G"], check=True)
    return folder


@dataclass(frozen=True)
class Host:
    folder: Path

    def cloud(self, name: str) -> ResolvedCloud:
        """Emulated: to find out whether the processor helps takes seconds."""
        options = {"images": str(self.folder), "accelerator": "tcg"}
        return ResolvedCloud(name, "qemu", options=options)


@contextmanager
def host() -> Iterator[Host]:
    if MISSING:
        pytest.skip(REASON)
    with TemporaryDirectory() as folder:
        yield Host(images(Path(folder)))
