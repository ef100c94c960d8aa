"""Calls that make several machines, as the executor asks for them and the ledger keeps them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fakes.builders import deployment, key, node
from fakes.house import House
from headwater.errors import Throttled, Transient
from headwater.reconcile.ledger import Ledger
from headwater.topology.machines import CreateOrder, Machine, MachineState

WEB = deployment(node("web", 3))
CHANGED = deployment(node("web", 4, deploy="#!/bin/sh\nexit 0\n"))


@pytest.fixture
async def house():
    return House()


@pytest.fixture
def asked(house: House, monkeypatch: pytest.MonkeyPatch) -> list[list[CreateOrder]]:
    """The orders of each call."""
    calls: list[list[CreateOrder]] = []
    create = house.clouds.create

    async def spy(orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        calls.append(list(orders))
        return await create(orders)

    monkeypatch.setattr(house.clouds, "create", spy)
    return calls


async def test_equal_machines_are_asked_for_as_one_batch(house, asked):
    await house.want(WEB)
    await house.rest()

    [orders] = asked
    assert len({order.batch.token for order in orders}) == 1
    assert orders[0].batch.members == ((1, 1), (2, 1), (3, 1))


async def test_a_batch_without_an_answer_is_repeated_as_it_was_at_another_revision(house, asked):
    for index in (1, 2, 3):
        house.clouds.refused[key(f"web.{index}")] = Transient("no answer")
    await house.want(WEB)
    await house.reconcile()
    await house.want(CHANGED, revision="r2")
    await house.rest()

    first, again = asked[:2]
    assert [order.batch for order in again[:3]] == [order.batch for order in first]
    assert [order.tags.revision for order in again] == ["r1", "r1", "r1", "r2"]
    assert house.instances() == ["web.1#1", "web.2#1", "web.3#1", "web.4#1"]


async def test_a_batch_is_known_after_a_restart(house, asked):
    for index in (1, 2, 3):
        house.clouds.refused[key(f"web.{index}")] = Transient("no answer")
    await house.want(WEB)
    await house.reconcile()

    begun = Ledger(house.store).begun("shop")

    assert {k: batch for k, (_, batch) in begun.items()} == {
        order.tags.key: order.batch for order in asked[0]
    }


async def test_what_is_short_of_a_batch_is_another_batch(house, asked):
    house.clouds.refused[key("web.3")] = Throttled("made 2 of 3", 0.0)
    await house.want(WEB)
    await house.reconcile()
    await house.rest()

    assert [len(orders) for orders in asked] == [3, 1]
    assert asked[1][0].batch.members == ((3, 1),)
    assert asked[1][0].batch.token != asked[0][0].batch.token
    assert house.instances() == ["web.1#1", "web.2#1", "web.3#1"]


async def test_an_order_of_an_incarnation_that_is_over_leads_to_the_next(house, monkeypatch):
    create = house.clouds.create
    ghosts = 0

    async def remembering(orders):
        nonlocal ghosts
        answers = []
        for order in orders:
            [machine] = await create([order])
            if order.tags.key.index == 2 and order.tags.incarnation == 1:
                house.clouds.lose(machine.id)
                machine = replace(machine, state=MachineState.STOPPING)
                ghosts += 1
            answers.append(machine)
        return answers

    monkeypatch.setattr(house.clouds, "create", remembering)
    await house.want(WEB)
    await house.rest()

    assert house.instances() == ["web.1#1", "web.2#2", "web.3#1"]
    assert ghosts == 1
