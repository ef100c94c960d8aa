"""The loop's memory."""

from dataclasses import replace

import pytest

from fakes.builders import NOON, desired, failed, key, machine, node, record, run
from fakes.house import CountingStore
from headwater.planning.records import WorkState
from headwater.reconcile.ledger import Ledger
from headwater.topology.keys import MachineId

WEB = desired(node("web", 2))
ONE, TWO = WEB.instances.values()
M1 = MachineId("local", "a:b/c")


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def ledger(store: CountingStore) -> Ledger:
    return Ledger(store)


def again(store: CountingStore) -> Ledger:
    return Ledger(store)


def test_records_survive_with_every_field(ledger, store):
    full = replace(failed(ONE), seconds=1.5, trouble="lost", inputs={"a": "é\n"})
    ledger.set_record(M1, full)
    ledger.set_record(MachineId("lab", "x"), record(TWO, WorkState.WAITING))

    assert again(store).records == {M1: full, MachineId("lab", "x"): record(TWO, WorkState.WAITING)}


def test_runs_values_and_notes_survive(ledger, store):
    ended = replace(run(3, abort="boom"), ended=NOON)
    ledger.set_run("shop", ended)
    ledger.set_values(M1, {"url.x": ("", NOON)})
    ledger.set_note("accepted", "abc")
    later = again(store)

    assert later.runs == {"shop": ended}
    assert later.values == {M1: {"url.x": ("", NOON)}}
    assert later.note("accepted") == "abc"


def test_incarnations_survive_and_only_grow(ledger, store):
    ledger.saw("shop", [machine(ONE, "m1", incarnation=3), machine(TWO, "m2")])
    ledger.saw("shop", [machine(ONE, "m3", incarnation=2)])

    assert ledger.incarnations("shop") == {key("web.1"): 3, key("web.2"): 1}
    assert again(store).incarnations("shop") == ledger.incarnations("shop")


def test_what_is_known_already_is_not_written_again(ledger, store):
    for _ in range(2):
        ledger.set_record(M1, record(ONE))
        ledger.set_run("shop", run())
        ledger.set_note("n", {"b": 1, "a": 2})
        ledger.saw("shop", [machine(ONE)])
        ledger.forget_machine(MachineId("lab", "unknown"))

    assert len(store.writes) == 4


def test_a_forgotten_machine_leaves_nothing(ledger, store):
    ledger.set_record(M1, record(ONE))
    ledger.set_values(M1, {"a": ("b", NOON)})
    ledger.forget_machine(M1)

    assert (ledger.records, ledger.values, store.disk.documents) == ({}, {}, {})


def test_a_forgotten_deployment_leaves_nothing(ledger, store):
    ledger.set_run("shop", run())
    ledger.saw("shop", [machine(ONE)])
    ledger.forget_deployment("shop")

    assert (ledger.runs, ledger.incarnations("shop"), store.disk.documents) == ({}, {}, {})


def test_a_note_can_be_taken_back(ledger, store):
    ledger.set_note("n", [1])
    ledger.set_note("n", None)

    assert (ledger.note("n"), store.disk.documents) == (None, {})


def test_notes_are_found_by_the_beginning_of_their_keys(ledger):
    for name in ("answers/a", "answers/b", "other"):
        ledger.set_note(name, name)

    assert sorted(ledger.notes("answers/")) == [
        ("answers/a", "answers/a"),
        ("answers/b", "answers/b"),
    ]


@pytest.mark.parametrize("document", ["", "{", "[]", '{"key": 1}', "\x00"])
@pytest.mark.parametrize("kind", ["record/local:m1", "values/local:m1", "run/a", "incarnations/a"])
def test_an_unreadable_document_is_left_out_and_the_others_are_read(store, kind, document):
    Ledger(store).set_run("shop", run())
    store.disk.documents[kind] = document
    ledger = Ledger(store)

    assert ledger.runs == {"shop": run()}
    assert ledger.records == {}


def test_an_unreadable_note_is_none(store):
    store.disk.documents["answers"] = "{"

    assert Ledger(store).note("answers") is None
    assert list(Ledger(store).notes("answers")) == []


def test_what_is_told_counts_only_while_recipes_run(ledger):
    ledger.set_record(M1, record(ONE, WorkState.RUNNING))
    ledger.note_told(M1, "a", "1")
    ledger.set_record(M1, replace(ledger.records[M1], state=WorkState.SUCCEEDED))
    ledger.note_told(M1, "b", "2")

    assert ledger.records[M1].inputs == {"a": "1"}


def test_records_are_found_by_deployment(ledger):
    ledger.set_record(M1, record(ONE))

    assert [machine for machine, _ in ledger.records_of("shop")] == [M1]
    assert list(ledger.records_of("other")) == []
