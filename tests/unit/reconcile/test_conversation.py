"""What machines tell, taken in."""

from dataclasses import replace

import pytest

from fakes.builders import deployment, key, node
from fakes.house import House
from headwater.manifests.resolved import Reference
from headwater.planning.events import StepEnded
from headwater.planning.records import Record, WorkState
from headwater.topology.keys import MachineId
from headwater.topology.progress import (
    Connected,
    Ended,
    LineLost,
    LineRefused,
    MachineEvent,
    Output,
    Request,
    StepStarted,
    Verb,
)


@pytest.fixture
async def house() -> House:
    """web.1 has been asked to run its recipes, and has not answered yet."""
    there = House()
    there.machines.silent.add(key())
    await there.want(
        deployment(node("web", outputs=["port"], inputs={"me": Reference("web", 1, "hostname")}))
    )
    await there.rest()
    there.looks.clear()
    there.events.clear()
    return there


def asked(house: House) -> tuple[MachineId, str]:
    """The machine, and the context that it was given."""
    ((machine, record),) = house.ledger.records.items()
    return machine, record.context


def record(house: House) -> Record:
    return house.ledger.records[asked(house)[0]]


def hear(house: House, event: MachineEvent) -> None:
    house.conversation.on_event(event)


async def test_a_step_that_starts_is_noted_and_looked_at(house):
    machine, context = asked(house)
    hear(house, StepStarted(machine, context, 1, "deploy"))

    assert (record(house).state, record(house).step) == (WorkState.RUNNING, "deploy")
    assert house.looks == ["shop"]


async def test_an_end_counts_once_however_often_it_is_told(house):
    machine, context = asked(house)
    for _ in range(3):
        hear(house, Ended(machine, context, succeeded=True, step="deploy", seconds=2.5))

    assert record(house).state is WorkState.SUCCEEDED
    assert house.told(StepEnded) == [
        StepEnded("shop", "web.1", succeeded=True, seconds=2.5, step="deploy")
    ]
    assert house.looks == ["shop"]


async def test_a_second_verdict_on_the_same_context_is_not_believed(house):
    machine, context = asked(house)
    hear(house, Ended(machine, context, succeeded=True))
    hear(house, Ended(machine, context, succeeded=False, reason="exit"))
    hear(house, StepStarted(machine, context, 0, "deploy"))

    assert record(house).state is WorkState.SUCCEEDED


@pytest.mark.parametrize(
    "event",
    [
        lambda machine: Ended(machine, "older.1", succeeded=False, reason="exit"),
        lambda machine: StepStarted(machine, "older.1", 0, "deploy"),
    ],
    ids=["ended", "started"],
)
async def test_what_is_told_of_an_older_context_changes_nothing(house, event):
    before = record(house)
    hear(house, event(asked(house)[0]))

    assert (record(house), house.looks) == (before, [])


async def test_a_failure_is_kept_in_its_own_words(house):
    machine, context = asked(house)
    hear(
        house,
        Ended(
            machine,
            context,
            succeeded=False,
            step="deploy",
            exit_code=7,
            reason="exit",
            words="boom",
        ),
    )

    kept = record(house)
    assert (kept.state, kept.exit_code, kept.reason, kept.words) == (
        WorkState.FAILED,
        7,
        "exit",
        "boom",
    )


async def test_an_end_notes_the_inputs_of_the_moment_but_not_over_what_was_told(house):
    machine, context = asked(house)
    address = house.machine(key()).address
    hear(house, StepStarted(machine, context, 0, "deploy"))
    house.ledger.note_told(machine, "me", "as told")
    hear(house, Ended(machine, context, succeeded=True))
    told = record(house).inputs
    house.ledger.set_record(machine, replace(record(house), state=WorkState.RUNNING, inputs={}))
    hear(house, Ended(machine, context, succeeded=True))

    assert (told, record(house).inputs) == ({"me": "as told"}, {"me": address})


async def test_a_lost_line_is_trouble_until_it_stands_again(house):
    machine, _ = asked(house)
    hear(house, LineLost(machine, "reset"))
    lost = record(house).trouble
    hear(house, Connected(machine))

    assert (lost, record(house).trouble) == ("reset", "")
    assert house.looks == ["shop", "shop"]


async def test_a_line_that_stood_and_broke_raises_a_suspicion(house):
    machine, context = asked(house)
    hear(house, LineLost(machine, "not up yet"))
    before = house.suspicions
    hear(house, StepStarted(machine, context, 0, "deploy"))
    hear(house, LineLost(machine, "reset"))

    assert (before, house.suspicions) == (0, 1)


async def test_a_refused_line_is_a_failure_with_its_reason(house):
    machine, _ = asked(house)
    hear(house, LineRefused(machine, "another host key"))

    assert (record(house).state, record(house).reason, record(house).words) == (
        WorkState.FAILED,
        "refused",
        "another host key",
    )


async def test_the_same_again_is_no_news(house):
    machine, _ = asked(house)
    hear(house, LineLost(machine, "reset"))
    house.looks.clear()
    house.store.writes.clear()
    hear(house, LineLost(machine, "reset"))

    assert (house.looks, house.store.writes) == ([], [])


async def test_a_machine_that_nobody_knows_is_not_heard(house):
    stranger = MachineId("local", "stranger")
    hear(house, Connected(stranger))
    hear(house, Output(stranger, "c", 0, b"x"))

    assert (house.looks, house.conversation.output_offset(stranger, "c")) == ([], 0)


async def test_output_goes_to_the_store_and_says_how_much_is_kept(house):
    machine, context = asked(house)
    hear(house, Output(machine, context, 0, b"hello "))
    hear(house, Output(machine, context, 6, b"world"))

    assert house.conversation.output_offset(machine, context) == 11
    assert house.looks == []


async def test_an_abort_of_a_recipe_aborts_the_run_in_its_name(house):
    machine, _ = asked(house)
    reply = await house.conversation.on_request(Request(machine, Verb.ABORT, value="no disk"))

    assert (reply.code, house.ledger.runs["shop"].abort) == (0, "web.1: no disk")


async def test_an_abort_without_a_reason_has_one_anyway(house):
    machine, _ = asked(house)
    await house.conversation.on_request(Request(machine, Verb.ABORT))

    assert house.ledger.runs["shop"].abort == "web.1: (unspecified)"


async def test_a_recipe_may_take_an_abort_back(house):
    machine, _ = asked(house)
    await house.conversation.on_request(Request(machine, Verb.ABORT, value="oops"))
    aborted = await house.conversation.on_request(Request(machine, Verb.GET, "port"))
    await house.conversation.on_request(Request(machine, Verb.CANCEL_ABORT))
    after = await house.conversation.on_request(Request(machine, Verb.GET, "port", wait=False))

    assert (aborted.code, after.code, house.ledger.runs["shop"].abort) == (8, 0, "")
