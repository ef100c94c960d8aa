"""The planner's rules, one situation each."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import desired, failed, key, machine, node, record, run, situation
from headwater.manifests.resolved import Reference, Update
from headwater.planning.actions import Contextualise, Create, Terminate
from headwater.planning.planner import Plan, plan
from headwater.planning.records import Record, WorkState
from headwater.topology.desired import Desired
from headwater.topology.keys import MachineId
from headwater.topology.machines import Machine, MachineState

ONE = desired(node("web"))
SPEC = ONE.instances[key()]
FOUR = desired(node("web", 4))
KEYS = list(FOUR.instances)
OTHER_RECIPE = desired(node("web", deploy="#!/bin/sh\nother\n"))


def said(decided: Plan) -> list[str]:
    """Every action as `kind instance: reason`."""
    return [f"{type(a).__name__.lower()} {a.key.instance}: {a.reason}" for a in decided.actions]


def serving(system: Desired, digest: str | None = None) -> list[tuple[Machine, Record]]:
    """One machine per instance that has done its work."""
    return [
        (machine(spec, f"m{n}", digest=digest), record(spec))
        for n, spec in enumerate(system.instances.values(), start=1)
    ]


def updating(system: Desired, **update: Any) -> Desired:
    return replace(system, update=Update(**update))


def test_a_system_as_wanted_plans_nothing():
    assert said(plan(situation(ONE, serving(ONE)))) == []


def test_a_missing_instance_is_created():
    assert said(plan(situation(ONE))) == ["create web.1: new"]


def test_an_instance_that_had_a_machine_is_repaired_with_the_next_incarnation():
    decided = plan(situation(ONE, incarnations={key(): 3}))

    assert said(decided) == ["create web.1: repair: the machine is gone"]
    assert [a.incarnation for a in decided.actions if isinstance(a, Create)] == [4]


@pytest.mark.parametrize("state", [MachineState.STOPPED, MachineState.FAILED])
def test_a_dead_machine_is_removed_and_replaced_at_once(state):
    dead = machine(SPEC, state=state)

    assert said(plan(situation(ONE, [(dead, record(SPEC))]))) == [
        f"terminate web.1: the machine is {state.value}",
        f"create web.1: repair: the machine is {state.value}",
    ]


def test_a_cloud_that_says_why_a_machine_is_dead_is_quoted():
    dead = replace(machine(SPEC, state=MachineState.FAILED), facts={"fault": "No valid host"})

    assert said(plan(situation(ONE, [(dead, None)]))) == [
        "terminate web.1: the machine is failed: No valid host",
        "create web.1: repair: the machine is failed: No valid host",
    ]


def test_a_machine_on_its_way_out_is_left_alone_and_replaced():
    leaving = machine(SPEC, state=MachineState.STOPPING)

    decided = plan(situation(ONE, [(leaving, record(SPEC))]))

    assert said(decided) == ["create web.1: new"]
    assert [a.incarnation for a in decided.actions if isinstance(a, Create)] == [2]


def test_a_machine_of_an_unknown_state_is_left_alone():
    unknown = machine(SPEC, state=MachineState.UNKNOWN)

    assert said(plan(situation(ONE, [(unknown, record(SPEC))]))) == []


def test_a_new_machine_is_contextualised_once_it_runs():
    assert said(plan(situation(ONE, [(machine(SPEC), None)]))) == [
        "contextualise web.1: new machine"
    ]


@pytest.mark.parametrize(
    "unready",
    [{"state": MachineState.PENDING}, {"address": None}, {"host_key": None}],
    ids=["pending", "no address", "no host key"],
)
def test_a_machine_that_cannot_be_reached_yet_is_waited_for(unready):
    assert said(plan(situation(ONE, [(replace(machine(SPEC), **unready), None)]))) == []


@pytest.mark.parametrize("state", [WorkState.WAITING, WorkState.RUNNING])
def test_a_machine_at_work_is_waited_for(state):
    assert said(plan(situation(ONE, [(machine(SPEC), record(SPEC, state))]))) == []


@pytest.mark.parametrize("state", [WorkState.WAITING, WorkState.RUNNING])
def test_a_machine_at_work_on_an_older_recipe_is_given_the_newer_one(state):
    old = record(SPEC, state)

    assert said(plan(situation(OTHER_RECIPE, [(machine(SPEC), old)]))) == [
        "contextualise web.1: recipe or inputs changed"
    ]


def test_an_interrupted_recipe_is_run_again():
    interrupted = replace(failed(SPEC), reason="interrupted")
    decided = plan(situation(ONE, [(machine(SPEC), interrupted)]))

    assert said(decided) == ["contextualise web.1: interrupted by a restart of the machine"]
    assert [a.generation for a in decided.actions if isinstance(a, Contextualise)] == [2]


def test_a_failed_recipe_is_not_run_again_in_the_same_run():
    assert said(plan(situation(ONE, [(machine(SPEC), failed(SPEC))]))) == []


def test_a_failed_recipe_is_run_again_in_a_new_run():
    assert said(plan(situation(ONE, [(machine(SPEC), failed(SPEC))], run=run(2)))) == [
        "contextualise web.1: retry"
    ]


def test_fewer_replicas_terminate_the_highest_indexes():
    three = desired(node("web", 3))

    assert said(plan(situation(three, serving(FOUR)))) == [
        "terminate web.4: web has 3 instances now"
    ]


def test_more_replicas_create_the_missing_indexes():
    three = desired(node("web", 3))

    assert said(plan(situation(FOUR, serving(three)))) == ["create web.4: new"]


def test_a_skipped_index_in_the_middle_is_the_one_that_goes():
    without = desired(node("web", 4, skip=[2]))

    assert said(plan(situation(without, serving(FOUR)))) == [
        "terminate web.2: web has 3 instances now"
    ]


def test_a_removed_node_is_terminated():
    both = desired(node("web"), node("db"))

    assert said(plan(situation(ONE, serving(both)))) == [
        "terminate db.1: node db is no longer in the manifest"
    ]


def test_a_removed_deployment_is_terminated_whole():
    gone = plan(situation(None, serving(desired(node("web", 2)))))

    assert said(gone) == [
        "terminate web.1: the deployment is no longer in the repository",
        "terminate web.2: the deployment is no longer in the repository",
    ]


def test_a_removed_deployment_goes_even_when_its_run_was_aborted():
    assert len(plan(situation(None, serving(ONE), run=run(abort="no"))).actions) == 1


def test_of_two_equal_machines_the_oldest_healthy_one_stays():
    young = (machine(SPEC, "m2", incarnation=2), record(SPEC))
    decided = plan(situation(ONE, [young, (machine(SPEC), record(SPEC))]))

    assert said(decided) == ["terminate web.1: incarnation 1 plays web.1"]
    assert [a.machine.id.id for a in decided.actions if isinstance(a, Terminate)] == ["m2"]


def test_of_two_equal_machines_the_one_that_needs_no_rerun_stays():
    stale = (machine(SPEC), record(SPEC, digest="old"))
    fresh = (machine(SPEC, "m2", incarnation=2), record(SPEC))

    assert said(plan(situation(ONE, [stale, fresh]))) == [
        "terminate web.1: incarnation 2 plays web.1"
    ]


def test_of_two_outdated_machines_the_one_that_serves_stays():
    idle = (machine(SPEC, "m1", digest="old"), None)
    serves = (machine(SPEC, "m2", digest="old", incarnation=2), record(SPEC))
    decided = plan(situation(updating(ONE, max_surge=0, max_unavailable=0), [idle, serves]))

    assert "terminate web.1: incarnation 2 is enough" in said(decided)


def test_an_incomplete_listing_holds_creations_and_deletions_back_and_says_why():
    web = desired(node("web", 2))
    there = [(machine(web.instances[key()]), None)]
    decided = plan(situation(web, there, incomplete="the listing of local is incomplete"))

    assert said(decided) == ["contextualise web.1: new machine"]
    assert decided.held == ("nothing is created or deleted: the listing of local is incomplete",)


def test_a_machine_missing_once_is_not_repaired_yet():
    decided = plan(situation(ONE, limbo=[key()]))

    assert (said(decided), decided.held) == (
        [],
        ("web.1: its machine was missing once; looking again",),
    )


def test_a_replacement_missing_once_is_not_made_a_second_time():
    old = serving(ONE, digest="old")
    decided = plan(situation(ONE, old, limbo=[key()]))

    assert said(decided) == []
    assert decided.held == ("web.1: its machine was missing once; looking again",)


def test_what_a_cloud_cannot_do_is_held_back_whole():
    decided = plan(situation(ONE, problems=("no packages there",)))

    assert (said(decided), decided.held) == ([], ("no packages there",))


class TestUpdates:
    def test_a_changed_image_is_made_before_the_old_machine_breaks(self):
        decided = plan(situation(ONE, serving(ONE, digest="old")))

        assert said(decided) == ["create web.1: replace: image, size, cloud or network changed"]
        assert [a.replaces for a in decided.actions if isinstance(a, Create)] == [True]

    def test_the_old_machine_serves_until_the_new_one_has_succeeded(self):
        old = (machine(SPEC, digest="old"), record(SPEC))
        new = machine(SPEC, "m2", incarnation=2)
        working = record(SPEC, WorkState.RUNNING)

        assert said(plan(situation(ONE, [old, (new, working)]))) == []
        assert said(plan(situation(ONE, [old, (new, record(SPEC))]))) == [
            "terminate web.1: replaced by incarnation 2"
        ]

    def test_without_a_surge_the_old_machine_breaks_first(self):
        still = updating(ONE, max_surge=0)

        assert said(plan(situation(still, serving(ONE, digest="old")))) == [
            "terminate web.1: replace: image, size, cloud or network changed",
            "create web.1: replace: image, size, cloud or network changed",
        ]

    def test_without_a_surge_a_machine_that_never_served_takes_no_place_beside_an_adopted_one(self):
        """A creation that answered too late made it; the other one is older than the ledger."""
        adopted = [(m, replace(r, generation=0)) for m, r in serving(ONE, digest="old")]
        late = (machine(SPEC, "m2", digest="old", incarnation=2), None)

        assert said(plan(situation(updating(ONE, max_surge=0), [*adopted, late]))) == [
            "terminate web.1: replace: image, size, cloud or network changed",
            "terminate web.1: incarnation 1 is enough",
            "create web.1: replace: image, size, cloud or network changed",
        ]

    def test_an_outdated_machine_that_does_not_serve_is_replaced_at_once(self):
        idle = [(m, None) for m, _ in serving(FOUR, digest="old")]
        careful = updating(FOUR, max_surge=0, max_unavailable=0)

        assert len(plan(situation(careful, idle)).actions) == 8

    def test_a_node_is_replaced_within_the_surge_and_the_rest_is_held(self):
        careful = updating(FOUR, max_surge=1, max_unavailable=0)
        decided = plan(situation(careful, serving(FOUR, digest="old")))

        assert [type(action) for action in decided.actions] == [Create]
        assert decided.held == ("web: 3 more to update, within the limits",)

    def test_a_replacement_in_flight_uses_up_the_surge(self):
        careful = updating(FOUR, max_surge=1, max_unavailable=0)
        new = machine(FOUR.instances[key("web.1")], "m9", incarnation=2)

        assert said(plan(situation(careful, [*serving(FOUR, digest="old"), (new, None)]))) == [
            "contextualise web.1: new machine"
        ]

    def test_surge_and_unavailability_add_up(self):
        quick = updating(FOUR, max_surge=1, max_unavailable="50%")
        decided = plan(situation(quick, serving(FOUR, digest="old")))

        assert [type(action) for action in decided.actions] == [Terminate] * 2 + [Create] * 3

    def test_a_changed_recipe_runs_again_within_the_limits(self):
        quick = updating(FOUR, max_unavailable=2)
        decided = plan(situation(quick, serving(FOUR, digest=None)))
        stale = plan(
            situation(quick, [(m, replace(r, work_digest="old")) for m, r in serving(FOUR)])
        )

        assert said(decided) == []
        assert said(stale) == [
            "contextualise web.1: recipe or inputs changed",
            "contextualise web.2: recipe or inputs changed",
        ]
        assert stale.held == ("web: 2 more to update, within the limits",)

    def test_a_changed_recipe_replaces_where_the_policy_says_so(self):
        stale = [(m, replace(r, work_digest="old")) for m, r in serving(ONE)]
        decided = plan(situation(updating(ONE, on_recipe_change="replace"), stale))

        assert said(decided) == ["create web.1: replace: recipe or inputs changed"]

    def test_a_changed_recipe_waits_for_the_next_machine_where_the_policy_says_so(self):
        stale = [(m, replace(r, work_digest="old")) for m, r in serving(ONE)]

        assert said(plan(situation(updating(ONE, on_recipe_change="ignore"), stale))) == []

    def test_one_more_missing_instance_leaves_one_less_to_take_away(self):
        stale = [(m, replace(r, work_digest="old")) for m, r in serving(FOUR)][1:]
        decided = plan(situation(updating(FOUR, max_unavailable=1), stale))

        assert said(decided) == ["create web.1: new"]
        assert decided.held == ("web: 3 more to update, within the limits",)

    def test_nodes_are_updated_in_the_order_of_the_manifest(self):
        both = updating(desired(node("ce"), node("wn")), order=("ce", "wn"))
        stale = [(m, replace(r, work_digest="old")) for m, r in serving(both)]
        first = plan(situation(both, stale))
        second = plan(situation(both, [serving(both)[0], stale[1]]))

        assert said(first) == ["contextualise ce.1: recipe or inputs changed"]
        assert first.held == ("wn: 1 to update, after ce",)
        assert said(second) == ["contextualise wn.1: recipe or inputs changed"]

    def test_without_an_order_nodes_are_updated_together(self):
        both = desired(node("ce"), node("wn"))
        stale = [(m, replace(r, work_digest="old")) for m, r in serving(both)]

        assert {action.key.node for action in plan(situation(both, stale)).actions} == {"ce", "wn"}

    def test_an_aborted_run_updates_nothing_and_still_removes_what_is_not_wanted(self):
        machines = [*serving(ONE, digest="old"), (machine(SPEC, "m9", instance=key("db.1")), None)]

        assert said(plan(situation(ONE, machines, run=run(abort="boom")))) == [
            "terminate db.1: node db is no longer in the manifest"
        ]


class TestInputs:
    system = desired(node("ce"), node("wn", inputs={"server": Reference("ce", 1, "hostname")}))

    def wn(self, told: dict[str, str]) -> list[tuple[Machine, Record]]:
        spec = self.system.instances[key("wn.1")]
        ce = self.system.instances[key("ce.1")]
        return [
            (machine(ce), record(ce)),
            (machine(spec, "m2"), record(spec, inputs=told)),
        ]

    def planned(self, told: dict[str, str], present: dict[str, str]) -> Plan:
        now = {key("wn.1"): present}
        return plan(situation(self.system, self.wn(told), inputs=now))

    def test_a_reader_runs_again_when_a_value_it_was_told_has_changed(self):
        assert said(self.planned({"server": "10.0.0.1"}, {"server": "10.0.0.9"})) == [
            "contextualise wn.1: input server changed"
        ]

    def test_a_reader_runs_once_for_one_change(self):
        assert said(self.planned({"server": "10.0.0.9"}, {"server": "10.0.0.9"})) == []

    def test_a_value_that_vanishes_makes_nobody_run(self):
        assert said(self.planned({"server": "10.0.0.1"}, {})) == []

    def test_a_value_that_appears_after_the_recipes_have_ended_makes_nobody_run(self):
        assert said(self.planned({}, {"server": "10.0.0.1"})) == []


class TestDigest:
    def test_it_tells_what_is_decided(self):
        assert plan(situation(ONE)).digest != plan(situation(FOUR)).digest
        assert plan(situation(ONE)).digest != plan(situation(desired(node(image="other")))).digest

    def test_it_is_the_same_for_the_same_decision(self):
        assert plan(situation(ONE)).digest == plan(situation(ONE, after=60.0, run=run(7))).digest


def test_a_machine_in_a_cloud_where_it_is_not_wanted_is_replaced():
    elsewhere = replace(machine(SPEC), id=MachineId("lab", "m1"))
    decided = plan(situation(ONE, [(elsewhere, record(SPEC))]))

    assert [type(action) for action in decided.actions] == [Create]


def test_contextualisation_names_the_next_generation():
    spec = OTHER_RECIPE.instances[key()]
    old = record(spec, digest="old", generation=4)
    (action,) = plan(situation(OTHER_RECIPE, [(machine(spec), old)])).actions

    assert isinstance(action, Contextualise)
    assert action.generation == 5
