"""What a waiting get can hope for, by the state of the instance that should set it."""

from dataclasses import replace

import pytest

from fakes.builders import desired, failed, key, machine, node, record, run, situation
from headwater.manifests.resolved import Update
from headwater.planning.prospects import prospects
from headwater.planning.records import Record, WorkState
from headwater.topology.desired import Desired
from headwater.topology.machines import MachineState
from headwater.topology.waits import Prospect

SYSTEM = desired(node("web"))
(SPEC,) = SYSTEM.instances.values()
THERE = machine(SPEC)


def prospect(known: Record | None, system: Desired = SYSTEM, number: int = 1) -> Prospect:
    return prospects(situation(system, [(THERE, known)], run=run(number)))[key("web.1")]


def test_without_a_machine_one_will_come():
    assert prospects(situation(SYSTEM))[key("web.1")].later


def test_a_machine_that_has_not_been_asked_yet_will_be():
    assert prospect(None).later


@pytest.mark.parametrize(
    ("known", "busy", "later"),
    [
        (record(SPEC, WorkState.WAITING), False, True),
        (record(SPEC, WorkState.RUNNING), True, False),
        (record(SPEC, WorkState.SUCCEEDED), False, False),
        (record(SPEC, WorkState.SUCCEEDED, digest="of before"), False, True),
        (record(SPEC, WorkState.SUCCEEDED, generation=0), False, True),
        (failed(SPEC), False, False),
        (replace(failed(SPEC), reason="interrupted"), False, True),
        (failed(SPEC, run=0), False, True),
    ],
    ids=[
        "asked", "runs", "ended", "runs again for a change", "adopted", "failed", "interrupted",
        "is retried",
    ],
)  # fmt: skip
def test_by_what_has_become_of_its_recipes(known, busy, later):
    found = prospect(known)
    assert (bool(found.busy), found.later) == (busy, later)


def test_a_change_that_is_ignored_runs_nothing_again():
    ignoring = desired(node("web"), update=Update(on_recipe_change="ignore"))
    assert not prospect(record(SPEC, digest="of before"), ignoring).later


def test_a_dead_machine_is_replaced():
    dead = machine(SPEC, state=MachineState.FAILED)
    assert prospects(situation(SYSTEM, [(dead, record(SPEC))]))[key("web.1")].later


def test_a_machine_that_was_missing_once_may_come_back():
    found = prospects(situation(SYSTEM, limbo=[key("web.1")]))
    assert found[key("web.1")].later


def test_the_old_machine_and_its_replacement_may_both_set_it():
    old = machine(SPEC, "m2", digest="of before")
    both = [(THERE, record(SPEC, WorkState.RUNNING)), (old, record(SPEC, WorkState.RUNNING))]
    found = prospects(situation(SYSTEM, both))[key("web.1")]
    assert (set(found.busy), found.later) == ({THERE.id, old.id}, False)


def test_failed_and_silent_ends_are_told_apart():
    assert "failed" in prospect(failed(SPEC)).end
    assert "ended" in prospect(record(SPEC)).end
