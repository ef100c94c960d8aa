"""Secrets on their way from the daemon to who keeps what a step prints."""

import os
import threading
from pathlib import Path

import pytest

from headwater_agent import hush
from headwater_agent.hush import DIRECTORY, Ear, learn
from headwater_agent.log import Log

CANARY = "hunter2hunter2"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hush, "_known", set())
    return tmp_path


def heard(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> bool:
    """What another process would know of it."""
    monkeypatch.setattr(hush, "_known", set())
    ear.listen()
    return ear.masks is not None and ear.masks.contains(CANARY)


def closed(ear: Ear) -> None:
    ear.close()
    os.close(ear.descriptor)


def test_a_runner_hears_what_the_daemon_learns(monkeypatch):
    ear = Ear()
    before = ear.masks
    learn(CANARY)

    assert before is None
    assert heard(ear, monkeypatch)
    closed(ear)
    assert not list(Path(DIRECTORY).iterdir())


def test_a_new_runner_knows_what_was_learnt_before():
    learn(CANARY)
    ear = Ear()

    assert ear.masks is not None
    assert ear.masks.contains(CANARY)
    closed(ear)


def test_what_is_larger_than_a_pipe_comes_whole():
    ear = Ear()
    secret = CANARY + "x" * (64 * 1024 - len(CANARY))
    telling = threading.Thread(target=learn, args=(secret,))
    telling.start()
    while telling.is_alive():
        ear.listen()
    ear.listen()

    assert ear.masks is not None
    assert ear.masks.contains(secret)
    assert ear._received == b""
    closed(ear)


def test_a_runner_that_is_gone_is_forgotten_and_a_file_in_its_place_is_told_nothing(root):
    gone = Ear()
    os.close(gone.descriptor)
    (root / DIRECTORY / "1").write_bytes(b"")
    os.link(root / DIRECTORY / "1", root / "kept")
    learn(CANARY)

    assert not list(Path(DIRECTORY).iterdir())
    assert (root / "kept").read_bytes() == b""


def test_a_log_holds_nothing_of_it(root):
    log = Log(str(root / "log"))
    log.print(b"begin\n", None)
    learn(CANARY)
    ear = Ear()
    for piece in (b"it is hunt", b"er2hunt", b"er2\n", b"cannot use hunter2hunte"):
        log.print(piece, ear.masks)
    log.finish(ear.masks)

    assert (root / "log").read_bytes() == b"begin\nit is ***\ncannot use ***"
    assert log.last_words == "cannot use ***"
    closed(ear)
