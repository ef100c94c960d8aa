"""Volumes on the machine, by the agent as it ships and the system's own programs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.agent_line import AgentLine, Machine, machine_in
from headwater_agent import mounting, protocol
from headwater_agent.mounting import Refused, has_file_system

MEBIBYTE = 1 << 20
needs_blkid = pytest.mark.skipif(
    not (shutil.which("blkid") and shutil.which("mkfs.ext4")), reason="needs blkid and mkfs.ext4"
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path / "machine") as machine:
        (machine.root / "etc").mkdir()
        yield machine


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    file = tmp_path / "disk"
    with file.open("wb") as empty:
        empty.truncate(16 * MEBIBYTE)
    return file


@contextmanager
def device(disk: Path) -> Iterator[str]:
    """The file as a block device. Skips where nobody may make one."""
    made = subprocess.run(
        ["losetup", "-f", "--show", str(disk)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    name = made.stdout.strip()
    try:
        yield name
    finally:
        subprocess.run(["losetup", "-d", name], check=True)


@contextmanager
def unmounted(place: Path) -> Iterator[None]:
    try:
        yield
    finally:
        if place.is_mount():
            subprocess.run(["umount", str(place)], check=True)


def mount(line: AgentLine, id: str, *devices: str, script: str = "#!/bin/sh\n") -> dict[str, Any]:
    """A context that mounts one volume at /data, and then runs the script; how it ended."""
    mounts = [protocol.mount("store", "/data", list(devices))]
    line.send(
        protocol.context(
            id=id,
            steps=[
                protocol.step("volumes", "test", "", [], mounts),
                protocol.step("deploy", "test", script, []),
            ],
            environment=[],
            timeout=60.0,
            authorized_keys=[],
            have=0,
        )
    )
    return line.ended(id)


@needs_blkid
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_an_empty_disk_is_formatted_once_and_mounted_before_the_recipes(machine, disk):
    write = f"#!/bin/sh\necho kept > {machine.root}/data/file\n"
    with device(disk) as name, unmounted(machine.root / "data"):
        line = machine.attach()
        assert mount(line, "one", "/dev/no-such", name, script=write)["succeeded"]
        again = mount(line, "two", name)
        table = (machine.root / "etc/fstab").read_text()

        assert again["succeeded"]
        assert (machine.root / "data").is_mount()
        assert (machine.root / "data/file").read_text() == "kept\n"
        assert f"{machine.root}/data auto defaults,nofail 0 2" in table
        assert b"is empty, and formatted" in line.output("one")
        assert b"formatted" not in line.output("two")

    with device(disk) as name, unmounted(machine.root / "data"):  # another machine has it next
        assert mount(line, "three", name)["succeeded"]
        assert (machine.root / "data/file").read_text() == "kept\n"


@needs_blkid
def test_a_disk_with_something_else_stops_the_recipes_and_is_left_as_it_is(machine, disk):
    disk.write_bytes(b"RAW DATABASE" + bytes(MEBIBYTE))
    before = disk.read_bytes()
    line = machine.attach()

    end = mount(line, "one", str(disk), script=f"#!/bin/sh\ntouch {machine.root}/ran\n")

    assert (end["succeeded"], end["step"], end["exit_code"]) == (False, "volumes", 1)
    assert "neither formatted nor mounted" in end["words"]
    assert disk.read_bytes() == before
    assert not (machine.root / "ran").exists()


SIGNATURES = {
    "crypto_LUKS": (0, b"LUKS\xba\xbe\x00\x01"),
    "LVM2_member": (512, b"LABELONE" + (1).to_bytes(8, "little") + bytes(8) + b"LVM2 001"),
    "dos": (
        446,
        b"\x80\x01\x01\x00\x83\xfe\xff\xff\x01\0\0\0\xff\x0f\0\0" + bytes(48) + b"\x55\xaa",
    ),
    "swap": (4086, b"SWAPSPACE2"),
}


@needs_blkid
@pytest.mark.parametrize("kind", SIGNATURES)
def test_no_signature_is_overwritten(disk, kind):
    at, mark = SIGNATURES[kind]
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(mark)

    with pytest.raises(Refused, match="neither formatted nor mounted"):
        has_file_system("store", str(disk))


@needs_blkid
@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_a_file_system_is_found_and_not_made_again(disk, kind):
    assert not has_file_system("store", str(disk))
    subprocess.run(["mkfs.ext4", "-q", "-F", "-t", kind, str(disk)], check=True)
    assert has_file_system("store", str(disk))


def test_a_folder_is_linked_where_the_machine_is_a_folder_itself(machine, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("kept")
    line = machine.attach()

    assert mount(line, "one", str(volume))["succeeded"]
    assert mount(line, "two", str(volume))["succeeded"]

    assert (machine.root / "data").readlink() == volume
    assert (machine.root / "data/file").read_text() == "kept"


def test_a_place_that_is_taken_is_not_emptied(machine, tmp_path):
    (tmp_path / "volume").mkdir()
    (machine.root / "data").mkdir()
    (machine.root / "data/file").write_text("mine")

    end = mount(machine.attach(), "one", str(tmp_path / "volume"))

    assert not end["succeeded"]
    assert "is in the way" in end["words"]
    assert (machine.root / "data/file").read_text() == "mine"


def test_a_device_that_never_appears_is_given_up_by_its_names(monkeypatch):
    monkeypatch.setattr(mounting, "PATIENCE", 0.0)

    with pytest.raises(Refused, match=r"store: no device appeared \(/dev/one, /dev/two\)"):
        mounting._appeared("store", ["/dev/one", "/dev/two"])
