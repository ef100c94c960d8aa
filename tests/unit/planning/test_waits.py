"""The order of deployments, as a plan and a status have it."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import desired, key, machine, node, record, run, situation
from headwater.planning.actions import Create, Terminate
from headwater.planning.planner import plan
from headwater.planning.situation import Situation
from headwater.planning.status import Condition, DeploymentStatus, Phase
from headwater.planning.verdict import assess
from headwater.planning.waits import Until, Wait, for_dependencies, for_dependents, waits

WEB = desired(node("web", 2))
ONE, TWO = WEB.instances.values()
COMES_FIRST = (Wait("waits for dns: Provisioning, 0/1 ready"),)


def waiting(*pairs: Any, on: tuple[Wait, ...] = COMES_FIRST, **rest: Any) -> Situation:
    system = rest.pop("system", WEB)
    return replace(situation(system, pairs, **rest), waits=on)


def test_nothing_is_made_before_what_comes_first():
    now = waiting()
    status = assess(now, plan(now))

    assert plan(now).actions == ()
    assert plan(now).held == ("waits for dns: Provisioning, 0/1 ready",)
    assert status.condition("Reconciling") == Condition(
        "Reconciling", True, "WaitingForOthers", "waits for dns: Provisioning, 0/1 ready"
    )
    assert not status.at_rest


def test_what_is_there_is_kept_up_whatever_becomes_of_the_others():
    now = waiting((machine(ONE), record(ONE)))

    assert [action.key for action in plan(now).actions if isinstance(action, Create)] == [TWO.key]
    assert waits(now) == ()


def test_what_was_there_is_repaired_whatever_becomes_of_the_others():
    now = waiting(incarnations={key("web.1"): 1})

    assert len(plan(now).actions) == 2


@pytest.mark.parametrize(
    ("until", "reason"),
    [(Until.PERSON, "DependencyHeld"), (Until.REPAIR, "DependencyFailed")],
)
def test_a_wait_that_does_not_end_by_itself_is_a_stall(until, reason):
    now = waiting(on=(Wait("waits for dns: boom", until),))
    status = assess(now, plan(now))

    assert status.condition("Stalled") == Condition("Stalled", True, reason, "waits for dns: boom")
    assert status.at_rest
    assert status.held_up == ("waits for dns: boom" if until is Until.PERSON else "")


def test_a_deployment_goes_after_those_that_depend_on_it():
    leaving = waiting((machine(ONE), record(ONE)), on=(Wait("web goes first"),), system=None)
    free = replace(leaving, waits=())

    assert plan(leaving).actions == ()
    assert assess(leaving, plan(leaving)).diagnostics == ("web goes first",)
    assert [type(action) for action in plan(free).actions] == [Terminate]


def status_of(*conditions: Condition, revision: str = "r2") -> DeploymentStatus:
    return DeploymentStatus("dns", Phase.PROVISIONING, conditions, 2, 1, observed_revision=revision)


READY = Condition("Ready", status=True, reason="Converged")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (status_of(READY), []),
        (None, [Wait("waits for dns, which has not been looked at yet")]),
        (
            status_of(READY, revision="r1"),
            [Wait("waits for dns, which has not been looked at yet")],
        ),
        (status_of(), [Wait("waits for dns: Provisioning, 1/2 ready")]),
        (
            status_of(Condition("Stalled", True, "RunFailed", "web.1: boom")),
            [Wait("waits for dns: web.1: boom", Until.REPAIR)],
        ),
        (
            status_of(
                Condition("Stalled", True, "PlanBlocked", "approve abc"),
                Condition("PlanBlocked", True, "Guard"),
            ),
            [Wait("waits for dns: approve abc", Until.PERSON)],
        ),
        (
            status_of(Condition("Suspended", True, "Suspended", "holidays (by ann)")),
            [Wait("waits for dns: it is suspended: holidays (by ann)", Until.PERSON)],
        ),
        (
            status_of(Condition("Stalled", True, "DependencyHeld", "waits for lan: no")),
            [Wait("waits for dns: waits for lan: no", Until.PERSON)],
        ),
    ],
)
def test_a_dependency_says_why_it_is_not_ready(status, expected):
    statuses = {"dns": status} if status else {}

    assert list(for_dependencies(["dns"], statuses, "r2")) == expected


def test_a_dependent_that_stays_is_a_persons_affair():
    going, staying = for_dependents(["blog", "shop"], removed=["blog"])

    assert going == Wait("blog depends on it and goes first")
    assert staying.until is Until.PERSON
    assert staying.why.startswith("shop is still there and depends on it")


def test_an_aborted_run_is_told_before_what_it_would_wait_for():
    now = waiting(run=run(abort="a person said so"))

    stalled = assess(now, plan(now)).condition("Stalled")
    assert stalled is not None
    assert stalled.message == "a person said so"
