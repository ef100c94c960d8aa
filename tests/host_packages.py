"""Packages that this host could install, for tests of machines that are made of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

_TINY = ("hello", "sl")
"""No dependencies, some ten kilobytes."""


def tiny_package(folder: Path) -> str:
    """One that is not installed here and can be had; else the test is skipped, saying why."""
    if not shutil.which("apt-get"):
        pytest.skip("this host has no apt-get")
    name = next((each for each in _TINY if not Path(f"/usr/share/doc/{each}").exists()), None)
    if name is None:
        pytest.skip(f"this host has all of {', '.join(_TINY)} installed")
    patience = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=5"]
    try:
        ended = subprocess.run(
            ["apt-get", "download", "-q", *patience, name],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"this host's own download of {name} does not end")
    if ended.returncode:
        pytest.skip(f"this host cannot download {name}: {ended.stderr.strip()}")
    return name
