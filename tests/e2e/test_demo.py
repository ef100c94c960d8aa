"""`headwater demo`: what people try first."""

import os
import subprocess
from pathlib import Path

import pytest

from e2e.program import DEADLINE, HEADWATER


def processes_of(folder: Path) -> list[str]:
    """Command lines and folders of processes that have to do with the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in told:
            found.append(told.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@pytest.fixture
def level(levels: dict[str, str]) -> str:
    return "process" if levels["sandbox"] else "sandbox"


def test_the_demo_shows_a_ready_system_and_leaves_nothing(tmp_path: Path, level: str):
    ended = subprocess.run(
        [HEADWATER, "demo", "--no-hold", "--level", level],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=2 * DEADLINE,
    )

    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert "fetched" in ended.stdout
    assert "headwater local kill hw-" in ended.stdout
    assert "Cleaned up: 2 machines removed." in ended.stdout
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []
