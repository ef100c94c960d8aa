"""Volumes through the calls that libcloud has for them, at a driver without tokens."""

from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libcloud.compute.base import Node, NodeDriver, StorageVolume
from libcloud.compute.types import StorageVolumeState

from fakes.builders import desired, key, machine, node
from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.options import Options
from headwater.cloud.generic import Generic
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.volume_tags import from_metadata, to_metadata
from headwater.cloud.volumes import DriverVolumes, has_volumes
from headwater.errors import Stalled, Transient
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Ability
from headwater.topology.volumes import Volume, VolumeKey, VolumeOrder, VolumeState, VolumeTags

KEY = VolumeKey(key("web.1"), "store")
TAGS = VolumeTags("ours", KEY)
(SPEC,) = desired(node("web")).instances.values()
MACHINE, OTHER = machine(SPEC, "m1"), machine(SPEC, "m2")


@dataclass
class Shelves:
    """What the driver's cloud has; `late`: its listing knows of attachments later."""

    there: dict[str, StorageVolume] = field(default_factory=dict)
    late: bool = False


class ShelfDriver(NodeDriver):
    name = "Shelves"
    features = {"create_node": ["ssh_key", "host_key"]}  # noqa: RUF012  # libcloud's own way to say it

    def __init__(self, shelves: Shelves) -> None:
        super().__init__("key")  # type: ignore[no-untyped-call]
        self.shelves = shelves

    def list_sizes(self, location: Any = None) -> list[Any]:  # noqa: ARG002  # libcloud's
        return []

    def create_node(self, name, size, image, auth, ex_metadata):  # type: ignore[override]
        raise NotImplementedError

    def list_volumes(self) -> list[StorageVolume]:
        return list(self.shelves.there.values())

    def create_volume(self, size, name, ex_metadata):  # type: ignore[override]
        id = f"v{len(self.shelves.there) + 1}"
        made = StorageVolume(id, name, size, self, StorageVolumeState.AVAILABLE, {"metadata": {}})
        kept = {"metadata": ex_metadata}
        self.shelves.there[id] = StorageVolume(
            id, name, size, self, StorageVolumeState.AVAILABLE, kept
        )
        return made

    def attach_volume(self, node: Node, volume: StorageVolume, device: Any = None) -> bool:  # noqa: ARG002
        there = self.shelves.there[volume.id]
        if not self.shelves.late:
            there.state = StorageVolumeState.INUSE
            there.extra = {**(there.extra or {}), "attached_to": node.id, "devices": ["/dev/vdb"]}
        return True

    def destroy_volume(self, volume: StorageVolume) -> bool:
        del self.shelves.there[volume.id]
        return True

    def ex_set_volume_metadata(self, volume: StorageVolume, metadata: dict[str, str]) -> None:
        extra = self.shelves.there[volume.id].extra
        self.shelves.there[volume.id].extra = {**(extra or {}), "metadata": metadata}


class PlainDriver(ShelfDriver):
    """It makes volumes, and cannot say whose they are."""

    def create_volume(self, size, name):  # type: ignore[override]
        raise NotImplementedError


@pytest.fixture
def shelves() -> Shelves:
    return Shelves()


@pytest.fixture
def volumes(shelves: Shelves) -> DriverVolumes:
    return DriverVolumes(ShelfDriver(shelves), "ours", "local")


def account() -> DriverAccount:
    return DriverAccount("local", "ours", "", HostKeys(b"secret"))


def order(size: int = 3 << 30) -> VolumeOrder:
    return VolumeOrder("shop-web-1-store", "token", TAGS, size, MACHINE)


def test_a_driver_that_tags_volumes_has_the_ability_and_another_has_not(shelves):
    able = Generic(ShelfDriver(shelves), "shelves", account(), Options({}, {}, {}))
    plain = Generic(PlainDriver(shelves), "shelves", account(), Options({}, {}, {}))

    assert Ability.VOLUMES in able.capabilities().abilities
    assert Ability.VOLUMES not in plain.capabilities().abilities
    assert isinstance(able.volumes(), DriverVolumes)
    with pytest.raises(Stalled, match="has no volumes that can be told from others'"):
        plain.volumes()
    assert not has_volumes(cast("NodeDriver", object()))


def test_without_tokens_a_repeated_order_is_found_by_its_tags(volumes):
    first = volumes.create(order())

    assert volumes.create(order()) == first
    assert volumes.list() == [first]


def test_sizes_are_whole_gibibytes_rounded_up(volumes):
    assert volumes.create(order(1)).size == 1 << 30


def test_what_is_not_ours_is_not_listed(volumes, shelves):
    volumes.create(order())
    metadata = to_metadata(replace(TAGS, installation="theirs"), "local")
    for id, extra in (("x1", {"metadata": metadata}), ("x2", None), ("x3", {"tags": {}})):
        shelves.there[id] = StorageVolume(id, "x", 1, volumes._driver, None, extra)

    assert len(volumes.list()) == 1


def test_a_listing_that_is_late_shows_the_volume_on_its_way(volumes, shelves):
    shelves.late = True
    made = volumes.create(order())

    plugged = volumes.attach(made, MACHINE, frozenset())

    assert (plugged.state, plugged.machine) == (VolumeState.CHANGING, "m1")


def test_a_volume_that_another_machine_has_is_waited_for(volumes):
    plugged = volumes.attach(volumes.create(order()), MACHINE, frozenset())

    with pytest.raises(Transient, match="m1 still has it"):
        volumes.attach(plugged, OTHER, frozenset())
    with pytest.raises(Transient, match="m1 still has it"):
        volumes.delete(plugged)


def test_a_volume_that_is_gone_is_deleted_and_cannot_be_attached(volumes):
    made = volumes.create(order())
    volumes.delete(made)

    volumes.delete(made)
    with pytest.raises(Transient, match="is not there"):
        volumes.attach(made, MACHINE, frozenset())


def test_one_that_the_cloud_is_deleting_is_not_listed(volumes, shelves):
    made: Volume = volumes.create(order())
    shelves.there[made.id.id].state = StorageVolumeState.DELETING

    assert volumes.list() == []


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
keys = st.builds(VolumeKey, st.builds(InstanceKey, names, names, st.integers(1, 10**6)), names)
moments = st.none() | st.datetimes(timezones=st.just(UTC))


@given(st.builds(VolumeTags, st.just("ours"), keys, st.booleans(), moments))
def test_tags_come_back_as_they_were_written(tags):
    assert from_metadata(to_metadata(tags, "local"), "ours", "local") == tags
    assert from_metadata(to_metadata(tags, "local"), "ours", "annexe") is None


@given(st.dictionaries(st.sampled_from(sorted(to_metadata(TAGS, "local"))), st.text(max_size=5)))
def test_what_we_never_wrote_is_not_ours_or_is_kept(wrong):
    found = from_metadata({**to_metadata(TAGS, "local"), **wrong}, "ours", "local")

    assert found is None or found.retain or wrong.get("headwater:retain", "false") == "false"
    if found is not None and "headwater:ended" in wrong:
        assert found.ended is None
