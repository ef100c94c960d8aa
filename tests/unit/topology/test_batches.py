from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.manifests.resolved import Size
from headwater.topology.batches import LONGEST, batched, read, written
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Batch, CreateOrder, MachineSpec, Tags, machine_name

SPEC = MachineSpec("aws", "debian", "ami-1", Size())
MEMBERS = st.lists(
    st.tuples(st.integers(1, 500), st.integers(1, 9)), unique_by=lambda m: m[0], min_size=1
).map(lambda members: tuple(sorted(members)))


def order(index: int, incarnation: int = 1, node: str = "wn", **tags: object) -> CreateOrder:
    key = InstanceKey("cluster", node, index)
    made = Tags("ours", key, incarnation, "digest", "r1")
    return CreateOrder(
        name=machine_name(key, incarnation),
        token=f"{node}.{index}.{incarnation}",
        spec=SPEC,
        tags=replace(made, **tags),  # type: ignore[arg-type]
        authorized_key="ssh-ed25519 AAAA",
    )


def batches(orders: list[CreateOrder]) -> list[Batch]:
    found = [order.batch for order in orders if order.batch is not None]
    assert len(found) == len(orders)
    return found


def begun(orders: list[CreateOrder]) -> dict[InstanceKey, tuple[str, Batch]]:
    return {
        order.tags.key: (order.tags.machine_digest, batch)
        for order, batch in zip(orders, batches(orders), strict=True)
    }


def test_equal_orders_share_a_call_and_stay_in_their_order() -> None:
    made = batched([order(3), order(1), order(2)], {})

    assert [each.tags.key.index for each in made] == [3, 1, 2]
    [batch] = set(batches(made))
    assert batch.members == ((1, 1), (2, 1), (3, 1))


@pytest.mark.parametrize(
    "other",
    [
        order(2, node="ce"),
        order(2, machine_digest="another"),
        order(2, revision="r2"),
        order(2, protect=True),
        replace(order(2), authorized_key="ssh-ed25519 BBBB"),
        replace(order(2), spec=replace(SPEC, cloud="elsewhere")),
        replace(order(2), spec=replace(SPEC, login_user="admin")),
    ],
)
def test_what_differs_in_anything_the_call_says_is_another_call(other: CreateOrder) -> None:
    one, another = batches(batched([order(1), other], {}))

    assert one.token != another.token


def test_another_set_has_another_token() -> None:
    tokens = {
        batches(batched([order(i) for i in indexes], {}))[0].token
        for indexes in ([1], [2], [1, 2], [1, 2, 3])
    }

    assert len(tokens) == 4


def test_the_same_set_has_the_same_token_whatever_its_order() -> None:
    one, another = batched([order(1), order(2)], {}), batched([order(2), order(1)], {})

    assert {b.token for b in batches(one)} == {b.token for b in batches(another)}


def test_a_call_without_an_answer_is_repeated_as_it_was() -> None:
    first = batched([order(i) for i in (1, 2, 3)], {})
    later = [order(i, revision="r2", protect=True) for i in (1, 2, 3, 4)]

    again = batched(later, begun(first))

    assert batches(again)[:3] == batches(first)
    assert [(o.tags.revision, o.tags.protect) for o in again] == [("r1", False)] * 3 + [
        ("r2", True)
    ]
    assert batches(again)[3].members == ((4, 1),)


def test_a_part_of_a_call_repeats_the_whole_of_it() -> None:
    first = batched([order(i) for i in (1, 2, 3)], {})

    [again] = batched([order(2)], begun(first))

    assert again.batch == first[1].batch


@pytest.mark.parametrize("changed", [order(1, machine_digest="new"), order(1, incarnation=2)])
def test_a_call_that_would_make_something_else_is_not_repeated(changed: CreateOrder) -> None:
    first = batched([order(1), order(2)], {})

    [again] = batched([changed], begun(first))

    assert again.batch is not None
    assert again.batch.token not in {batch.token for batch in batches(first)}


def test_members_that_no_tag_could_hold_are_several_calls() -> None:
    orders = batched([order(index) for index in range(1, 400, 2)], {})

    calls = set(batches(orders))
    assert len(calls) > 1
    assert all(len(written(batch.members)) <= LONGEST for batch in calls)
    assert sorted(m for batch in calls for m in batch.members) == [(i, 1) for i in range(1, 400, 2)]


@given(MEMBERS)
def test_what_is_written_is_read_again(members: tuple[tuple[int, int], ...]) -> None:
    assert read(written(members)) == members


def test_ranges_are_short() -> None:
    assert written([(1, 1), (2, 1), (3, 1), (5, 2), (6, 1)]) == "1-3,5r2,6"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "1,",
        "a",
        "3-1",
        "1-1",
        "1r1",
        "1,2",
        "01",
        "1-99999999",
        "1-3,2",
        "1r0",
        "-1",
        "1-",
    ],
)
def test_what_we_never_wrote_is_no_list_of_members(text: str) -> None:
    assert read(text) is None
