"""The host process of an embedded cloud: one per directory, and never missed."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.types import NodeState

from headwater.cloud.local import processes
from headwater.cloud.local.client import HostClient
from headwater.cloud.local.driver import LocalNodeDriver
from local_cloud import DEADLINE, PUBLIC_KEY, LocalCloud, local_cloud, output, wait_until


@pytest.fixture
def cloud(tmp_path: Path):
    with local_cloud(tmp_path / "cloud", "process") as cloud:
        yield cloud


@pytest.fixture(params=["process", "sandbox", "machine"])
def any_cloud(request, tmp_path: Path):
    with local_cloud(tmp_path / "cloud", request.param) as cloud:
        yield cloud


def hosts_of(directory: Path) -> list[int]:
    found = processes.with_argument(str(directory))
    return [pid for pid in found if pid in processes.with_argument("headwater.cloud.local.host")]


def test_clients_that_start_at_once_share_one_host(cloud: LocalCloud) -> None:
    together = threading.Barrier(8)

    def create(number: int) -> str:
        driver = LocalNodeDriver(str(cloud.directory), "process")
        together.wait(DEADLINE)
        return str(driver.create_node(f"m{number}").id)

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(create, range(8)))

    assert len(ids) == 8
    assert {node.id for node in cloud.driver.list_nodes()} == ids
    wait_until(lambda: len(hosts_of(cloud.directory)) == 1, "one host is left")


def test_a_host_without_machines_leaves_and_nothing_is_left_behind(cloud: LocalCloud) -> None:
    cloud.driver.destroy_node(cloud.create())

    wait_until(lambda: not cloud.directory.exists(), "the directory is removed")
    wait_until(lambda: not hosts_of(cloud.directory), "the host ends")
    assert cloud.driver.list_nodes() == []


def test_a_directory_that_held_something_else_keeps_it(cloud: LocalCloud) -> None:
    cloud.directory.mkdir()
    (cloud.directory / "notes").write_text("mine")
    cloud.driver.destroy_node(cloud.create())

    wait_until(lambda: not cloud.layout.lock.exists(), "the host leaves")

    assert [entry.name for entry in cloud.directory.iterdir()] == ["notes"]


async def test_a_killed_host_is_replaced_and_finds_its_machines(any_cloud: LocalCloud) -> None:
    before = any_cloud.create()
    program = await output(before, "sleep 600 >/dev/null 2>&1 & echo $!")

    any_cloud.kill_host()
    after = any_cloud.again(before)

    assert (after.state, after.private_ips) == (NodeState.RUNNING, before.private_ips)
    assert after.extra == before.extra
    await output(after, f"kill -0 {program}")


def test_a_machine_that_ended_with_its_host_is_found_stopped(tmp_path: Path) -> None:
    with local_cloud(tmp_path / "cloud", "sandbox") as cloud:
        node = cloud.create()
        cloud.kill_host()
        processes.end_all(lambda: processes.with_argument(str(cloud.tree(node))))

        assert cloud.again(node).state == NodeState.STOPPED
        assert cloud.driver.ex_start_node(node).state == NodeState.RUNNING


def test_a_machine_of_an_earlier_boot_of_this_host_is_found_stopped(any_cloud: LocalCloud) -> None:
    node = any_cloud.create()
    any_cloud.kill_host()
    edit_record(any_cloud, str(node.id), boot="another")

    assert any_cloud.again(node).state == NodeState.STOPPED
    assert any_cloud.driver.ex_start_node(node).state == NodeState.RUNNING


def test_a_creation_that_was_cut_short_is_undone(any_cloud: LocalCloud) -> None:
    node, other = any_cloud.create(), any_cloud.create("other")
    any_cloud.kill_host()
    edit_record(any_cloud, str(node.id), state="pending", holder=None, boot="")

    assert [each.id for each in any_cloud.driver.list_nodes()] == [other.id]
    assert not any_cloud.folder(node).exists()
    assert processes.with_argument(str(any_cloud.tree(node))) == []


def test_a_corrupt_record_is_kept_aside_and_the_others_go_on(cloud: LocalCloud, caplog) -> None:
    broken, sound = cloud.create("broken"), cloud.create("sound")
    cloud.kill_host()
    record = cloud.layout.record(str(broken.id))
    record.write_text("{not json")

    listed = cloud.driver.list_nodes()

    assert [each.id for each in listed] == [sound.id]
    assert record.with_suffix(".corrupt").read_text() == "{not json"
    assert str(broken.id) in caplog.records[0].note


def test_thirty_one_machines_come_in_one_request(tmp_path: Path) -> None:
    with local_cloud(tmp_path / "cloud", "sandbox") as cloud:
        orders: list[dict[str, object]] = [
            {"name": f"wn-{n}", "ex_token": str(n)} for n in range(31)
        ]
        nodes = cloud.create_all(orders)

        assert [node.name for node in nodes] == [order["name"] for order in orders]
        assert len({node.private_ips[0] for node in nodes}) == 31


def test_a_level_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    driver = LocalNodeDriver(str(tmp_path / "cloud"), "vm")

    with pytest.raises(BaseHTTPError, match="no level 'vm': choose one of auto, machine") as caught:
        driver.create_node("one")

    assert caught.value.code == 400


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BaseHTTPError, match=f"cannot use {tmp_path}/file/cloud: Not a directory"):
        LocalNodeDriver(str(tmp_path / "file/cloud")).create_node("one")


async def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    with local_cloud(tmp_path / ("long-" * 20) / ("er-" * 20) / "cloud", "sandbox") as cloud:
        assert await output(cloud.create(), "echo here") == "here"


async def test_a_path_with_blanks_works(tmp_path: Path) -> None:
    with local_cloud(tmp_path / "a b\tc", "sandbox") as cloud:
        assert await output(cloud.create(), "echo here") == "here"


def test_machines_whose_directory_is_deleted_end_with_their_host(any_cloud: LocalCloud) -> None:
    tree = str(any_cloud.tree(any_cloud.create()))

    shutil.rmtree(any_cloud.directory, ignore_errors=True)

    wait_until(lambda: not hosts_of(any_cloud.directory), "the host ends")
    assert processes.with_argument(tree) == []
    assert not any_cloud.directory.exists()


def test_a_host_that_is_told_to_end_leaves_its_machines(cloud: LocalCloud) -> None:
    node, pid = cloud.create(), cloud.host_pid
    assert pid is not None
    started = processes.start_time(pid)
    assert started is not None

    processes.send(pid, signal.SIGTERM)
    processes.wait_gone(pid, started)

    assert cloud.again(node).state == NodeState.RUNNING


def test_a_request_that_the_host_does_not_know_is_refused(cloud: LocalCloud) -> None:
    with pytest.raises(Exception, match="does not know this request") as caught:
        HostClient(cloud.layout).ask("dance")

    assert getattr(caught.value, "code", None) == 400


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_gets_sandboxes() -> None:
    """The same as for root, in a process of `nobody` with a Python that it may run."""
    python = readable_python()
    with TemporaryDirectory() as folder:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        ended = subprocess.run(
            [python, "-c", AS_NOBODY, f"{folder}/cloud", PUBLIC_KEY],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        wait_until(lambda: not Path(folder, "cloud").exists(), "the host leaves nothing")

    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    if answer["reasons"]["sandbox"]:
        pytest.skip(f"unprivileged sandboxes: {answer['reasons']['sandbox']}")
    assert answer["levels"] == ["sandbox", "sandbox"]
    assert "needs root" in answer["reasons"]["machine"]


AS_NOBODY = """
import json, sys
from headwater.cloud.local.driver import LocalNodeDriver
driver = LocalNodeDriver(sys.argv[1])
reasons = driver.ex_probe()
try:
    nodes = driver.ex_create_nodes([{"name": n, "authorized_key": sys.argv[2]} for n in "ab"])
    print(json.dumps({"reasons": reasons, "levels": [node.extra["level"] for node in nodes]}))
finally:
    for node in driver.list_nodes():
        driver.destroy_node(node)
"""


def readable_python() -> str:
    """A Python of our version, and our packages, that any user may run; else the test skips."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(name, path="/usr/bin:/usr/local/bin")):
        if python and may_anybody_read(Path(python).resolve()):
            return python
    pytest.skip("no Python here that another user may run")


def may_anybody_read(path: Path) -> bool:
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (path, *path.parents))


def edit_record(cloud: LocalCloud, id: str, **changes: object) -> None:
    path = cloud.layout.record(id)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
