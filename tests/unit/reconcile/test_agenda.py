"""Which deployment is looked at next."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.reconcile.agenda import Agenda, Priority
from headwater.reconcile.backoff import delay

GAP = 1.0


def agenda() -> Agenda:
    return Agenda(gap=GAP)


def test_the_most_urgent_key_goes_first():
    a = agenda()
    for name, priority in [
        ("drift", Priority.DRIFT),
        ("person", Priority.PERSON),
        ("commit", Priority.COMMIT),
    ]:
        a.add(name, priority, 0.0)

    assert [a.take(0.0), a.take(0.0), a.take(0.0), a.take(0.0)] == [
        "person",
        "commit",
        "drift",
        None,
    ]


def test_among_equally_urgent_keys_the_one_that_waits_longest_goes_first():
    a = agenda()
    a.add("late", Priority.COMMIT, 2.0)
    a.add("early", Priority.COMMIT, 1.0)

    assert [a.take(3.0), a.take(3.0)] == ["early", "late"]


def test_a_key_is_not_taken_before_it_is_due():
    a = agenda()
    a.add("k", Priority.RETRY, 5.0)

    assert (a.take(4.9), a.next_due(), a.take(5.0)) == (None, 5.0, "k")


def test_a_key_added_twice_is_taken_once_with_the_more_urgent_priority_and_the_earlier_time():
    a = agenda()
    a.add("k", Priority.DRIFT, 1.0)
    a.add("k", Priority.PERSON, 9.0)
    a.add("other", Priority.COMMIT, 0.0)

    assert (a.take(1.0), a.take(1.0), a.take(9.0)) == ("k", "other", None)


def test_a_key_that_waits_for_a_free_worker_can_become_more_urgent():
    a = agenda()
    for name in ("first", "a", "b"):
        a.add(name, Priority.RESYNC, 0.0)
    a.take(0.0)
    a.add("b", Priority.PERSON, 0.0)

    assert a.take(0.0) == "b"


def test_a_key_that_is_worked_on_is_not_taken_again_until_that_is_done():
    a = agenda()
    a.add("k", Priority.COMMIT, 0.0)
    a.take(0.0)
    a.add("k", Priority.PERSON, 0.0)
    meanwhile = a.take(5.0), a.next_due()
    a.done("k", 5.0)

    assert meanwhile == (None, None)
    assert (a.take(5.0), a.next_due(), a.take(5.0 + GAP)) == (None, 5.0 + GAP, "k")


def test_a_key_rests_between_two_passes():
    a = agenda()
    a.add("k", Priority.COMMIT, 0.0)
    a.take(0.0)
    a.done("k", 1.0)
    a.add("k", Priority.PERSON, 1.0)

    assert (a.take(1.5), a.take(1.0 + GAP)) == (None, "k")


def test_a_forgotten_key_does_not_come_back():
    a = agenda()
    a.add("k", Priority.COMMIT, 0.0)
    a.forget("k")

    assert (a.take(9.0), a.next_due(), a.depth) == (None, None, 0)


def test_it_is_idle_when_nothing_is_worked_on_and_nothing_urgent_waits():
    def urgent(priority: Priority) -> bool:
        return priority <= Priority.RETRY

    a = agenda()
    a.add("k", Priority.RESYNC, 0.0)
    waiting = a.is_idle(urgent)
    a.take(0.0)
    busy = a.is_idle(urgent)
    a.done("k", 0.0)
    a.add("k", Priority.RETRY, 99.0)

    assert (waiting, busy, a.is_idle(urgent)) == (True, False, False)


keys = st.sampled_from("abc")
moves = st.one_of(
    st.tuples(st.just("add"), keys, st.sampled_from(Priority), st.floats(0, 10)),
    st.tuples(st.just("take")),
    st.tuples(st.just("done"), keys),
    st.tuples(st.just("pass"), st.floats(0.1, 3)),
)


@given(st.lists(moves, max_size=60))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_key_is_taken_twice_at_once_and_none_is_lost(steps):
    a, now = agenda(), 0.0
    active: set[str] = set()
    added: set[str] = set()
    for step in steps:
        match step:
            case "add", key, priority, after:
                a.add(key, priority, now + after)
                added.add(key)
            case ("take",):
                taken = a.take(now)
                assert taken not in active
                if taken is not None:
                    active.add(taken)
                    added.discard(taken)
            case "done", key if key in active:
                a.done(key, now)
                active.discard(key)
            case "pass", seconds:
                now += seconds
            case _:
                pass
    for key in active:
        a.done(key, now)
    rest = set()
    while (due := a.next_due()) is not None:
        taken = a.take(due)
        assert taken is not None
        rest.add(taken)
    assert rest == added


@given(st.integers(1, 10_000), st.integers())
@settings(deadline=None, derandomize=True)
def test_a_delay_doubles_at_most_up_to_its_cap(attempt, seed):
    waited = delay(attempt, random.Random(seed), base=1.0, cap=900.0)  # noqa: S311  # no secret

    assert 0.0 <= waited <= min(900.0, 2.0 ** min(attempt, 16))


def test_delays_are_spread_over_the_whole_range():
    rng = random.Random(1)  # noqa: S311  # no secret
    waited = [delay(20, rng) for _ in range(200)]

    assert min(waited) < 100.0
    assert max(waited) > 800.0
