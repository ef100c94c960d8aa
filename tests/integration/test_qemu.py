"""Machines of QEMU: real processes, disks and seeds; what boots in them is not looked at here."""

import io
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeImage
from libcloud.compute.types import NodeState

from harness import qemu
from headwater.cloud.local.processes import start_time
from headwater.cloud.qemu import accelerator, process, record, seed
from headwater.cloud.qemu.command import CONSOLE, DISK, PIDFILE, SEED
from headwater.cloud.qemu.driver import QemuNodeDriver
from headwater.cloud.qemu.fleet import Fleet
from local_cloud import wait_until

pytestmark = qemu.needs_qemu
USER_DATA = "#cloud-config\n{}\n"


class Host:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.images = qemu.images(directory / "images")

    @property
    def driver(self) -> QemuNodeDriver:
        """As another process would open it."""
        return QemuNodeDriver(str(self.directory), accelerator="tcg")

    def folder(self, node: Node) -> Path:
        return self.directory / "machines" / str(node.id)

    def make(self, order: str = "t-1", image: str = qemu.IMAGE, **size: int | None) -> Node:
        driver = self.driver
        wanted = driver.ex_size(size.get("cpus"), size.get("memory", 64 << 20), size.get("disk"))
        known = NodeImage(image, image, driver)
        return driver.create_node("web-1", wanted, known, {"mine": "yes"}, USER_DATA, order)

    def seen(self, node: Node) -> Node:
        [found] = [each for each in self.driver.list_nodes() if each.id == node.id]
        return found

    def pid(self, node: Node) -> int:
        pid = process.pid_of(self.folder(node))
        assert pid is not None
        return pid


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "state" / "qemu")
    yield made
    for node in made.driver.list_nodes():
        made.driver.destroy_node(node)


def info(disk: Path) -> dict[str, Any]:
    command = ["qemu-img", "info", "-U", "--output=json", str(disk)]
    ended = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_machine_is_as_large_as_it_asks_to_be_and_writes_to_a_disk_of_its_own(
    host: Host,
) -> None:
    node = host.make(cpus=2, memory=96 << 20, disk=3 << 30)

    disk = info(host.folder(node) / DISK)
    arguments = Path(f"/proc/{host.pid(node)}/cmdline").read_text().split("\0")
    assert disk["virtual-size"] == 3 << 30
    assert disk["full-backing-filename"] == str(host.images / qemu.IMAGE)
    assert arguments[arguments.index("-smp") + 1] == "2"
    assert arguments[arguments.index("-m") + 1] == "96M"


def test_its_ssh_port_is_a_port_of_this_host(host: Host) -> None:
    node = host.make()

    assert node.public_ips == ["127.0.0.1"]
    with socket.create_connection(("127.0.0.1", node.extra["ssh_port"]), 10):
        pass


def test_a_machine_outlives_who_made_it_and_is_found_by_its_token(host: Host) -> None:
    first = host.make()
    pid = host.pid(first)

    again = host.make()

    assert (again.id, host.pid(again)) == (first.id, pid)
    assert os.getsid(pid) != os.getsid(0)
    assert [each.id for each in host.driver.list_nodes()] == [first.id]


def test_a_creation_that_broke_off_is_taken_up(host: Host) -> None:
    node = host.make()
    folder = host.folder(node)
    process.kill(folder)
    (folder / DISK).unlink()
    document = json.loads((folder / record.RECORD).read_text())
    (folder / record.RECORD).write_text(json.dumps({**document, "state": "pending"}))
    assert host.seen(node).state == NodeState.PENDING

    assert host.make().id == node.id

    assert host.seen(node).state == NodeState.RUNNING


def test_what_a_creation_that_broke_off_has_left_is_no_machine_in_the_end(host: Host) -> None:
    node = host.make()
    process.kill(host.folder(node))
    file = host.folder(node) / record.RECORD
    left = {"state": "pending", "created": "2026-01-01T00:00:00+00:00"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **left}))

    assert host.seen(node).state == NodeState.ERROR


def test_a_machine_that_began_and_was_not_recorded_goes_on(host: Host) -> None:
    node = host.make()
    pid, file = host.pid(node), host.folder(node) / record.RECORD
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "pending"}))

    host.make()

    assert host.pid(node) == pid


def test_a_killed_machine_is_stopped_and_starts_again_from_its_disk(host: Host) -> None:
    node = host.make()
    disk = (host.folder(node) / DISK).stat().st_ino
    os.kill(host.pid(node), signal.SIGKILL)
    wait_until(lambda: host.seen(node).state == NodeState.STOPPED, "it is seen stopped")
    assert host.seen(node).public_ips == []

    assert host.driver.start_node(node)

    assert host.seen(node).state == NodeState.RUNNING
    assert (host.folder(node) / DISK).stat().st_ino == disk


def test_a_machine_that_does_not_mind_its_power_button_is_stopped_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.cloud.qemu.fleet._SHUTDOWN_SECONDS", 0.1)
    node = host.make()

    assert host.driver.stop_node(node)

    assert host.seen(node).state == NodeState.STOPPED
    assert host.folder(node).is_dir()


def test_a_machine_that_is_ended_leaves_nothing(host: Host) -> None:
    node = host.make()
    pid = host.pid(node)

    assert host.driver.destroy_node(node)
    assert host.driver.destroy_node(node)

    assert start_time(pid) is None
    assert not host.folder(node).exists()


def test_no_other_process_is_taken_for_a_machine(host: Host) -> None:
    node = host.make()
    process.kill(host.folder(node))
    (host.folder(node) / PIDFILE).write_text(f"{os.getpid()}\n")

    assert host.seen(node).state == NodeState.STOPPED
    assert host.driver.destroy_node(node)


def test_an_id_leads_to_no_other_folder(host: Host) -> None:
    outside = host.directory.parent / "precious"
    outside.mkdir()

    for id in ("../../precious", "", ".", "..", str(outside)):
        host.driver.destroy_node(Node(id, id, NodeState.UNKNOWN, [], [], host.driver))

    assert outside.is_dir()
    assert host.images.is_dir()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nothing.qcow2", r"is not in .*, where there are: bare\.qcow2"),
        ("../secret.qcow2", "is not below"),
        ("link.qcow2", "is not below"),
        ("raw.img", "is no qcow2 file"),
        ("a\0b", "is not in"),
    ],
)
def test_only_qcow2_files_below_the_folder_are_images(host: Host, image: str, words: str) -> None:
    secret = host.images.parent / "secret.qcow2"
    secret.write_bytes((host.images / qemu.IMAGE).read_bytes())
    (host.images / "link.qcow2").symlink_to(secret)
    (host.images / "raw.img").write_bytes(b"\0" * 4096)

    with pytest.raises(BaseHTTPError, match=words) as caught:
        host.make(image=image)

    assert caught.value.code == 400
    assert host.driver.list_nodes() == []


def test_a_disk_smaller_than_its_image_is_refused_with_what_to_ask_for(host: Host) -> None:
    subprocess.run(["qemu-img", "resize", "-q", str(host.images / qemu.IMAGE), "5G"], check=True)

    with pytest.raises(BaseHTTPError, match=r"needs a disk of 5 GiB, and 2 are asked for"):
        host.make(disk=2 << 30)


def test_a_record_that_cannot_be_read_hides_no_other(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = host.make("t-1"), host.make("t-2")
    (host.folder(broken) / record.RECORD).write_text("{")

    assert [each.id for each in host.driver.list_nodes()] == [sound.id]

    assert "cloud.qemu.record_not_read" in caplog.text
    host.driver.destroy_node(broken)


def test_machines_have_numbers_ports_and_addresses_of_their_own(host: Host) -> None:
    first, second = host.make("t-1"), host.make("t-2")
    host.driver.destroy_node(first)
    third = host.make("t-3")

    assert [each.extra["inside"] for each in (first, second, third)] == [
        "10.77.0.2",
        "10.77.0.3",
        "10.77.0.2",
    ]
    assert second.extra["ssh_port"] != third.extra["ssh_port"]


def test_the_seed_is_what_cloud_init_looks_for(host: Host) -> None:
    import pycdlib  # noqa: PLC0415  # skipped before where it is missing

    file = host.folder(host.make()) / SEED
    iso = pycdlib.PyCdlib()
    iso.open(str(file))
    content = {}
    for child in iso.list_children(rr_path="/"):
        if child.is_file():
            out = io.BytesIO()
            iso.get_file_from_iso_fp(out, rr_path=f"/{child.rock_ridge.name().decode()}")
            content[child.rock_ridge.name().decode()] = out.getvalue().decode()
    label = iso.pvd.volume_identifier.decode().strip()
    iso.close()

    assert (label, file.stat().st_mode & 0o777) == ("cidata", 0o600)
    assert content["user-data"] == USER_DATA
    assert json.loads(content["meta-data"])["local-hostname"] == "web-1"
    inside = json.loads(content["network-config"])["ethernets"]["inside"]
    assert inside["addresses"] == ["10.77.0.2/16"]
    assert inside["match"]["macaddress"] == seed.macs_of(0)[1]


def test_the_console_is_kept_and_its_end_is_told(host: Host) -> None:
    node = host.make()
    (host.folder(node) / CONSOLE).write_bytes(b"x" * (1 << 17) + b"the end\n")

    told = host.driver.ex_get_console_output(node)["output"]

    assert len(told) == 1 << 16
    assert told.endswith("the end\n")


def test_an_accelerator_counts_when_something_has_booted_with_it_and_is_remembered(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accelerator.boots("tcg")
    monkeypatch.setattr(accelerator, "boots", lambda wanted: wanted == "kvm")
    fleet = Fleet(host.directory, host.images, "auto")
    assert fleet.accelerator() == "kvm"
    monkeypatch.setattr(accelerator, "boots", lambda _: False)

    assert fleet.accelerator() == "kvm"
    monkeypatch.setattr(accelerator, "boot_id", lambda: "another")
    assert fleet.accelerator() == "tcg"


def test_without_qemu_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BaseHTTPError, match="qemu-system-x86_64 is not installed"):
        QemuNodeDriver(str(tmp_path))


def test_what_qemu_says_when_it_does_not_start_is_told(host: Host) -> None:
    with pytest.raises(BaseHTTPError, match=r"QEMU does not start: .*CPUs") as caught:
        host.make(cpus=100_000)

    assert caught.value.code == 500
