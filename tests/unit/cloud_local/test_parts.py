"""The small parts of the embedded cloud."""

import base64
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.cloud.local import fleet, processes
from headwater.cloud.local.driver import describe
from headwater.cloud.local.fleet import Fleet
from headwater.cloud.local.layout import Layout, remove_tree
from headwater.cloud.local.levels.holder import mount_line
from headwater.cloud.local.levels.process import ProcessLevel
from headwater.cloud.local.sshd import authorized_keys

BLOB = base64.b64encode(b"key").decode()


def test_keys_are_found_behind_options_and_among_noise(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f'# comment\nfrom="x" ssh-ed25519 {BLOB} me\nssh-rsa !!!\n\nssh-rsa\n')

    assert authorized_keys("", file) == {b"key"}
    assert authorized_keys(f"ssh-ed25519 {BLOB}", tmp_path / "none") == {b"key"}


def test_a_key_file_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(f"ssh-ed25519 {BLOB}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")

    assert authorized_keys("", tmp_path / "link") == authorized_keys("", tmp_path / "pipe") == set()


def test_a_folder_without_permissions_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b").chmod(0)
    (tmp_path / "a").chmod(0)

    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")

    assert list(tmp_path.iterdir()) == []


def test_what_a_link_points_to_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").symlink_to(tmp_path / "kept")

    remove_tree(tmp_path / "gone")

    assert (tmp_path / "kept").is_dir()


def test_blanks_in_a_path_are_written_as_fstab_wants_them() -> None:
    line = mount_line("/a b", Path("/c\td"), "none", "bind")

    assert line == "/a\\040b /c\\011d none bind 0 0\n"


def test_processes_are_found_by_environment_and_ended(tmp_path: Path) -> None:
    entry = f"HEADWATER_TEST={tmp_path}"
    name, _, value = entry.partition("=")
    argv = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    with subprocess.Popen(argv, env={name: value}, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()

        assert processes.with_environment(entry) == [child.pid]
        assert processes._with_environment_by_ps(entry) == [child.pid]
        assert processes.with_environment(entry[:-1]) == []
        processes.end_all(lambda: processes.with_environment(entry))

        assert child.wait() == -9
        assert processes.start_time(child.pid) is None


@pytest.mark.parametrize(
    ("wanted", "reasons", "line"),
    [
        (
            "auto",
            {"machine": "", "sandbox": "", "process": ""},
            "local: level machine (the outside by an HTTP proxy alone)",
        ),
        (
            "auto",
            {"machine": "needs root", "sandbox": "", "process": ""},
            "local: level sandbox (machine: needs root)",
        ),
        ("process", {"machine": "", "sandbox": "", "process": ""}, "local: level process"),
    ],
)
def test_the_description_says_which_level_and_why_no_better_one(
    wanted: str, reasons: dict[str, str], line: str
) -> None:
    assert describe(wanted, reasons) == line


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    layout = Layout(tmp_path / "cloud")
    host = Fleet(layout)
    assert await host.probe()
    monkeypatch.setattr(ProcessLevel, "lay", full)
    order = {"name": "one", "token": "t", "authorized_key": "", "metadata": {}}

    [answer] = await host.create("process", [order])

    assert answer["error"]["code"] == 507
    assert "disk is full" in answer["error"]["text"]
    assert host.empty
    assert layout.ids() == []


def test_the_words_of_a_driver_and_its_host_are_the_same() -> None:
    assert set(fleet._SHOWN) >= {"id", "name", "state", "address", "port", "host_key", "metadata"}
