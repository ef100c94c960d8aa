"""`headwater demo`: what people try first, and how they leave it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.program import DEADLINE, HEADWATER
from local_cloud import wait_until

Demo = Callable[..., "subprocess.Popen[str]"]


def processes_of(folder: Path) -> list[str]:
    """Processes that were started with the folder among their arguments or surroundings."""
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
def demo(tmp_path: Path, level: str) -> Iterator[Demo]:
    """Starts it with `tmp_path` as the folder of scratch files; it leaves nothing there."""
    begun: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [HEADWATER, "demo", "--level", level, *flags],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(child)
        return child

    yield start
    for child in begun:
        child.kill()
        child.communicate()
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not processes_of(tmp_path), "no process is left")


def test_the_demo_shows_a_ready_system_and_cleans_up(demo: Demo):
    child = demo("--no-hold")

    out, err = child.communicate(timeout=DEADLINE)

    assert (child.returncode, "Traceback" in err) == (0, False), err
    assert "fetched" in out
    assert "headwater local kill hw-" in out
    assert "Cleaned up: 2 machines removed." in out


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_cleans_up_when_it_is_broken_off(demo: Demo, tmp_path: Path, end: signal.Signals):
    child = demo("--no-hold")
    wait_until(lambda: list(tmp_path.glob("*/state/local/machines/*/record.json")), "a machine")

    child.send_signal(end)
    out, err = child.communicate(timeout=DEADLINE)

    assert (child.returncode, "Traceback" in err) == (130, False), err
    assert "Cleaned up: 2 machines removed." in out


@pytest.mark.parametrize(("end", "code"), [(None, 0), (signal.SIGINT, 130)], ids=["enter", "^C"])
def test_the_demo_is_kept_until_somebody_ends_it(demo: Demo, end: signal.Signals | None, code: int):
    child = demo("--hold")
    assert child.stdin is not None
    assert child.stdout is not None
    while "Press Enter" not in child.stdout.readline():
        assert child.poll() is None

    if end is None:
        child.stdin.write("\n")
        child.stdin.flush()
    else:
        child.send_signal(end)
    out, err = child.communicate(timeout=DEADLINE)

    assert (child.returncode, "Traceback" in err) == (code, False), err
    assert "Cleaned up: 2 machines removed." in out
