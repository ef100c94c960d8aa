"""Checks that do not hold: who waits for them, who is replaced, and when repair stops."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.builders import (
    NOON,
    PAGE,
    checked,
    desired,
    key,
    machine,
    node,
    record,
    run,
    situation,
)
from headwater.manifests.resolved import Update
from headwater.planning.actions import Contextualise, Create, Terminate
from headwater.planning.decision import decide
from headwater.planning.failure import failure
from headwater.planning.guard import UNHEALTHY, still_approved
from headwater.planning.health import condition, looks
from headwater.planning.planner import Plan, plan
from headwater.planning.records import Record, WorkState
from headwater.planning.situation import Situation
from headwater.planning.verdict import assess
from headwater.topology.machines import MachineState
from headwater.topology.progress import HealthState

ILL = HealthState.UNHEALTHY
CAREFUL = Update(max_unavailable=1, max_surge=0)


def world(
    states: list[HealthState | None],
    *,
    update: Update = CAREFUL,
    held: bool = True,
    after: float = 0.0,
    number: int = 1,
) -> Situation:
    """A node whose instances succeeded, and whose checks have told these states."""
    wanted = desired(node(replicas=len(states), health=PAGE), update=update)
    pairs = []
    for n, (spec, state) in enumerate(zip(wanted.instances.values(), states, strict=True)):
        done = record(spec)
        told = done if state is None else checked(done, state, held=held)
        pairs.append((machine(spec, f"m{n + 1}"), told))
    return situation(wanted, pairs, after=after, run=run(number))


def lines(plan: Plan) -> list[str]:
    return [f"{type(a).__name__} {a.key.instance}: {a.reason}" for a in plan.actions]


def told(situation: Situation, *times: float, instance: str = "web.1") -> Situation:
    """The instance was replaced so many seconds after noon."""
    at = tuple(NOON + timedelta(seconds=seconds) for seconds in times)
    return replace(situation, replacements={key(instance): at})


# Before it has held.


def test_an_instance_is_ready_when_its_check_has_held():
    waiting = assess(world([None]), Plan("shop", ()))
    healthy = assess(world([HealthState.HEALTHY]), Plan("shop", ()))

    assert (waiting.instances[0].state, waiting.is_ready) == ("checking", False)
    assert waiting.instances[0].message == "its check has told nothing yet"
    assert (healthy.instances[0].state, healthy.is_ready) == ("ready", True)


def test_a_check_that_has_never_held_replaces_nothing():
    assert plan(world([ILL], held=False)).actions == ()


def test_a_check_that_does_not_hold_in_time_fails_the_run_in_its_own_words():
    late = world([ILL], held=False, after=1800)

    assert failure(world([ILL], held=False, after=1799)) == ""
    assert failure(late) == "web.1: not healthy within 1800 s: no answer"


def test_a_check_that_has_told_nothing_fails_the_run_with_what_is_wrong_with_the_line():
    silent = world([None], after=1800)
    [(id, before)] = silent.records.items()
    lost = replace(silent, records={id: replace(before, trouble="connection refused")})

    assert failure(lost) == "web.1: not healthy within 1800 s: connection refused"


def test_a_new_run_gives_a_check_all_the_time_again():
    late = world([ILL], held=False, after=3000)
    again = replace(late, run=replace(late.run, started=NOON + timedelta(seconds=2000)))

    assert failure(again) == ""
    assert list(looks(again)) == [NOON + timedelta(seconds=3800)]


def test_an_instance_that_was_never_healthy_runs_its_recipes_again_in_a_new_run():
    assert lines(plan(world([ILL], held=False, number=2))) == ["Contextualise web.1: retry"]


def test_a_check_that_has_told_nothing_yet_runs_nothing_again():
    """Another check is no reason: only what it tells may be."""
    assert plan(world([None], number=2)).actions == ()


def test_a_changed_recipe_reaches_instances_that_were_never_healthy_beyond_the_limits():
    """They serve nobody, so that nothing is taken away."""
    before = world([ILL, ILL, ILL], held=False)
    old = {id: replace(r, work_digest="old") for id, r in before.records.items()}

    assert lines(plan(replace(before, records=old))) == [
        f"Contextualise web.{n}: recipe or inputs changed" for n in (1, 2, 3)
    ]


# Rollouts.


def rollout(state: HealthState | None, *, held: bool) -> Situation:
    """Three instances of an old recipe, the first of which has been updated."""
    before = world([HealthState.HEALTHY] * 3)
    records = {id: replace(r, work_digest="old") for id, r in before.records.items()}
    [first, *_] = before.machines
    new = before.records[first.id]
    records[first.id] = checked(new, state, held=held) if state else replace(new, health=None)
    return replace(before, records=records)


@pytest.mark.parametrize("state", [None, HealthState.FAILING, ILL])
def test_a_rollout_goes_on_only_when_the_updated_instance_is_healthy(state):
    stopped = plan(rollout(state, held=False))
    goes_on = plan(rollout(HealthState.HEALTHY, held=True))

    assert (stopped.actions, stopped.held) == (
        (),
        ("web: 2 more to update, within the limits",),
    )
    assert lines(goes_on) == ["Contextualise web.2: recipe or inputs changed"]


def test_an_outdated_machine_goes_when_its_replacement_is_healthy():
    wanted = desired(node(health=PAGE))
    [spec] = wanted.instances.values()
    old = machine(spec, "m1", digest="old")
    new = machine(spec, "m2", incarnation=2)

    def with_new(done: Record) -> Plan:
        return plan(situation(wanted, [(old, record(spec)), (new, done)]))

    assert with_new(record(spec)).actions == ()
    assert with_new(checked(record(spec), ILL, held=False)).actions == ()
    assert lines(with_new(checked(record(spec)))) == ["Terminate web.1: replaced by incarnation 2"]


def test_the_next_node_in_order_waits_for_the_health_of_the_first():
    update = Update(max_unavailable=1, max_surge=0, order=("db", "web"))
    wanted = desired(node("db", health=PAGE), node("web"), update=update)
    db, web = wanted.instances.values()
    stale = record(web, digest="old")

    def with_db(done: Record) -> Plan:
        return plan(situation(wanted, [(machine(db), done), (machine(web, "m2"), stale)]))

    assert with_db(record(db)).held == ("web: 1 to update, after db",)
    assert lines(with_db(checked(record(db)))) == ["Contextualise web.1: recipe or inputs changed"]


# Unhealthy later.


def test_a_machine_that_is_not_healthy_any_more_is_replaced():
    decided = plan(world([HealthState.HEALTHY, ILL]))

    assert lines(decided) == [
        "Terminate web.2: unhealthy: no answer",
        "Create web.2: unhealthy: no answer",
    ]
    [_, create] = decided.actions
    assert isinstance(create, Create)
    assert (create.incarnation, create.replaces) == (2, False)


def test_a_check_that_fails_now_and_then_replaces_nothing():
    status = assess(world([HealthState.FAILING]), Plan("shop", ()))

    assert plan(world([HealthState.FAILING])).actions == ()
    assert (status.instances[0].state, status.instances[0].message) == ("ready", "no answer")


def test_a_lost_line_makes_nobody_unhealthy():
    healthy = world([HealthState.HEALTHY])
    lost = {id: replace(r, trouble="connection reset") for id, r in healthy.records.items()}
    cut = replace(healthy, records=lost)

    assert plan(cut).actions == ()
    assert assess(cut, plan(cut)).is_ready


def test_no_more_than_max_unavailable_are_replaced_at_once():
    update = Update(max_unavailable=2, max_surge=0)
    decided = plan(world([ILL, ILL, ILL, *[HealthState.HEALTHY] * 6], update=update))

    assert [a.key.instance for a in decided.actions if isinstance(a, Create)] == ["web.1", "web.2"]
    assert decided.held == ("web.3: unhealthy, replaced within the limits",)


def test_what_is_under_repair_already_counts():
    ill = world([ILL, ILL, HealthState.HEALTHY])
    [first, second, *_] = ill.records.items()
    under_way = replace(first[1], health=None)
    again = replace(ill, records={**ill.records, first[0]: under_way})

    assert plan(again).actions == ()
    assert plan(again).held == ("web.2: unhealthy, replaced within the limits",)
    assert second[1].is_sick


def test_an_instance_is_not_replaced_again_at_once():
    assert plan(told(world([ILL], after=119), 0)).actions == ()
    assert plan(told(world([ILL], after=119), 0)).held == (
        "web.1: unhealthy again; replaced at 12:02:00 at the earliest",
    )
    assert list(looks(told(world([ILL], after=119), 0))) == [NOON + timedelta(seconds=120)]
    assert len(plan(told(world([ILL], after=120), 0)).actions) == 2


def test_each_further_replacement_waits_longer():
    assert plan(told(world([ILL], after=120 + 479), 0, 120)).actions == ()
    assert len(plan(told(world([ILL], after=120 + 480), 0, 120)).actions) == 2


def test_after_three_replacements_in_an_hour_a_person_has_to_look():
    often = told(world([ILL], after=7200), 0, 120, 3600)
    status = assess(often, plan(often))
    stalled = status.condition("Stalled")

    assert plan(often).actions == ()
    assert list(looks(often)) == []
    assert stalled is not None
    assert (stalled.status, stalled.reason) == (True, "Unhealthy")
    assert stalled.message == (
        "web.1 was replaced 3 times within an hour and is unhealthy again: no answer; "
        "commit a change, or `headwater retry`"
    )


def test_three_replacements_over_more_than_an_hour_are_no_loop():
    assert len(plan(told(world([ILL], after=7200), 0, 120, 3601)).actions) == 2


def test_a_new_run_counts_replacements_anew():
    often = told(world([ILL], after=7200), 0, 120, 3600)
    again = replace(often, run=replace(often.run, number=2, started=NOON + timedelta(hours=2)))

    assert len(plan(again).actions) == 2


def test_an_instance_that_has_recovered_by_itself_stalls_nothing():
    calm = told(world([HealthState.HEALTHY], after=7200), 0, 120, 3600)

    assert assess(calm, plan(calm)).is_ready


def test_an_unhealthy_machine_of_an_old_recipe_runs_the_new_one_first():
    ill = world([ILL, HealthState.HEALTHY])
    [first, *_] = ill.machines
    old = replace(ill.records[first.id], work_digest="old")
    decided = plan(replace(ill, records={**ill.records, first.id: old}))

    assert lines(decided) == ["Contextualise web.1: recipe or inputs changed"]


def test_an_unhealthy_machine_whose_recipes_are_left_alone_is_replaced():
    ill = world([ILL], update=Update(on_recipe_change="ignore"))
    old = {id: replace(r, work_digest="old") for id, r in ill.records.items()}

    assert [type(a) for a in plan(replace(ill, records=old)).actions] == [Terminate, Create]


def test_a_machine_of_which_the_cloud_does_not_know_is_not_replaced():
    ill = world([ILL])
    [only] = ill.machines

    doubtful = replace(ill, machines=(replace(only, state=MachineState.UNKNOWN),))

    assert plan(doubtful).actions == ()
    assert failure(replace(doubtful, now=NOON + timedelta(days=1))) == ""


def test_a_new_machine_that_falls_ill_beside_the_old_one_makes_room_for_another():
    wanted = desired(node(health=PAGE))
    [spec] = wanted.instances.values()
    pairs = [
        (machine(spec, "m1", digest="old"), record(spec)),
        (machine(spec, "m2", incarnation=2), checked(record(spec), ILL)),
    ]

    assert lines(plan(situation(wanted, pairs))) == ["Terminate web.1: unhealthy: no answer"]
    assert failure(situation(wanted, pairs, after=9999)) == ""


def test_an_incomplete_listing_replaces_nothing():
    assert plan(replace(world([ILL]), incomplete="the cloud is down")).actions == ()


@pytest.mark.parametrize("reason", ["aborted", "suspended"])
def test_a_failed_or_suspended_deployment_is_left_as_it_is(reason):
    ill = world([ILL])
    left = (
        replace(ill, run=replace(ill.run, abort="enough"))
        if reason == "aborted"
        else replace(ill, suspended="maintenance")
    )

    assert plan(left).actions == ()


# The guard.


def test_more_than_two_fifths_unhealthy_at_once_stop_the_repair():
    ill = world([ILL, ILL, ILL, HealthState.HEALTHY, HealthState.HEALTHY])
    decided = decide(ill)

    assert decided.actions == ()
    assert decided.blocked.endswith(
        "3 of 5 instances are unhealthy at once, "
        "more likely their check or what they all need is wrong"
    )
    assert [type(a) for a in decided.withheld] == [Terminate, Create]


def test_two_fifths_are_repaired():
    ill = world([ILL, ILL, HealthState.HEALTHY, HealthState.HEALTHY, HealthState.HEALTHY])

    assert len(decide(ill).actions) == 2


def test_the_only_instance_is_repaired():
    assert len(decide(world([ILL])).actions) == 2


def test_an_approval_lets_the_repair_go_on_until_no_more_are_unhealthy_than_may_be():
    ill = world([ILL, ILL, ILL, HealthState.HEALTHY, HealthState.HEALTHY])
    approved = decide(replace(ill, approvals=frozenset({decide(ill).digest})))
    assert approved.approved == {UNHEALTHY}
    assert len(approved.actions) == 2

    going_on = replace(ill, run=replace(ill.run, approved=approved.approved))
    assert still_approved(going_on) == {UNHEALTHY}
    assert decide(going_on).blocked == ""

    few = world([ILL, ILL, *[HealthState.HEALTHY] * 3])
    assert still_approved(replace(few, run=going_on.run)) == frozenset()


def test_a_protected_instance_is_replaced_with_an_approval_only():
    ill = world([ILL])
    assert ill.desired is not None
    protected = replace(ill, desired=replace(ill.desired, protect=True))
    decided = decide(protected)

    assert decided.actions == ()
    assert [type(a) for a in decided.withheld] == [Terminate, Create]
    assert "protected" in decided.blocked


# Told.


def test_the_condition_healthy_names_the_first_that_is_not():
    [none] = condition(world([HealthState.HEALTHY, HealthState.FAILING]))
    [some] = condition(world([HealthState.HEALTHY, ILL, ILL]))
    [unknown] = condition(world([HealthState.HEALTHY, None]))

    assert (none.status, none.reason) == (True, "ChecksHold")
    assert (some.status, some.message) == (False, "web.2: no answer (and 1 more)")
    assert (unknown.status, unknown.message) == (False, "1 of 2 not checked yet")
    assert condition(situation(desired(node()))) == ()


def test_an_unhealthy_instance_is_shown_so():
    status = assess(world([ILL]), plan(world([ILL])))

    assert (status.instances[0].state, status.instances[0].message) == ("unhealthy", "no answer")
    assert (status.ready, status.failed) == (0, 1)


def test_a_machine_without_a_check_is_healthy_when_its_recipes_have_succeeded():
    wanted = desired(node())
    [spec] = wanted.instances.values()
    calm = situation(wanted, [(machine(spec), record(spec))])

    assert assess(calm, plan(calm)).is_ready


def test_a_machine_of_before_its_check_counts_as_serving_until_it_is_updated():
    """Its recipes are old too: it is updated within the limits, and not because it is unchecked."""
    before = world([HealthState.HEALTHY] * 3)
    old = {
        id: replace(r, work_digest="old", check="", health=None) for id, r in before.records.items()
    }
    decided = plan(replace(before, records=old))

    assert [type(a) for a in decided.actions] == [Contextualise]


def test_a_failed_recipe_is_told_before_a_check():
    ill = world([ILL, None], held=False, after=1800)
    [first, *_] = ill.machines
    broken = replace(ill.records[first.id], state=WorkState.FAILED, reason="exit", step="deploy")

    assert failure(replace(ill, records={**ill.records, first.id: broken})).startswith(
        "web.1: deploy exited"
    )
