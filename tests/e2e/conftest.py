"""The program at a level of isolation that this host can give."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.program import DEADLINE, HEADWATER, Program
from e2e.program import program as started_on


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Background jobs of a shell ignore SIGINT, and every program that they start inherits it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def levels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Why each level cannot be had here; empty where it can."""
    state = tmp_path_factory.mktemp("levels") / "state"
    ended = subprocess.run(
        [HEADWATER, "local", "levels", "--output", "json"],
        env={**os.environ, "HEADWATER_STATE": str(state)},
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )
    reasons: dict[str, str] = json.loads(ended.stdout)
    return reasons


@pytest.fixture
def level(request: pytest.FixtureRequest, levels: dict[str, str]) -> str:
    """Of the parameter, or else the best that needs no root."""
    wanted = getattr(request, "param", "")
    if reason := levels.get(wanted, ""):
        pytest.skip(f"level {wanted}: {reason}")
    return wanted or ("process" if levels["sandbox"] else "sandbox")


@pytest.fixture
def program(tmp_path: Path, level: str) -> Iterator[Program]:
    with started_on(tmp_path, level) as program:
        yield program
