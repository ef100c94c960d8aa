import errno
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headwater.errors import Stalled, Transient
from headwater.store.database import Database
from headwater.store.directory import unwritable
from headwater.store.lock import held, holder_of
from headwater.store.sqlite import SqliteStore

HOLD = """
import sys, datetime, pathlib
from headwater.store.lock import held
with held(pathlib.Path(sys.argv[1]), datetime.datetime.now(datetime.UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nothing_is_made_before_the_first_use(tmp_path: Path):
    SqliteStore(tmp_path / "state")

    assert list(tmp_path.iterdir()) == []


def test_everything_is_private_to_the_owner(tmp_path: Path):
    state = tmp_path / "state"
    store = SqliteStore(state)
    store.save("a", "1")

    assert state.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in state.iterdir()} == {0o600}
    store.close()


@pytest.mark.parametrize("damage", [b"this is no database" * 500, None])
def test_an_unreadable_database_is_moved_aside_and_begun_anew(tmp_path: Path, damage: bytes | None):
    path = tmp_path / "headwater.db"
    database = Database(path)
    for number in range(500):
        database.save(f"key-{number}", "x" * 200)
    database.close()
    content = path.read_bytes()
    path.write_bytes(damage or content[:8192] + b"\xff" * 16384 + content[24576:])

    database = Database(path)

    assert database.load() == {}
    assert database.moved_aside == tmp_path / "headwater.db-corrupt-1"
    assert database.moved_aside.exists()
    database.save("a", "1")
    assert database.load() == {"a": "1"}
    database.close()


def test_who_machines_are_outlives_the_journal(tmp_path: Path):
    store = SqliteStore(tmp_path)
    store.save("run/shop", "1")
    store.save("host-key/ec2:i-1", "2")
    store.close()
    for file in tmp_path.glob("headwater.db*"):
        file.unlink()

    store = SqliteStore(tmp_path)

    assert store.load() == {"host-key/ec2:i-1": "2"}
    store.save("host-key/ec2:i-1", None)
    assert store.load() == {}
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path):
    database = Database(tmp_path / "headwater.db")
    database._open().execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(Stalled, match="newer Headwater"):
        SqliteStore(tmp_path).load()


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(Stalled, match=r"state directory .*file.*--state"):
        SqliteStore(tmp_path / "file").load()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_says_what_to_do(tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0o500)

    with pytest.raises(Stalled, match="--state"):
        SqliteStore(tmp_path / "closed" / "state").load()


def test_a_full_disk_may_pass(tmp_path: Path):
    assert isinstance(unwritable(tmp_path, OSError(errno.ENOSPC, "No space left")), Transient)
    assert isinstance(unwritable(tmp_path, OSError(errno.EROFS, "Read-only")), Stalled)


async def test_the_holder_tells_where_it_answers_and_takes_it_back(tmp_path: Path):
    store = SqliteStore(tmp_path)
    async with store.locked():
        store.announce(tmp_path / "controller.sock", "http://127.0.0.1:9464")
        holder = holder_of(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.listen) == (os.getpid(), "http://127.0.0.1:9464")
        assert holder.socket == str(tmp_path / "controller.sock")

    assert holder_of(tmp_path) is None


def test_announcing_without_holding_is_a_bug(tmp_path: Path):
    with pytest.raises(RuntimeError):
        SqliteStore(tmp_path).announce(tmp_path / "controller.sock", "")


def test_a_live_process_keeps_others_out_and_a_killed_one_does_not(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Stalled, match=rf"process {other.pid}\b"):
            held(tmp_path, datetime.now(UTC)).__enter__()
        other.kill()
        other.wait()

    assert json.loads((tmp_path / "controller.json").read_text())["pid"] == other.pid
    with held(tmp_path, datetime.now(UTC)) as holder:
        assert holder.pid == os.getpid()
