"""Which instance lives at which cloud, whatever the spread was before."""

from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import deployment, key, node
from headwater.topology.desired import expand
from headwater.topology.keys import InstanceKey
from headwater.topology.placement import Places, assign

KEYS = [key(f"wn.{index}") for index in range(1, 9)]


def placed(spread: dict[str, int], before: str = "", skip: tuple[int, ...] = ()) -> str:
    """A letter per instance, in the order of indexes: its cloud, now and `before`."""
    total = sum(spread.values())
    keys = [k for k in KEYS[:total] if k.index not in skip]
    places = {k: cloud for k, cloud in zip(KEYS, before, strict=False) if cloud != "-"}
    return "".join(assign(tuple(spread.items()), keys, places).values())


def test_a_new_node_fills_its_clouds_in_the_order_of_the_manifest():
    assert placed({"a": 2, "b": 1}) == "aab"


def test_growing_at_the_first_cloud_moves_nobody():
    assert placed({"a": 3, "b": 1}, before="aab") == "aaba"


def test_growing_at_the_last_cloud_moves_nobody():
    assert placed({"a": 2, "b": 3}, before="aab") == "aabbb"


def test_moving_one_instance_moves_one():
    assert placed({"a": 1, "b": 2}, before="aab") == "abb"


def test_another_order_of_the_clouds_moves_nobody():
    assert placed({"b": 1, "a": 2}, before="aab") == "aab"


def test_shrinking_takes_the_highest_indexes_and_moves_no_more_than_it_must():
    assert placed({"a": 2}, before="aab") == "aa"
    assert placed({"a": 1, "b": 2}, before="aabb") == "abb"


def test_skipping_one_moves_nobody():
    assert placed({"a": 2, "b": 2}, before="abab", skip=(3,)) == "abb"


def test_a_repaired_instance_comes_back_where_there_is_room():
    assert placed({"a": 2, "b": 2}, before="ab-b") == "abab"


def test_a_new_cloud_gets_only_what_is_moved_to_it():
    assert placed({"a": 2, "b": 1, "c": 1}, before="aab") == "aabc"
    assert placed({"b": 1, "c": 2}, before="aab") == "ccb"


@given(
    spread=st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), min_size=1),
    before=st.text("abc-", max_size=6),
    skip=st.sets(st.integers(1, 3)),
)
def test_every_instance_has_one_place_no_cloud_has_more_than_its_share(spread, before, skip):
    now = placed(spread, before, tuple(skip))

    total = sum(spread.values())
    assert len(now) == total - len([index for index in skip if index <= total])
    assert all(now.count(cloud) <= count for cloud, count in spread.items())


@given(spread=st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), min_size=1))
def test_what_was_assigned_once_is_assigned_again(spread):
    first = placed(spread)

    assert placed(spread, before=first) == first


def test_an_expanded_node_stays_where_it_is():
    def specs(*clouds: tuple[str, int], places: Places) -> dict[InstanceKey, str]:
        total = sum(count for _, count in clouds)
        wished = expand(deployment(node("wn", total, clouds=clouds)), places)
        return {k: spec.machine.cloud for k, spec in wished.instances.items()}

    before = specs(("a", 1), ("b", 1), places={})
    after = specs(("a", 2), ("b", 1), places=before)

    assert before == {key("wn.1"): "a", key("wn.2"): "b"}
    assert after == {**before, key("wn.3"): "a"}
