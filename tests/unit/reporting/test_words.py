from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.controller import BUSY, START, deployment, everything, instance, stalled
from headwater.planning.events import ActionEnded, RunEnded, StepEnded
from headwater.planning.status import DeploymentStatus, Phase
from headwater.reporting import tables
from headwater.reporting.answers import LIMIT, describe
from headwater.reporting.sentences import sentence
from headwater.reporting.words import counts, duration, shortened, verdict

FAILED = deployment(
    phase=Phase.ABORTED,
    conditions=stalled("wn.3: deploy exited with 7: no such host"),
    instances=(
        instance("wn.1"),
        instance("wn.3", "failed", "deploy exited with 7: no such host"),
    ),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (5.23, "5.2 s"),
        (12.4, "12 s"),
        (59.7, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_as_exact_as_people_need(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_ready_deployment_is_described_by_count_and_time():
    assert describe(deployment()) == "Ready: 2/2 ready in 5.0 s"


def test_a_failed_one_has_the_first_failures_own_words():
    assert describe(FAILED) == (
        "Failed: 1/2 ready, 1 failed in 5.0 s; wn.3: deploy exited with 7: no such host"
    )


def test_what_was_stopped_for_anothers_sake_is_not_taken_for_the_first_failure():
    stopped = instance("wn.1", "failed", "deploy was stopped")
    status = replace(FAILED, instances=(stopped, *FAILED.instances[1:]))

    assert describe(status).endswith("; wn.3: deploy exited with 7: no such host")


def test_what_stalls_without_an_instance_says_why():
    status = deployment(
        conditions=stalled("quota exceeded"), instances=(instance(state="missing"),)
    )

    assert describe(status) == "Stalled: 0/1 ready in 5.0 s; quota exceeded"


def test_a_run_under_way_tells_its_phase_and_no_end():
    status = deployment(phase=Phase.EXECUTING, conditions=BUSY)

    assert describe(replace(status, ended=None)) == "Executing: 2/2 ready"


@given(st.from_type(DeploymentStatus))
def test_no_description_is_too_long_for_a_forge(status: DeploymentStatus):
    text = describe(status)

    assert 0 < len(text) <= LIMIT
    assert "\n" not in text


def test_a_shortened_text_shows_that_it_is():
    assert shortened("one\n two three", 8) == "one two…"
    assert shortened("one\n two", 8) == "one two"


def test_states_are_counted_worst_first():
    states = ["ready", "pending", "ready", "failed", "novel"]

    assert counts(instance(state=s) for s in states) == "1 failed, 1 pending, 2 ready, 1 novel"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            ActionEnded("hello", "wn.1", "create", "missing", 0.31),
            "hello/wn.1 created in 0.3 s (missing)",
        ),
        (
            ActionEnded("hello", "wn.1", "create", "missing", 0.31, "quota exceeded"),
            "hello/wn.1: create failed: quota exceeded",
        ),
        (
            StepEnded("hello", "wn.1", False, 2, "deploy", 7, "no such host"),
            "hello/wn.1: deploy failed with exit code 7: no such host",
        ),
        (
            RunEnded("hello", "a" * 40, "success", 5.2),
            "hello is ready at aaaaaaa after 5.2 s",
        ),
    ],
)
def test_events_are_told_in_a_sentence(event, text: str):
    assert sentence(event) == text


def test_a_table_in_a_pipe_is_aligned_and_harmless():
    broken = replace(
        FAILED, name="evil", instances=(instance("wn.1", "failed", "\x1b[2Jboo\nfoo"),)
    )
    text = tables.aligned(tables.instances(broken))

    assert text.splitlines()[0].startswith("INSTANCE  STATE   CLOUD  MACHINE")
    assert "\x1b" not in text
    assert "boo foo" in text
    assert len(text.splitlines()) == 2


def test_the_overview_has_one_row_per_deployment():
    rows = tables.deployments(everything(deployment("a"), FAILED), START).rows

    assert [row[:3] for row in rows] == [("a", "Ready", "2/2"), ("hello", "Failed", "1/2")]


def test_what_is_over_is_told_by_its_verdict():
    over = deployment(phase=Phase.DONE, instances=())
    passed = replace(over, verdict="passed", desired=3)
    failed = replace(passed, verdict="failed", reason="wn.1: boom", conditions=stalled("x"))
    going = replace(failed, phase=Phase.FINALIZING, conditions=BUSY)

    assert describe(passed) == "Passed: 3 instances in 5.0 s"
    assert describe(failed) == "Failed: 3 instances in 5.0 s; wn.1: boom"
    assert (verdict(going), describe(going)) == ("Finalizing", describe(failed))
