import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cloud.tags import (
    INDEX,
    INSTALLATION,
    MEMBERS,
    SIZE,
    from_metadata,
    of_member,
    to_batch_metadata,
    to_metadata,
)
from headwater.manifests.resolved import Size
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Batch, Tags

names = st.text(min_size=1)
amounts = st.none() | st.integers(0, 10**15)
tags = st.builds(
    Tags,
    installation=names,
    key=st.builds(InstanceKey, names, names, st.integers(1, 10**6)),
    incarnation=st.integers(0, 10**6),
    machine_digest=st.text(),
    revision=st.text(),
    protect=st.booleans(),
    orphan=st.booleans(),
    size=st.builds(Size, amounts, amounts, amounts) | st.builds(Size, name=names),
)
EXAMPLE = to_metadata(Tags("ours", InstanceKey("hello", "web", 1), 1, "digest", "revision"))


@pytest.mark.parametrize("size", ["", "cpus", "cpus=-1 memory=07", "cpus=many", "=", "= ="])
def test_a_size_that_we_never_wrote_asks_for_nothing(size: str) -> None:
    found = from_metadata(EXAMPLE | {SIZE: size}, "ours")

    assert found is not None
    assert found.size == Size()


@given(tags)
def test_tags_come_back_as_they_went(written: Tags) -> None:
    assert from_metadata(to_metadata(written), written.installation) == written


@given(tags, names)
def test_another_installations_machine_is_not_ours(written: Tags, installation: str) -> None:
    if installation != written.installation:
        assert from_metadata(to_metadata(written), installation) is None


def test_further_tags_change_nothing() -> None:
    assert from_metadata(EXAMPLE | {"owner": "ada"}, "ours") is not None


@pytest.mark.parametrize("missing", [key for key in EXAMPLE if key != INSTALLATION])
def test_a_machine_that_lacks_one_of_our_tags_is_unknown(missing: str) -> None:
    assert from_metadata({k: v for k, v in EXAMPLE.items() if k != missing}, "ours") is None


@pytest.mark.parametrize("index", ["0", "-1", "01", "1.0", "one", "", "٣", "1 ", "9" * 30, 1, None])
def test_an_index_that_we_never_wrote_is_unknown(index: object) -> None:
    assert from_metadata(EXAMPLE | {INDEX: index}, "ours") is None


@given(st.dictionaries(st.sampled_from([*EXAMPLE, "x"]), st.none() | st.text() | st.integers()))
def test_any_metadata_is_ours_or_unknown(metadata: dict[str, object]) -> None:
    from_metadata({INSTALLATION: "ours", **metadata}, "ours")


BATCH = Batch("token", ((3, 1), (4, 1), (7, 2)), "revision")
SHARED = to_batch_metadata(Tags("ours", InstanceKey("hello", "web", 3), 1, "digest", "r"), BATCH)


@pytest.mark.parametrize(("place", "member"), list(enumerate(BATCH.members)))
def test_a_machine_of_a_batch_is_told_by_its_place(place: int, member: tuple[int, int]) -> None:
    found = from_metadata(of_member(SHARED, place), "ours")

    assert found is not None
    assert (found.key.index, found.incarnation) == member
    assert (found.key.deployment, found.machine_digest) == ("hello", "digest")


@pytest.mark.parametrize("place", [None, -1, 3])
def test_a_machine_without_a_place_in_its_batch_is_unknown(place: int | None) -> None:
    assert from_metadata(of_member(SHARED, place), "ours") is None


@pytest.mark.parametrize("members", ["", "1-99999999", "3,3", "x"])
def test_members_that_we_never_wrote_make_a_machine_unknown(members: str) -> None:
    assert from_metadata(of_member({**SHARED, MEMBERS: members}, 0), "ours") is None


def test_a_batch_of_one_has_the_tags_of_one() -> None:
    alone = Tags("ours", InstanceKey("hello", "web", 3), 2, "digest", "r")

    metadata = to_batch_metadata(alone, Batch("token", ((3, 2),), "r"))

    assert metadata == to_metadata(alone) == of_member(metadata, 0)
