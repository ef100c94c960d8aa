"""Volumes of the embedded cloud: real folders on real machines, at every level of isolation."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, StorageVolume

from local_cloud import LocalCloud, local_cloud, output


@pytest.fixture(params=["process", "sandbox", "machine"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalCloud]:
    with local_cloud(tmp_path / "cloud", request.param) as cloud:
        yield cloud
        for node in cloud.driver.list_nodes():
            cloud.driver.destroy_node(node)
        for volume in cloud.driver.list_volumes():
            cloud.driver.destroy_volume(volume)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[LocalCloud]:
    with local_cloud(tmp_path / "cloud", "process") as cloud:
        yield cloud


def volume(cloud: LocalCloud, name: str = "store") -> StorageVolume:
    return cloud.driver.create_volume(3, name)


def again(cloud: LocalCloud) -> StorageVolume:
    [listed] = cloud.driver.list_volumes()
    return listed


def told(cloud: LocalCloud, name: str) -> Any:
    """Of the one volume."""
    extra: Any = again(cloud).extra
    return extra[name]


def plug(cloud: LocalCloud, node: Node, made: StorageVolume) -> str:
    """Its place on the machine."""
    cloud.driver.attach_volume(node, made)
    [device] = told(cloud, "devices")
    return str(device)


def lying(cloud: LocalCloud, made: StorageVolume) -> Path:
    """Where the folder is while no machine has it."""
    return cloud.layout.volumes / str(made.id)


def test_a_volume_comes_to_a_running_machine_and_what_is_written_stays(cloud: LocalCloud) -> None:
    first, made = cloud.create("first"), volume(cloud)
    device = plug(cloud, first, made)
    asyncio.run(output(first, f"echo kept >{device}/file"))
    cloud.driver.destroy_node(first)
    assert told(cloud, "attached_to") == ""

    second = cloud.create("second")
    device = plug(cloud, second, made)

    assert asyncio.run(output(second, f"cat {device}/file")) == "kept"


def test_a_machine_sees_its_own_volumes_and_no_others(cloud: LocalCloud) -> None:
    node, other = cloud.create("one"), cloud.create("other")
    device = plug(cloud, node, volume(cloud))
    folder = device.rpartition("/")[0]

    assert asyncio.run(output(node, f"ls {folder}")) == again(cloud).id
    if told(cloud, "devices")[0].startswith("/.volumes"):
        assert asyncio.run(output(other, f"ls {folder}")) == ""


def test_volumes_outlive_the_host_process_and_its_machines(plain: LocalCloud) -> None:
    node, made = plain.create("one"), volume(plain)
    device = plug(plain, node, made)
    Path(device, "file").write_text("kept")
    plain.kill_host()

    assert told(plain, "attached_to") == node.id
    plain.driver.destroy_node(node)

    assert (lying(plain, made) / "file").read_text() == "kept"
    plain.driver.destroy_volume(made)


def test_what_a_vanished_machine_had_is_free_when_the_host_is_there_again(
    plain: LocalCloud,
) -> None:
    node, made = plain.create("one"), volume(plain)
    Path(plug(plain, node, made), "file").write_text("kept")
    plain.kill_host()
    plain.layout.record(str(node.id)).unlink()

    assert told(plain, "attached_to") == ""
    assert (lying(plain, made) / "file").read_text() == "kept"
    plain.driver.destroy_volume(made)


def test_a_volume_whose_making_was_interrupted_is_cleared(plain: LocalCloud) -> None:
    plain.create("one")
    made = volume(plain)
    plain.kill_host()
    half = plain.layout.volumes / "vol-half"
    half.mkdir()

    plain.create("two")

    assert not half.exists()
    plain.driver.destroy_volume(made)


def test_a_link_in_place_of_a_volume_is_not_followed(plain: LocalCloud, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    node, made = plain.create("one"), volume(plain)
    device = Path(plug(plain, node, made))
    device.rmdir()
    device.symlink_to(precious)

    plain.driver.destroy_node(node)
    assert list(lying(plain, made).iterdir()) == []
    plain.driver.destroy_volume(made)

    assert (precious / "file").exists()


def test_a_volume_that_a_machine_has_is_not_deleted(plain: LocalCloud) -> None:
    node, made = plain.create("one"), volume(plain)
    plug(plain, node, made)

    with pytest.raises(BaseHTTPError, match=f"in use: {node.id} has it"):
        plain.driver.destroy_volume(made)
    plain.driver.destroy_node(node)
    plain.driver.destroy_volume(made)
    plain.driver.destroy_volume(made)

    assert plain.driver.list_volumes() == []


def test_volumes_alone_need_no_process_to_be_listed(plain: LocalCloud) -> None:
    node, made = plain.create("one"), volume(plain)
    plain.driver.destroy_node(node)
    plain.kill_host()

    assert again(plain).id == made.id
    assert plain.host_pid is None
    plain.driver.destroy_volume(made)


def test_a_record_that_cannot_be_read_hides_no_other(
    plain: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    made = volume(plain)
    (plain.layout.volumes / "vol-bad.json").write_text("{")

    assert again(plain).id == made.id
    assert "volume.corrupt" in caplog.text
    (plain.layout.volumes / "vol-bad.json").unlink()
    plain.driver.destroy_volume(made)
