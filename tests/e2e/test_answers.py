"""The commit is answered in its notes."""

import re

from e2e.program import Program
from e2e.systems import RUNS, site, system

FAILS = "#!/bin/sh\necho the disk is missing >&2\nexit 7\n"
WAITS = '#!/bin/sh\nuntil [ -e "$HOME/go" ]; do sleep 0.05; done\n'


def test_a_commit_that_becomes_ready_is_answered_pending_and_then_once_with_success(
    program: Program,
):
    revision = program.repository.commit(site(program.level) | system(replicas=2))

    assert program.run("--until-ready").code == 0

    whole = program.repository.history(revision, "headwater")
    assert whole == ["pending - reconciling", "success - 1/1 deployments ready"]
    first, last = program.repository.history(revision, "headwater/box")
    assert first == "pending - reconciling"
    assert re.fullmatch(r"success - Ready: 2/2 ready in \d+\.\d s", last)


def test_a_failure_is_answered_once_with_counts_duration_and_its_own_words(program: Program):
    """The other instance is stopped: in its recipe, or before it has begun one."""
    files = site(program.level) | system(FAILS, replicas=2) | system(name="good")
    revision = program.repository.commit(files)

    assert program.run("--until-ready").code == 1

    history = program.repository.history(revision, "headwater/box")
    assert len(history) == 2
    assert re.fullmatch(
        r"failure - Failed: 0/2 ready, [12] failed in \d+\.\d s;"
        r" one\.\d: deploy exited with 7: the disk is missing",
        history[-1],
    )
    assert program.repository.history(revision, "headwater")[-1].startswith(
        "failure - 1/2 deployments ready; box: Failed: 0/2 ready"
    )
    assert len(program.repository.history(revision, "headwater")) == 2
    assert program.repository.answers(revision)["headwater/good"].startswith("success - Ready: 1/1")


def test_a_commit_that_is_overtaken_is_closed_as_superseded(program: Program):
    overtaken = program.repository.commit(site(program.level) | system(WAITS))
    program.start()
    home = program.layout.home(program.until_running("box").machine)

    newest = program.repository.commit(system(RUNS))
    closed = f"failure - superseded by {newest[:10]}"
    assert program.repository.until_answered(overtaken, "headwater/box") == closed
    (home / "go").touch()
    program.until_ready("box", newest)

    for context in ("headwater", "headwater/box"):
        assert program.repository.history(overtaken, context) == ["pending - reconciling", closed]
    assert program.repository.until_answered(newest).startswith("success")


def test_only_the_deployments_that_a_commit_touches_are_answered_on_it(program: Program):
    program.repository.commit(site(program.level) | system() | system(name="other"))
    program.start()
    program.until_ready("other")

    revision = program.repository.commit(system(RUNS + "# changed\n"))

    program.repository.until_answered(revision)
    assert set(program.repository.answers(revision)) == {"headwater", "headwater/box"}


def test_a_repair_is_not_said_on_a_commit_that_was_answered(program: Program):
    revision = program.repository.commit(site(program.level) | system())
    program.start()
    program.until_ready("box")
    program.repository.until_answered(revision)
    before = program.repository.answers(revision)

    program.said("local", "kill", program.instances("box")["one.1"].machine)
    program.until(
        lambda status: any(
            d.is_ready and d.instances[0].incarnation == 2 for d in status.deployments
        ),
        "the machine is repaired",
    )

    assert program.repository.answers(revision) == before
