"""What the controller finds around itself, and cannot use: one line, and the way out of it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.program import Ended, Program, Repository, program
from e2e.systems import site, system

VERBS = {
    "run": ("run", "--until-ready", "--listen", "", "--timeout", "30s"),
    "plan": ("plan",),
}


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[Program]:
    """A program with one commit, not started yet."""
    with program(tmp_path, "process") as made:
        made.repository.commit(site("process") | system(replicas=0))
        yield made


def refused(ended: Ended, *words: str) -> None:
    """It ended with one line of explanation, and not with a traceback."""
    assert ended.code == 1, ended
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


def test_a_port_in_use_is_named_with_the_way_out(ready: Program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        ended = ready.verb("run", "--repo", ".", "--listen", address)

    refused(ended, f"cannot listen on {address}: it is in use", "--listen")


def test_a_file_in_place_of_the_state_directory_is_named(ready: Program, tmp_path: Path):
    file = tmp_path / "file"
    file.touch()

    for state in (file, file / "below"):
        ended = ready.verb("run", "--repo", ".", "--listen", "", HEADWATER_STATE=str(state))
        refused(ended, str(state), "state directory", "--state")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_state_directory_that_cannot_be_written_is_named(ready: Program, tmp_path: Path):
    state = tmp_path / "locked"
    state.mkdir(mode=0o500)

    ended = ready.verb("run", "--repo", ".", "--listen", "", HEADWATER_STATE=str(state / "state"))

    refused(ended, str(state), "Permission denied")


def test_a_state_directory_in_use_names_the_process_that_holds_it(ready: Program):
    ready.start()

    ended = ready.verb("run", "--repo", ".", "--listen", "")

    refused(ended, f"process {ready.pid}", str(ready.state), "--state")
    assert ready.status().settled


def test_the_state_of_a_killed_controller_is_free(ready: Program):
    ready.start()
    ready.kill()

    assert ready.run("--until-ready").code == 0


def test_a_verb_without_a_controller_says_how_to_start_one(ready: Program):
    for verb in (("status",), ("wait", "box"), ("params", "box"), ("retry", "box")):
        refused(ready.verb(*verb), str(ready.state), "headwater run")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_sha256_repository_is_named_with_the_way_out(tmp_path: Path, verb: tuple[str, ...]):
    with program(tmp_path, "process", "--object-format=sha256") as made:
        made.repository.commit(system())

        refused(made.verb(*verb, "--repo", "."), "SHA-256", "--object-format=sha1")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_reftable_repository_is_named_with_the_way_out(ready: Program, verb: tuple[str, ...]):
    """Git before 2.45 cannot make one: what it would write into the configuration will do."""
    config = ready.repository.path / ".git/config"
    text = config.read_text().replace("repositoryformatversion = 0", "repositoryformatversion = 1")
    config.write_text(text + "[extensions]\n\trefStorage = reftable\n")

    refused(ready.verb(*verb, "--repo", "."), "reftable", "git refs migrate")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_repository_that_is_not_there_is_named(ready: Program, verb: tuple[str, ...]):
    missing = ready.repository.path / "nowhere"

    refused(ready.verb(*verb, "--repo", str(missing)), str(missing))


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_branch_that_is_not_there_names_those_that_are(ready: Program, verb: tuple[str, ...]):
    refused(ready.verb(*verb, "--repo", ".", "--branch", "mian"), "mian", "main")


def test_wrong_usage_is_told_apart_from_failure(ready: Program):
    assert ready.verb("run", "--listen", "nonsense").code == 1
    assert ready.verb("run", "--no-such-flag").code == 64
    assert ready.verb("wait", "box", "--timeout", "soon").code == 64


def test_a_repository_is_found_from_within(ready: Program, tmp_path: Path):
    """The bare clone of a repository serves as well as its work tree."""
    bare = tmp_path / "bare.git"
    Repository(tmp_path / "elsewhere").git(
        "clone", "-q", "--bare", str(ready.repository.path), str(bare)
    )

    assert ready.verb(*VERBS["run"], "--repo", str(bare)).code == 0
