"""Deployments that end of themselves, with the real program."""

import json
from typing import Any

import pytest

from e2e.program import Program
from e2e.systems import RUNS, site, system
from headwater.planning.status import DeploymentStatus, Phase
from local_cloud import wait_until

FAILS = "#!/bin/sh\necho no luck >&2\nexit 7\n"
HANGS = RUNS + "sleep 3600\n"


def a_test(recipe: str = RUNS, **spec: Any) -> dict[str, str]:
    return system(recipe, lifecycle="test", **spec)


def begin(program: Program, files: dict[str, str]) -> str:
    revision = program.repository.commit(site(program.level) | files)
    program.start()
    return revision


def until_over(program: Program, verdict: str, *, machines: int = 0) -> DeploymentStatus:
    """At rest with this verdict, and so many machines."""
    revision = program.repository.head
    status = program.until(
        lambda status: next(
            (
                d
                for d in status.deployments
                if (d.name, d.verdict, d.observed_revision) == ("box", verdict, revision)
                if d.at_rest
            ),
            None,
        ),
        f"box is over: {verdict}",
    )
    assert len(program.machines()) == machines
    return status


def runs(program: Program) -> list[tuple[int, str]]:
    """Number and result, oldest first."""
    listed = json.loads(program.said("runs", "box", "--output", "json"))
    return [(run["number"], run["result"]) for run in listed]


def test_a_test_that_passes_is_answered_once_and_leaves_no_machine(program: Program):
    revision = begin(program, a_test(replicas=2))
    status = until_over(program, "passed")

    assert status.phase is Phase.DONE
    assert program.repository.until_answered(revision, "headwater/box").startswith(
        "success - Passed: 2 instances"
    )
    states = [line.split(" ")[0] for line in program.repository.history(revision, "headwater/box")]
    assert states == ["pending", "success"]
    assert runs(program) == [(1, "success")]
    table = program.said("runs")
    assert "box" in table
    assert "Finalizing" in table


def test_a_test_that_fails_is_answered_with_its_own_words(program: Program):
    revision = begin(program, a_test(FAILS))
    status = until_over(program, "failed")

    assert status.phase is Phase.ABORTED
    answer = program.repository.until_answered(revision, "headwater/box")
    assert answer.startswith("failure - Failed: 1 instances")
    assert answer.endswith("one.1: deploy exited with 7: no luck")


def test_a_test_that_hangs_fails_after_its_execute_timeout(program: Program):
    begin(program, a_test(HANGS, timeouts={"execute": "2s"}))
    status = until_over(program, "failed")

    assert "execute timeout" in status.reason


def test_an_abort_ends_a_test_with_its_reason_and_a_retry_runs_it_again(program: Program):
    begin(program, a_test(HANGS))
    program.until_running("box")
    program.said("abort", "box", "--reason", "lunch time")

    assert until_over(program, "failed").reason == "lunch time"
    program.said("retry", "box")
    program.until_running("box")
    assert runs(program) == [(1, "failure"), (2, "")]


@pytest.mark.parametrize(
    ("recipe", "verdict", "machines"), [(RUNS, "passed", 0), (FAILS, "failed", 1)]
)
def test_the_keep_policy_says_which_machines_stay_and_for_how_long(
    program: Program, recipe: str, verdict: str, machines: int
):
    begin(program, a_test(recipe, keep={"policy": "on-error", "for": "20s"}))
    status = until_over(program, verdict, machines=machines)

    if machines:
        said = status.condition("Stalled")
        assert said is not None
        assert "kept until" in said.message
    wait_until(lambda: not program.machines(), "what was kept is gone after its time")


def test_a_kill_in_the_middle_of_the_end_changes_neither_verdict_nor_history(program: Program):
    begin(program, a_test(replicas=4))
    program.until(
        lambda status: any(d.phase is Phase.FINALIZING for d in status.deployments), "it ends"
    )
    program.kill()
    program.start()

    until_over(program, "passed")
    assert runs(program) == [(1, "success")]
    contextualised = [
        event for event in program.events("action.ended") if event["action"] == "contextualise"
    ]
    assert len(contextualised) == 4


def test_a_deployment_whose_ttl_is_over_goes_and_comes_back_with_a_change(program: Program):
    begin(program, system(ttl="10s"))
    program.until(lambda status: any(d.ended for d in status.deployments), "its run has ended")
    assert runs(program) == [(1, "success")]
    program.kill()
    program.start()
    status = until_over(program, "expired")

    assert "ttl 10 s" in str(status.conditions)
    assert program.verb("wait", "box", "--timeout", "20s").code == 1
    program.repository.commit(system(RUNS + "# changed\n", ttl="1h"))
    program.until_ready("box")
    assert len(program.machines()) == 1


def test_the_history_outlives_its_deployment(program: Program):
    begin(program, system() | system(name="other"))
    program.until_ready("box")
    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")

    assert runs(program) == [(1, "success"), (2, "removed")]
    assert program.verb("runs", "bocks").code == 1


def test_a_run_that_another_revision_breaks_off_was_cancelled(program: Program):
    begin(program, system(HANGS))
    program.until_running("box")
    program.repository.commit(system(RUNS))
    program.until(lambda status: status.revision == program.repository.head, "it is read")

    wait_until(lambda: (1, "cancelled") in runs(program), "the first run is in the history")
