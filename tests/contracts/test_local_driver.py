"""What every level of the embedded cloud keeps, through libcloud and real SSH."""

import asyncio
import socket
from pathlib import Path

import asyncssh
import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import NodeAuthSSHKey
from libcloud.compute.types import NodeState

from headwater.cloud.local import processes
from headwater.cloud.local.driver import LocalNodeDriver
from headwater.cloud.local.levels.network import Network
from local_cloud import PUBLIC_KEY, LocalCloud, local_cloud, login, output, run, wait_until


@pytest.fixture(params=["process", "sandbox", "machine"])
def cloud(request, tmp_path: Path):
    with local_cloud(tmp_path / "cloud", request.param) as cloud:
        yield cloud


@pytest.fixture(params=["sandbox", "machine"])
def isolated(request, tmp_path: Path):
    with local_cloud(tmp_path / "cloud", request.param) as cloud:
        yield cloud


def link_names() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_an_absent_directory_lists_nothing_and_starts_nothing(tmp_path: Path) -> None:
    driver = LocalNodeDriver(str(tmp_path / "absent"))

    assert driver.list_nodes() == []
    assert not (tmp_path / "absent").exists()


def test_a_machine_is_listed_as_it_was_ordered(cloud: LocalCloud) -> None:
    created = cloud.driver.create_node(
        "web",
        auth=NodeAuthSSHKey(PUBLIC_KEY),
        ex_metadata={"role": "web"},
        ex_token="t1",  # noqa: S106  # no secret
    )

    [listed] = cloud.driver.list_nodes()

    assert (listed.id, listed.name, listed.state) == (created.id, "web", NodeState.RUNNING)
    assert listed.extra == created.extra
    assert listed.extra["metadata"] == {"role": "web"}
    assert listed.extra["host_key"].startswith("ssh-ed25519 ")
    assert listed.created_at is not None


def test_the_same_token_means_the_same_machine(cloud: LocalCloud) -> None:
    first = cloud.create(ex_token="t")  # noqa: S106  # as above

    second, third = cloud.create_all([{"name": "x", "ex_token": "t"}] * 2)

    assert second.id == third.id == first.id
    assert len(cloud.driver.list_nodes()) == 1


def test_orders_of_one_batch_with_one_token_make_one_machine(cloud: LocalCloud) -> None:
    made = cloud.create_all([{"name": "x", "ex_token": "t"}] * 3)

    assert len({node.id for node in made}) == 1


async def test_a_command_ends_with_its_own_code_and_separate_outputs(cloud: LocalCloud) -> None:
    ended = await run(cloud.create(), "echo out; echo err >&2; exit 7")

    assert (ended.stdout, ended.stderr, ended.exit_status) == (b"out\n", b"err\n", 7)


async def test_a_killed_program_is_told_by_its_signal(cloud: LocalCloud) -> None:
    ended = await run(cloud.create(), "kill -9 $$")

    assert ended.exit_signal is not None
    assert ended.exit_signal[0] == "KILL"


async def test_a_megabyte_of_bytes_goes_in_and_comes_out_unchanged(cloud: LocalCloud) -> None:
    content = bytes(range(256)) * 4096

    ended = await run(cloud.create(), "cat", input=content)

    assert ended.stdout == content


async def test_a_signal_sent_to_a_program_reaches_it(cloud: LocalCloud) -> None:
    async with login(cloud.create()) as line:
        process = await line.create_process(
            "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.02; done",
            encoding=None,
        )
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal("TERM")
        ended = await asyncio.wait_for(process.wait(), 30)

    assert (ended.stdout, ended.exit_status) == (b"caught\n", 3)


async def test_a_shell_on_a_terminal_knows_it_and_its_size(cloud: LocalCloud) -> None:
    ended = await run(
        cloud.create(),
        "test -t 0 && test -t 1 && stty size </dev/tty && echo $TERM; exit 5",
        term_type="vt100",
        term_size=(101, 33),
    )

    assert (ended.stdout, ended.exit_status) == (b"33 101\r\nvt100\r\n", 5)


async def test_a_login_without_a_command_is_a_shell_in_the_home(cloud: LocalCloud) -> None:
    ended = await run(cloud.create(), None, input=b"test $PWD = $HOME && echo at home; exit\n")

    assert (ended.stdout, ended.stderr, ended.exit_status) == (b"at home\n", b"", 0)


async def test_another_key_is_refused(cloud: LocalCloud) -> None:
    node = cloud.create()

    with pytest.raises(asyncssh.PermissionDenied):
        async with login(node, asyncssh.generate_private_key("ssh-ed25519")):
            pytest.fail("it is let in")


async def test_a_key_that_the_machine_itself_accepts_opens_it(cloud: LocalCloud) -> None:
    node, key = cloud.create(), asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode()
    await run(node, f"echo '{public}' >> ~/.ssh/authorized_keys")

    async with login(node, key) as line:
        ended = await line.run("echo in")

    assert ended.stdout == b"in\n"


async def test_what_one_machine_writes_another_does_not_see(cloud: LocalCloud) -> None:
    one, other = cloud.create("one"), cloud.create("other")
    await output(one, 'echo mine > ~/file; echo mine > "$HEADWATER_ROOT/etc/own"')

    seen = await output(other, 'ls ~; ls "$HEADWATER_ROOT/etc" | grep -x own || true')

    assert seen == ""


async def test_root_of_a_machine_has_the_machines_own_names(isolated: LocalCloud) -> None:
    node = isolated.create("web-1")

    seen = await output(node, "id -u; hostname; grep -w web-1 /etc/hosts | cut -f 1; pwd")

    assert seen.split() == ["0", "web-1", node.private_ips[0], "/root"]


async def test_a_machine_sees_its_own_processes_only(isolated: LocalCloud) -> None:
    isolated.create("other")

    seen = await output(isolated.create(), "cat /proc/[0-9]*/comm")

    assert seen.split() == ["sleep", "sh"]


async def test_an_orphan_that_ends_is_gone(isolated: LocalCloud) -> None:
    node = isolated.create()
    orphan = await output(node, "sh -c 'sleep 60 >/dev/null 2>&1 & echo $!'")

    await output(node, f"kill {orphan}; while test -d /proc/{orphan}; do sleep 0.01; done")


async def test_the_kernels_settings_are_out_of_reach(isolated: LocalCloud) -> None:
    ended = await run(isolated.create(), "echo 0 > /proc/sys/kernel/panic")

    assert ended.exit_status != 0


async def test_a_stopped_machine_starts_again_with_its_files(cloud: LocalCloud) -> None:
    node = cloud.create()
    await output(node, "echo kept > ~/file")

    stopped = cloud.driver.ex_stop_node(node)
    with pytest.raises(OSError):  # noqa: PT011  # refused, unreachable or silent
        async with asyncio.timeout(1), login(node):
            pytest.fail("it answers")
    started = cloud.driver.ex_start_node(node)

    assert (stopped.state, started.state) == (NodeState.STOPPED, NodeState.RUNNING)
    assert await output(started, "cat ~/file") == "kept"


async def test_stopping_gives_programs_the_time_to_end_well(cloud: LocalCloud) -> None:
    node = cloud.create()
    program = "trap 'echo well > ~/end; exit' TERM; touch ~/up; while :; do sleep 0.02; done"
    await output(node, f"setsid sh -c '{program.replace(chr(39), chr(34))}' >/dev/null 2>&1 &")
    while await output(node, "ls ~ | grep -x up || true") != "up":
        pass

    cloud.driver.ex_stop_node(node)

    assert await output(cloud.driver.ex_start_node(node), "cat ~/end") == "well"


@pytest.mark.parametrize("verb", ["ex_kill_node", "destroy_node"])
async def test_killing_ends_what_a_machine_left_in_the_background(
    cloud: LocalCloud, verb: str
) -> None:
    node = cloud.create()
    mark = f"mark-{node.id}"
    await output(
        node,
        f"setsid sh -c 'trap : TERM HUP; while :; do sleep 1; done' {mark} "
        "</dev/null >/dev/null 2>&1 &",
    )
    wait_until(lambda: processes.with_argument(mark), "the background program runs")

    getattr(cloud.driver, verb)(node)

    assert processes.with_argument(mark) == []
    assert [each.state for each in cloud.driver.list_nodes()] in ([], [NodeState.STOPPED])


async def test_a_power_cut_closes_the_line(cloud: LocalCloud) -> None:
    node = cloud.create()
    async with login(node) as line:
        waiting = asyncio.ensure_future(line.run("sleep 60"))
        await asyncio.to_thread(cloud.driver.ex_kill_node, node)
        await asyncio.wait_for(line.wait_closed(), 30)
        await asyncio.wait([waiting], timeout=30)

    assert waiting.done()


def test_a_machine_whose_namespaces_end_is_listed_as_stopped(isolated: LocalCloud) -> None:
    node = isolated.create()
    tree = str(isolated.tree(node))

    processes.end_all(lambda: processes.with_argument(tree))

    wait_until(lambda: isolated.again(node).state == NodeState.STOPPED, "the end is noticed")
    assert isolated.driver.ex_start_node(node).state == NodeState.RUNNING


def test_a_destroyed_machine_is_gone_and_may_be_destroyed_again(cloud: LocalCloud) -> None:
    node = cloud.create()

    assert cloud.driver.destroy_node(node)
    assert cloud.driver.destroy_node(node)
    assert cloud.driver.list_nodes() == []


def test_nothing_is_left_of_a_destroyed_machine(cloud: LocalCloud) -> None:
    node = cloud.create()
    tree, network = cloud.tree(node), Network(cloud.directory)
    links = {network._bridge, network._pair(str(node.id))}
    assert (node.extra["level"] == "machine") == (links <= link_names())

    cloud.driver.destroy_node(node)

    assert not cloud.folder(node).exists()
    assert processes.with_argument(str(tree)) == []
    assert str(cloud.directory) not in Path("/proc/self/mounts").read_text()
    assert not links & link_names()


async def test_a_machine_is_found_where_its_predecessor_was_remembered(
    isolated: LocalCloud,
) -> None:
    """ARP keeps the way to an address for up to a minute."""
    hardware = "cat /sys/class/net/eth0/address 2>/dev/null || echo the host itself"
    _stays, first = isolated.create("stays"), isolated.create("first")
    before = await output(first, hardware)

    isolated.driver.destroy_node(first)
    second = isolated.create("second")

    assert second.private_ips == first.private_ips
    assert await output(second, hardware) == before


async def test_what_a_machine_forbids_is_removed_all_the_same(cloud: LocalCloud) -> None:
    node = cloud.create()
    await output(node, "mkdir -p ~/a/b; touch ~/a/b/c; chmod 0 ~/a/b; chmod 0 ~/a")

    cloud.driver.destroy_node(node)

    assert not cloud.folder(node).exists()


def test_verbs_on_a_machine_that_is_gone_say_so(cloud: LocalCloud) -> None:
    node, _other = cloud.create("one"), cloud.create("other")
    cloud.driver.destroy_node(node)

    with pytest.raises(BaseHTTPError, match=f"no machine {node.id}") as caught:
        cloud.driver.ex_start_node(node)

    assert caught.value.code == 404


def test_the_description_names_the_level(cloud: LocalCloud) -> None:
    level = cloud.create().extra["level"]

    assert cloud.driver.ex_description().startswith(f"local: level {level}")


def test_one_image_one_size_one_location(cloud: LocalCloud) -> None:
    driver = cloud.driver

    assert [driver.list_images()[0].id, driver.list_sizes()[0].id] == ["host", "host"]
    assert driver.list_locations()[0].id == "here"
