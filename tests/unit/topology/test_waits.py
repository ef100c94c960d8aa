"""Gets that nobody will ever answer: found, named, and never found where somebody might."""

from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import NOON, key
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.waits import Futile, Prospect, Wait, futile

ENDED = Prospect(frozenset(), end="has ended its recipes without setting it")
LATER = Prospect(frozenset(), later=True)


def machine(instance: str) -> MachineId:
    return MachineId("local", instance)


def busy(instance: str, *, later: bool = False) -> Prospect:
    return Prospect(frozenset({machine(instance)}), later)


def wait(asker: str, *missing: str, id: int = 1, seconds: float | None = 60.0) -> Wait:
    """`missing` as `a.1:x`."""
    sources = tuple((key(text.partition(":")[0]), text.partition(":")[2]) for text in missing)
    until = None if seconds is None else NOON + timedelta(seconds=seconds)
    return Wait(machine(asker), id, key(asker), sources, until)


def only(*waits: Wait) -> dict[MachineId, frozenset[int]]:
    """Nothing goes on at the machines but these."""
    machines = {each.machine for each in waits}
    return {m: frozenset(w.id for w in waits if w.machine == m) for m in machines}


def judge(
    waits: Iterable[Wait],
    prospects: dict[str, Prospect],
    blocked: dict[MachineId, frozenset[int]] | None = None,
) -> list[Futile]:
    return futile(waits, {key(name): p for name, p in prospects.items()}, blocked or {})


class TestWriters:
    def test_who_runs_may_set_it(self):
        assert judge([wait("a.1", "b.1:x")], {"b.1": busy("b.1")}) == []

    def test_who_is_about_to_run_may_set_it(self):
        assert judge([wait("a.1", "b.1:x")], {"b.1": LATER}) == []

    def test_who_has_ended_will_not(self):
        waits = wait("a.1", "b.1:x")
        assert judge([waits], {"b.1": ENDED}) == [
            Futile(
                waits,
                "b.1:x will never be set: b.1 has ended its recipes without setting it",
            )
        ]

    def test_who_is_not_there_will_not(self):
        [found] = judge([wait("a.1", "b.3:x")], {})
        assert found.why == "b.3:x will never be set: b.3 is not in the deployment"

    def test_one_of_several_that_are_missing_is_enough(self):
        waits = wait("a.1", "b.1:x", "b.2:x")
        [found] = judge([waits], {"b.1": busy("b.1"), "b.2": ENDED})
        assert found.why.startswith("b.2:x will never")

    def test_what_the_controller_tells_needs_no_recipe(self):
        assert judge([wait("a.1", "b.1:hostname")], {"b.1": ENDED}) == []

    def test_a_replacement_that_runs_beside_the_old_machine_may_set_it(self):
        waits = wait("b.1", "b.1:x")
        both = Prospect(frozenset({machine("b.1"), machine("new")}))
        assert judge([waits], {"b.1": both}, only(waits)) == []


class TestCircles:
    def test_two_that_wait_for_each_other_are_named(self):
        first, second = wait("a.1", "b.1:x", seconds=50), wait("b.1", "a.1:y")
        found = judge(
            [first, second], {"a.1": busy("a.1"), "b.1": busy("b.1")}, only(first, second)
        )
        assert found == [
            Futile(first, "b.1:x will never be set: a.1 waits for b.1:x, b.1 waits for a.1:y")
        ]

    def test_the_first_timeout_is_the_next_that_would_happen(self):
        first, second = wait("a.1", "b.1:x", seconds=None), wait("b.1", "a.1:y", seconds=600)
        [found] = judge(
            [first, second], {"a.1": busy("a.1"), "b.1": busy("b.1")}, only(first, second)
        )
        assert found.wait == second

    def test_a_get_without_an_end_is_ended_where_nothing_else_can_happen(self):
        own = wait("a.1", "a.1:x", seconds=None)
        [found] = judge([own], {"a.1": busy("a.1")}, only(own))
        assert found.why == "a.1:x will never be set: a.1 waits for its own value"

    def test_a_machine_that_does_something_else_breaks_the_circle(self):
        first, second = wait("a.1", "b.1:x"), wait("b.1", "a.1:y")
        assert judge([first, second], {"a.1": busy("a.1"), "b.1": busy("b.1")}, only(first)) == []

    def test_a_machine_with_another_get_that_may_be_answered_breaks_it(self):
        first, second = wait("a.1", "b.1:x"), wait("b.1", "a.1:y")
        third = wait("b.1", "c.1:z", id=2)
        prospects = {name: busy(name) for name in ("a.1", "b.1", "c.1")}
        assert judge([first, second, third], prospects, only(first, second, third)) == []

    def test_a_question_that_has_been_answered_meanwhile_breaks_it(self):
        first, second = wait("a.1", "b.1:x"), wait("b.1", "a.1:y")
        known = {machine("a.1"): frozenset({1}), machine("b.1"): frozenset({1, 2})}
        assert judge([first, second], {"a.1": busy("a.1"), "b.1": busy("b.1")}, known) == []

    def test_a_machine_that_will_run_again_breaks_it(self):
        first, second = wait("a.1", "b.1:x"), wait("b.1", "a.1:y")
        prospects = {"a.1": busy("a.1", later=True), "b.1": busy("b.1")}
        assert judge([first, second], prospects, only(first, second)) == []

    def test_who_waits_for_a_circle_waits_on_when_the_circle_is_broken(self):
        first, second = wait("a.1", "b.1:x", seconds=1), wait("b.1", "a.1:y", seconds=2)
        third = wait("c.1", "a.1:z", seconds=3)
        prospects = {name: busy(name) for name in ("a.1", "b.1", "c.1")}
        [found] = judge([third, second, first], prospects, only(first, second, third))
        assert found.wait == first

    def test_who_only_waits_for_a_circle_may_be_the_first_to_give_up(self):
        first, second = wait("a.1", "b.1:x", seconds=8), wait("b.1", "a.1:y", seconds=9)
        third = wait("c.1", "a.1:z", seconds=3)
        prospects = {name: busy(name) for name in ("a.1", "b.1", "c.1")}
        found = judge([first, second, third], prospects, only(first, second, third))
        assert found[0].why == (
            "a.1:z will never be set: c.1 waits for a.1:z, a.1 waits for b.1:x, b.1 waits for a.1:y"
        )
        assert [each.wait for each in found] == [third, first]

    def test_two_circles_are_both_broken(self):
        pairs = [wait(a, f"{b}:x") for a, b in (("a.1", "b.1"), ("c.1", "d.1"))]
        back = [wait(b, f"{a}:x", seconds=99) for a, b in (("a.1", "b.1"), ("c.1", "d.1"))]
        prospects = {name: busy(name) for name in ("a.1", "b.1", "c.1", "d.1")}
        found = judge([*pairs, *back], prospects, only(*pairs, *back))
        assert [each.wait for each in found] == pairs

    def test_who_waits_behind_a_get_that_is_ended_has_hope_again(self):
        """It is ended and its recipe goes on, perhaps to set what the other waits for."""
        first, second = wait("a.1", "b.1:x"), wait("c.1", "a.1:y")
        prospects = {"a.1": busy("a.1"), "b.1": ENDED, "c.1": busy("c.1")}
        assert [f.wait for f in judge([first, second], prospects, only(first, second))] == [first]


NAMES = [f"{letter}.1" for letter in "abcde"]


@st.composite
def situations(draw: st.DrawFn):
    prospects = {
        key(name): draw(st.sampled_from([busy(name), busy(name), busy(name), ENDED, LATER]))
        for name in NAMES
    }
    waits = []
    for name in NAMES:
        if not prospects[key(name)].busy:
            continue
        for id in range(draw(st.integers(0, 2))):
            missing = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2))
            seconds = draw(st.none() | st.integers(1, 5).map(float))
            waits.append(wait(name, *(f"{m}:x" for m in missing), id=id, seconds=seconds))
    blocked = [w for w in waits if draw(st.integers(0, 9))]
    return waits, prospects, only(*blocked)


def may_end(
    waits: list[Wait],
    prospects: dict[InstanceKey, Prospect],
    only: dict[MachineId, frozenset[int]],
) -> set[Wait]:
    """An independent judge: the gets that the luckiest future answers, found by playing it.

    Whoever runs, or will, sets everything and ends; whoever is answered runs.
    """
    asked = {(w.machine, w.id) for w in waits}
    stuck = {m for m, ids in only.items() if all((m, id) in asked for id in ids)}
    running = {m for p in prospects.values() for m in p.busy if m not in stuck}
    answered: set[Wait] = set()
    while True:
        set_by = {k for k, p in prospects.items() if p.later or p.busy & running}
        now = {w for w in waits if all(k in set_by for k, _ in w.missing)}
        freed = {w.machine for w in now if w.id in only.get(w.machine, frozenset())}
        if now <= answered and freed <= running:
            return answered
        answered |= now
        running |= freed


@given(situations())
def test_nothing_is_ended_that_might_be_answered(given_):
    waits, prospects, blocked = given_
    ended = [each.wait for each in futile(waits, prospects, blocked)]
    left, only_ = list(waits), dict(blocked)
    for each in ended:
        assert each not in may_end(left, prospects, only_)
        left.remove(each)
        only_.pop(each.machine, None)


@given(situations())
def test_whoever_is_left_may_be_answered(given_):
    waits, prospects, blocked = given_
    ended = [each.wait for each in futile(waits, prospects, blocked)]
    left = [w for w in waits if w not in ended]
    free = {w.machine for w in ended}
    only_ = {m: ids for m, ids in blocked.items() if m not in free}
    assert may_end(left, prospects, only_) == set(left)


@given(situations())
def test_every_end_names_what_is_missing_and_why(given_):
    for each in futile(*given_):
        missing = {f"{k.instance}:{name}" for k, name in each.wait.missing}
        named, _, why = each.why.partition(" will never be set: ")
        assert named in missing
        assert why
