"""Instances that may fail: the run goes on without them, and says so."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import deployment, desired, failed, key, machine, node, record, run, situation
from headwater.manifests.resolved import RecipeKind, Update
from headwater.planning.decision import next_step
from headwater.planning.failure import failure, tolerated
from headwater.planning.planner import plan
from headwater.planning.records import TaskMemory, WorkState
from headwater.planning.situation import Situation
from headwater.planning.status import Condition, Phase
from headwater.planning.verdict import assess
from headwater.reporting.answers import describe
from headwater.topology.context import Step
from headwater.topology.desired import expand
from headwater.topology.hooks import Hooks

SYSTEM = replace(desired(node("ce"), node("wn", 3)), tolerate={"wn": 1})
CE, WN1, WN2, WN3 = SYSTEM.instances.values()
TIMEOUT = SYSTEM.provision_timeout
SERVING = [(machine(CE, "m1"), record(CE)), (machine(WN1, "m2"), record(WN1))]
WELL = (machine(WN2, "m3"), record(WN2))
BROKEN = (machine(WN3, "m4"), failed(WN3))
SILENT = (machine(WN3, "m4"), record(WN3, WorkState.WAITING))


def now(*pairs: Any, **rest: Any) -> Situation:
    return situation(SYSTEM, [*SERVING, *pairs], **rest)


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (now(WELL, BROKEN), "deploy exited with 7: boom"),
        (now(WELL, SILENT, after=TIMEOUT), "no contact within 600 s: its agent did not answer"),
        (now(WELL, run=replace(run(), refused={"wn.3": "no such image"})), "no such image"),
    ],
)
def test_one_failure_of_whatever_kind_is_tolerated_named_and_left_alone(there, why):
    status = assess(there, plan(there))

    assert (failure(there), tolerated(there)) == ("", {WN3.key: why})
    assert plan(there).actions == ()
    assert (status.phase, status.ready, status.desired, status.failed) == (Phase.READY, 3, 4, 1)
    assert status.condition("Ready") == Condition(
        "Ready", True, "FailuresTolerated", f"without wn.3 ({why})"
    )
    assert [(i.state, i.message) for i in status.instances if i.instance == "wn.3"] == [
        ("failed", why)
    ]
    assert describe(status).startswith("Ready: 3/4 ready, 1 failed")
    assert f"without wn.3 ({why})" in describe(status)


def test_one_more_than_tolerated_fails_the_run_and_says_how_many_may():
    there = now((machine(WN2, "m3"), failed(WN2)), BROKEN)

    assert tolerated(there) == {}
    assert failure(there) == (
        "wn.2: deploy exited with 7: boom; 2 of node wn have failed, and 1 may"
    )


def test_what_one_node_may_another_may_not():
    there = situation(SYSTEM, [(machine(CE, "m1"), failed(CE)), *SERVING[1:], WELL, BROKEN])

    assert failure(there) == "ce.1: deploy exited with 7: boom"
    assert tolerated(there) == {WN3.key: "deploy exited with 7: boom"}


def test_a_failure_of_an_earlier_run_is_tried_again():
    there = now(WELL, BROKEN, run=run(2))

    assert tolerated(there) == {}
    assert [action.reason for action in plan(there).actions] == ["retry"]


def test_a_refused_instance_is_asked_for_again_in_the_next_run():
    assert [action.key for action in plan(now(WELL, run=run(2))).actions] == [WN3.key]


def test_a_lost_machine_of_a_failed_instance_is_repaired():
    there = now(WELL, incarnations={key("wn.3"): 1})

    assert [action.reason for action in plan(there).actions] == ["repair: the machine is gone"]


def test_a_failed_instance_takes_nothing_from_the_limits_of_an_update():
    """One may be away: without a tolerance the failed one would be it for ever."""
    newer = replace(
        desired(node("ce"), node("wn", 3, deploy="#!/bin/sh\nnew\n"), update=Update(1, 0)),
        tolerate={"wn": 1},
    )
    _, _, _, spec = newer.instances.values()
    pairs = [*SERVING, WELL, (machine(spec, "m4"), failed(spec))]

    actions = plan(situation(newer, pairs)).actions

    assert [action.key.instance for action in actions] == ["wn.1"]


def test_a_failed_instance_does_not_hold_up_the_nodes_after_it():
    ordered = replace(
        desired(node("ce", deploy="#!/bin/sh\nnew\n"), node("wn", 3), update=Update(order=("wn",))),
        tolerate={"wn": 1},
    )

    actions = plan(situation(ordered, [*SERVING, WELL, BROKEN])).actions

    assert [action.key.instance for action in actions] == ["ce.1"]


def test_a_replacement_that_was_refused_leaves_the_old_machine_alone():
    old = (machine(WN3, "m4", digest="old"), record(WN3))
    there = now(WELL, old, run=replace(run(), refused={"wn.3": "no capacity"}))

    assert plan(there).actions == ()
    assert assess(there, plan(there)).is_ready


def test_reports_of_the_others_do_not_wait_for_what_the_run_does_without():
    hooks = Hooks(
        user="root",
        steps={RecipeKind.REPORT: (Step("report", "wn", "#!/bin/sh\n"),)},
        is_test=False,
        report_timeout=300.0,
        execute_timeout=1800.0,
    )
    without = now(WELL, run=replace(run(), refused={"wn.3": "no such image"}))
    there = replace(without, tasks=TaskMemory(hooks={"wn": hooks}))

    asked = [task.machine.key.instance for task in next_step(there).tasks]

    assert asked == ["wn.1", "wn.2"]


def test_only_a_tolerance_changes_the_digest_of_what_is_wanted():
    plain = node("wn", 3)
    without = expand(deployment(plain)).digest
    with_one = expand(deployment(replace(plain, tolerate_failures=1)))

    assert without == desired(plain).digest
    assert (with_one.digest != without, with_one.tolerate) == (True, {"wn": 1})
