"""What waits for an approval, each rule at its limit; and what holds for every plan."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import desired, key, machine, node, record, run, situation
from fakes.worlds import property_settings, simulated, worlds
from headwater.manifests.resolved import Update
from headwater.planning.actions import Create, Terminate
from headwater.planning.guard import RULES, guard
from headwater.planning.planner import Plan, plan
from headwater.planning.situation import Fleet, Situation
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Machine, MachineState

MOST_PASSES = 80


def web(replicas: int, **wishes: Any) -> Desired:
    """`wishes` are fields of the deployment: protect, max_deletes, update."""
    return replace(desired(node("web", replicas)), **wishes)


def there(system: Desired, *, digest: str | None = None) -> list[Any]:
    """All its machines, which serve."""
    specs = enumerate(system.instances.values())
    return [(machine(spec, f"m{n}", digest=digest), record(spec)) for n, spec in specs]


def made(system: Desired, key: InstanceKey) -> Machine:
    """By the present run."""
    new = machine(system.instances[key], f"n-{key.instance}")
    return replace(new, tags=replace(new.tags, revision=run().revision))


def scaled(before: int, after: Desired) -> Situation:
    return situation(after, there(web(before)))


def weighed(situation: Situation) -> Plan:
    return guard(situation, plan(situation))


def approved(situation: Situation) -> Plan:
    """As it goes on when somebody approves what it is blocked by."""
    digest = weighed(situation).digest
    return weighed(replace(situation, approvals=frozenset({digest})))


def ends(decided: Plan) -> int:
    return sum(isinstance(action, Terminate) for action in decided.actions)


def kinds(decided: Plan) -> list[str]:
    return [f"{type(a).__name__.lower()} {a.key.instance}" for a in decided.actions]


class TestScaleDown:
    @pytest.mark.parametrize(("before", "after"), [(2, 1), (4, 2), (31, 21), (8, 8), (1, 4)])
    def test_half_of_a_deployment_or_one_instance_may_go(self, before, after):
        assert weighed(scaled(before, web(after))).blocked == ""

    def test_more_than_half_waits_and_says_how_many_and_how_to_approve(self):
        decided = weighed(scaled(4, web(1)))

        assert decided.actions == ()
        assert len(decided.withheld) == 3
        assert decided.blocked == (
            f"waits for `headwater approve {decided.digest}`:"
            " 3 of 4 instances would go; maxDeletes allows 2"
        )

    @pytest.mark.parametrize(
        ("limit", "lost", "blocked"),
        [(0, 1, False), (0, 2, True), (3, 3, False), (3, 4, True), ("10%", 1, False)],
    )
    def test_max_deletes_of_the_manifest_is_the_limit_and_one_may_always_go(
        self, limit, lost, blocked
    ):
        wished = web(8 - lost, max_deletes=limit)

        assert bool(weighed(scaled(8, wished)).blocked) is blocked

    def test_to_zero_is_never_meant_by_the_way(self):
        decided = weighed(scaled(1, web(0, max_deletes="100%")))

        assert "all 1 instances would go, and the manifest stays" in decided.blocked

    def test_an_instance_with_two_machines_is_one_instance(self):
        old, new = web(4).instances[key("web.4")], machine(web(4).instances[key("web.4")], "m9")
        machines = [*there(web(4)), (new, record(old))]
        decided = weighed(situation(web(3, max_deletes=1), machines))

        assert (ends(decided), decided.blocked) == (2, "")

    def test_instances_that_the_same_commit_adds_make_up_for_nothing(self):
        """A node that is renamed loses all that it has."""
        renamed = desired(node("www", 3))
        decided = weighed(situation(renamed, there(web(3))))
        new = [(made(renamed, key), None) for key in renamed.instances]
        after = weighed(situation(renamed, [*there(web(3)), *new]))

        assert kinds(decided) == ["create www.1", "create www.2", "create www.3"]
        assert "3 of 3 instances would go" in decided.blocked
        assert after.blocked == decided.blocked


class TestFleet:
    def shrinking(self, lost: int, fleet: Fleet) -> Plan:
        wished = web(60 - lost, max_deletes="100%")
        return weighed(replace(scaled(60, wished), fleet=fleet))

    @pytest.mark.parametrize(
        ("lost", "of", "blocked"), [(10, 12, False), (11, 12, True), (20, 100, False), (21, 100, 1)]
    )
    def test_ten_instances_or_a_fifth_of_all_may_go(self, lost, of, blocked):
        assert bool(self.shrinking(lost, Fleet(of)).blocked) is bool(blocked)

    def test_what_one_revision_takes_from_several_deployments_counts_together(self):
        decided = self.shrinking(2, Fleet(40, lost=12))

        assert "12 of all 40 instances would go; 10 may at once" in decided.blocked


class TestRemoval:
    def removed(self, **fleet: Any) -> Plan:
        return weighed(replace(situation(None, there(web(30))), fleet=Fleet(30, **fleet)))

    def test_one_deployment_goes_whatever_its_size(self):
        decided = self.removed(removed=frozenset({"shop"}))

        assert (ends(decided), decided.blocked) == (30, "")

    def test_two_at_once_wait_and_are_named(self):
        decided = self.removed(removed=frozenset({"shop", "blog"}))

        assert ends(decided) == 0
        assert "2 deployments are removed at once (blog, shop)" in decided.blocked

    def test_the_last_manifest_waits(self):
        decided = self.removed(defined=0)

        assert ends(decided) == 0
        assert "no manifest is left in the repository" in decided.blocked

    def test_what_was_protected_still_is_when_its_manifest_goes(self):
        gone = replace(situation(None, there(web(2))), run=replace(run(), protect=True))

        assert "2 instances are protected from this" in weighed(gone).blocked

    def test_an_orphan_s_machines_are_left_alone_also_with_every_approval(self):
        gone = replace(situation(None, there(web(2))), run=replace(run(), orphan=True))
        decided = approved(gone)

        assert (decided.actions, decided.withheld) == ((), ())


class TestProtect:
    def test_nothing_is_deleted(self):
        decided = weighed(scaled(3, web(2, protect=True)))

        assert ends(decided) == 0
        assert "1 instances are protected from this" in decided.blocked

    def test_nothing_is_replaced(self):
        changed = web(2, protect=True)
        decided = weighed(situation(changed, there(changed, digest="old")))

        assert decided.actions == ()
        assert [type(action) for action in decided.withheld] == [Create]

    def test_no_second_machine_is_made_where_the_first_would_have_to_break(self):
        changed = web(1, protect=True, update=Update(max_surge=0))
        decided = weighed(situation(changed, there(changed, digest="old")))

        assert decided.actions == ()
        assert {type(action) for action in decided.withheld} == {Terminate, Create}

    def test_it_holds_from_the_commit_on_that_says_so(self):
        """The run remembers it for the time without a manifest only."""
        before = replace(scaled(3, web(2, protect=True)), run=replace(run(), protect=False))
        after = replace(scaled(3, web(2, protect=False)), run=replace(run(), protect=True))

        assert weighed(before).blocked != ""
        assert weighed(after).blocked == ""

    def test_recipes_and_additions_go_on(self):
        changed = replace(desired(node("web", 2, deploy="#!/bin/sh\nnew\n")), protect=True)
        rerun = weighed(situation(changed, there(web(2))))
        grown = weighed(scaled(2, web(3, protect=True)))

        assert (kinds(rerun), rerun.blocked) == (["contextualise web.1"], "")
        assert (kinds(grown), grown.blocked) == (["create web.3"], "")


class TestUpgrade:
    def test_the_first_plan_after_it_deletes_nothing(self):
        decided = weighed(replace(scaled(3, web(2)), upgraded=True))

        assert ends(decided) == 0
        assert "another version of Headwater would delete or replace" in decided.blocked

    def test_what_only_adds_goes_on(self):
        decided = weighed(replace(scaled(2, web(3)), upgraded=True))

        assert kinds(decided) == ["create web.3"]


class TestVanished:
    def gone(self, count: int, of: int, **rest: Any) -> Situation:
        """Instances 1 to `count` have had machines, and nobody knows where these are."""
        system = web(of)
        keys = list(system.instances)
        known = situation(system, there(system)[count:], incarnations=dict.fromkeys(keys, 1))
        return replace(known, **rest)

    @pytest.mark.parametrize(
        ("count", "of", "blocked"),
        [(1, 1, 0), (1, 2, 0), (2, 2, 1), (2, 5, 0), (3, 5, 1), (4, 10, 0)],
    )
    def test_more_than_two_fifths_at_once_are_not_repaired(self, count, of, blocked):
        decided = weighed(self.gone(count, of))

        assert bool(decided.blocked) is bool(blocked)
        assert len(kinds(decided)) == (0 if blocked else count)

    def test_the_reason_names_the_listing(self):
        assert "5 machines vanished at once" in weighed(self.gone(5, 5)).blocked

    def test_what_we_ended_ourselves_has_not_vanished(self):
        """Scaled down and up again; or ended first, and its successor not made yet."""
        ended = {key(f"web.{n}"): 1 for n in (1, 2, 3)}

        assert weighed(self.gone(3, 5, ended=ended)).blocked == ""
        assert weighed(self.gone(4, 5, ended=ended)).blocked == ""

    def test_new_instances_are_made_meanwhile(self):
        lost = self.gone(3, 5)
        known = {**lost.incarnations}
        del known[key("web.1")]
        decided = weighed(replace(self.gone(4, 5), incarnations=known))

        assert kinds(decided) == ["create web.1"]
        assert [a.key.instance for a in decided.withheld] == ["web.2", "web.3", "web.4"]

    def test_an_approval_does_not_hold_for_the_next_time(self):
        before = self.gone(3, 5)
        names = approved(before).approved
        later = replace(before, run=replace(run(), approved=names))

        assert weighed(later).blocked != ""

    def test_a_rule_that_was_approved_does_not_cover_it(self):
        names = frozenset(RULES)
        later = replace(self.gone(3, 5), run=replace(run(), approved=names))

        assert "vanished" in weighed(later).blocked


class TestApproval:
    def test_it_lets_exactly_that_plan_through(self):
        decided = approved(scaled(4, web(1)))

        assert (ends(decided), decided.blocked, decided.approved) == (
            3,
            "",
            frozenset({"scaled_down"}),
        )

    def test_another_plan_needs_another_one(self):
        digest = weighed(scaled(4, web(1))).digest
        other = replace(scaled(8, web(1)), approvals=frozenset({digest}))

        assert weighed(other).blocked != ""

    def test_it_covers_every_rule_that_stood_in_the_way(self):
        """Two of the three are gone already: another rule is the first now."""
        before = scaled(4, web(1, protect=True))
        names = approved(before).approved
        step = replace(before, machines=before.machines[:2], run=replace(run(), approved=names))

        assert names == {"scaled_down", "protected"}
        assert ends(weighed(step)) == 1

    def test_what_was_approved_in_a_run_opens_no_other_rule(self):
        before = replace(scaled(4, web(1)), run=replace(run(), approved=frozenset({"scaled_down"})))

        assert weighed(before).blocked == ""
        assert "protected" in weighed(replace(before, desired=web(1, protect=True))).blocked

    def test_what_the_plan_does_besides_is_no_reason_to_ask_again(self):
        both = desired(node("web"), node("db", 2))
        before = situation(both, there(web(4)))
        added = [(made(both, key(f"db.{n}")), None) for n in (1, 2)]
        after = situation(both, [*there(web(4)), *added])

        assert kinds(weighed(before)) == ["create db.1", "create db.2"]
        assert kinds(weighed(after)) == ["contextualise db.1", "contextualise db.2"]
        assert weighed(before).digest == weighed(after).digest


@st.composite
def cases(draw: st.DrawFn) -> Situation:
    """Any world, any fleet, any manifest's safety; nothing is approved."""
    world = draw(worlds())
    assert world.desired is not None
    limits: list[int | str] = [0, 2, "50%", "100%"]
    wished = replace(
        world.desired, protect=draw(st.booleans()), max_deletes=draw(st.sampled_from(limits))
    )
    gone = draw(st.booleans())
    names = frozenset(draw(st.sets(st.sampled_from(["shop", "blog", "wiki"]))))
    return replace(
        world,
        desired=None if gone else wished,
        upgraded=draw(st.booleans()),
        fleet=Fleet(
            draw(st.integers(0, 60)), draw(st.integers(0, 2)), names, draw(st.integers(0, 15))
        ),
        run=replace(world.run, protect=draw(st.booleans()), orphan=draw(st.booleans())),
    )


@given(cases())
@property_settings
def test_every_decision_is_either_carried_out_or_waits(case):
    asked, decided = plan(case), weighed(case)

    assert sorted([*decided.actions, *decided.withheld], key=repr) == sorted(
        asked.actions, key=repr
    )
    assert bool(decided.blocked) == bool(decided.withheld)


@given(cases())
@property_settings
def test_adding_is_never_blocked(case):
    def is_new(key: InstanceKey) -> bool:
        return key not in case.incarnations and all(m.key != key for m in case.machines)

    assert not [a for a in weighed(case).withheld if is_new(a.key)]


@given(cases())
@property_settings
def test_under_protect_no_machine_ends(case):
    safe = case.desired.protect if case.desired else case.run.protect

    assert not safe or ends(weighed(case)) == 0


@given(cases())
@property_settings
def test_the_digest_of_what_waits_lets_it_all_through_and_no_other_does(case):
    decided = weighed(case)
    other = frozenset({"0123456789abcdef", plan(case).digest} - {decided.digest})

    assert approved(case).actions == plan(case).actions
    assert weighed(replace(case, approvals=other)) == decided


@given(cases())
@property_settings
def test_the_digest_of_what_waits_does_not_depend_on_the_commit(case):
    merged = replace(case, run=replace(case.run, revision="merged"))

    assert weighed(merged).digest == weighed(case).digest


@given(cases())
@property_settings
def test_nothing_happens_while_it_is_suspended(case):
    decided = weighed(replace(case, suspended="wait (by ada)"))

    assert (decided.actions, decided.withheld) == ((), ())
    assert decided.held == ("suspended: wait (by ada)",)


@given(cases())
@property_settings
def test_an_orphan_keeps_every_machine(case):
    gone = replace(case, desired=None, run=replace(case.run, orphan=True))

    assert weighed(gone).actions == ()


@given(cases())
@property_settings
def test_a_person_is_asked_once_per_rule_and_then_the_run_comes_to_its_end(case):
    world = simulated(replace(case, run=replace(case.run, number=3)))
    answers = 0
    for _ in range(MOST_PASSES):
        now = replace(world.situation(), upgraded=case.upgraded, fleet=case.fleet)
        decided = weighed(now)
        if decided.blocked:
            answers += 1
            decided = approved(now)
            world.run = replace(world.run, approved=world.run.approved | decided.approved)
        world.carry_out(decided)
        if not world.elapse() and not decided.actions:
            break

    assert plan(world.situation()).actions == ()
    assert answers <= len(RULES)
    left = {m.key for m in world.machines.values() if m.state is not MachineState.STOPPING}
    assert case.desired is None or left == set(case.desired.instances)
