"""What OpenStack costs in calls, and that a batch is never made twice."""

import asyncio
from dataclasses import replace

import pytest

from contracts.asking import make, opened
from contracts.openstack.asking import SPEC, batch, order
from fakes.openstack.refusals import throttled
from headwater.errors import QuotaExceeded, Throttled, Transient
from headwater.topology.batches import batched
from headwater.topology.machines import (
    Ability,
    Machine,
)

# What it costs.


async def test_31_machines_are_one_call(gateway, endpoint) -> None:
    made = await make(gateway, batch(*range(1, 32)))

    assert endpoint.counted()["POST /servers"] == 1
    assert len({machine.id for machine in made}) == 31
    assert [m.key.index for m in made] == [*range(1, 32)]


async def test_machines_end_each_for_itself(gateway, endpoint) -> None:
    made = await make(gateway, batch(*range(1, 13)))

    await asyncio.gather(*(gateway.terminate(machine) for machine in made))

    assert endpoint.counted()["DELETE /servers/*"] == 12
    assert endpoint.project.nova.servers == {}


async def test_a_listing_is_one_call(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    await gateway.observe("lab")
    endpoint.clear()

    listings = [await gateway.observe("lab") for _ in range(3)]

    assert [len(listing.machines) for listing in listings] == [3, 3, 3]
    assert endpoint.counted() == {"GET /servers/detail": 3}


async def test_one_token_is_enough_for_all(gateway, endpoint) -> None:
    await asyncio.gather(*(gateway.create(batch(index)) for index in range(1, 6)))

    assert endpoint.project.keystone.issued == 1


async def test_a_list_of_many_pages_is_one_listing(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3, 4, 5))
    endpoint.project.nova.page = 2

    listing = await gateway.observe("lab")

    assert listing.complete
    assert sorted(m.key.index for m in listing.machines) == [1, 2, 3, 4, 5]


async def test_half_a_list_is_none(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    endpoint.project.nova.page = 2
    pages = iter([None])

    def before(action: str) -> None:
        if action == "GET /servers/detail" and next(pages, throttled) is throttled:
            raise throttled()

    endpoint.before = before

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert "429" in listing.error


async def test_a_list_that_changes_while_it_is_read_is_read_again(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    nova = endpoint.project.nova
    nova.page = 2

    def after(action: str) -> None:
        if action == "GET /servers/detail" and len(nova.servers) == 3:
            for id in [id for id, server in nova.servers.items() if server.name == "hello-web-2"]:
                del nova.servers[id]

    endpoint.after = after

    first = await gateway.observe("lab")
    second = await gateway.observe("lab")

    assert not first.complete
    assert "listed again" in first.error
    assert [m.key.index for m in second.machines] == [3, 1]


async def test_strangers_are_counted(gateway, endpoint, tmp_path) -> None:
    async with opened(endpoint.cloud("lab"), tmp_path / "theirs", "theirs") as others:
        await others.create(
            [replace(o, tags=replace(o.tags, installation="theirs")) for o in batch(1, 2)]
        )

    assert (await gateway.observe("lab")).unknown == 2


# Batches: nova numbers what it makes, and has no tokens.


@pytest.mark.parametrize(
    ("indexes", "names"),
    [
        ((1, 2, 3), ["hello-web-1", "hello-web-2", "hello-web-3"]),
        ((2, 3), ["hello-web-2-3-1", "hello-web-2-3-2"]),
        ((1,), ["hello-web-1"]),
        ((7,), ["hello-web-7"]),
    ],
)
async def test_names_tell_the_place_in_a_batch(gateway, endpoint, indexes, names) -> None:
    made = await make(gateway, batch(*indexes))

    assert [m.key.index for m in made] == [*indexes]
    servers = endpoint.project.nova.servers
    assert [servers[m.id.id].name for m in made] == names
    assert [m.name for m in made] == [f"hello-web-{index}" for index in indexes]


@pytest.mark.parametrize(
    "name", ["my-favourite-2", "hello-web-3", "hello-web-0", "hello-web-02", "hello-web", "2", ""]
)
async def test_a_machine_whose_name_was_changed_makes_no_other_one_missing(
    gateway, endpoint, name
) -> None:
    made = await make(gateway, batch(1, 2))
    endpoint.project.nova.servers[made[1].id.id].name = name

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert f"server {made[1].id.id} is called '{name}'" in listing.error
    assert "call it hello-web-N again, with the number N up to 2" in listing.error


async def test_a_single_machine_may_be_called_anything(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.project.nova.servers[machine.id.id].name = "my-favourite"

    listing = await gateway.observe("lab")

    assert [m.name for m in listing.machines] == ["hello-web-1"]


async def test_long_names_are_cut_and_still_tell(gateway) -> None:
    spec, long = SPEC, "d" * 63
    indexes = range(1, 180, 3)
    orders = batched([order(index, spec, deployment=long) for index in indexes], {})

    made = await make(gateway, orders)

    assert [m.key.index for m in made] == [*indexes]


async def test_a_batch_whose_answer_was_lost_is_found_again(gateway, endpoint) -> None:
    def lose(action: str) -> None:
        if action == "POST /servers":
            endpoint.after = lambda _: None
            raise ConnectionResetError

    endpoint.after = lose
    orders = batch(1, 2, 3)
    lost = await gateway.create(orders)
    assert all(type(answer) is Transient for answer in lost), lost

    made = await make(gateway, orders)

    assert {m.id.id for m in made} == set(endpoint.project.nova.servers)
    assert len(made) == 3


async def test_what_is_missing_of_a_batch_is_made_and_no_more(gateway) -> None:
    orders = batch(1, 2, 3)
    first = await make(gateway, orders)
    await gateway.terminate(first[1])

    again = await make(gateway, orders)

    assert [again[0].id, again[2].id] == [first[0].id, first[2].id]
    assert again[1].id != first[1].id
    assert [m.key.index for m in (await gateway.observe("lab")).machines] == [2, 3, 1]


async def test_planners_are_told_that_there_are_no_tokens(gateway) -> None:
    able = gateway.capabilities("lab")

    assert not able.idempotent
    assert able.abilities == {
        Ability.TAGS,
        Ability.USER_DATA,
        Ability.BATCH,
        Ability.PORTS,
        Ability.VOLUMES,
    }


async def test_a_machine_answers_with_the_key_of_the_call_that_made_it(
    gateway, endpoint, tmp_path
) -> None:
    [one, two] = await make(gateway, batch(1, 2))
    [other] = await make(gateway, batch(3))
    async with opened(endpoint.cloud("lab"), tmp_path) as later:
        listed = (await later.observe("lab")).machines

    assert one.host_key == two.host_key != other.host_key
    assert one.one_time
    assert {m.host_key for m in listed} == {one.host_key, other.host_key}


async def test_a_quota_that_ends_half_way_is_said(gateway, endpoint) -> None:
    endpoint.project.nova.quota = 2

    answers = await gateway.create(batch(1, 2, 3))
    [last] = await gateway.create(batch(3))

    assert [type(answer) for answer in answers] == [Machine, Machine, Throttled]
    assert "made 2 of 3" in str(answers[2])
    assert isinstance(last, QuotaExceeded)
    assert "Quota exceeded for instances" in str(last)
    assert len((await gateway.observe("lab")).machines) == 2
