"""The command line as people start it, against a real server."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.controller import BUSY, FakeController, deployment, everything, instance, stalled
from headwater.planning.status import Login, Phase
from headwater.store.outputs import Outputs
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.reports import ReportPlace, report_name
from headwater.web.server import serving

DEADLINE = 30
MAIN = "import sys; from headwater.cli import main; main(sys.argv[1:], prog_name='headwater')"
KEY, MACHINE = InstanceKey("hello", "wn", 1), MachineId("local", "m")


@pytest.fixture
async def controller(tmp_path: Path):
    state = FakeController(everything(deployment()), Outputs(tmp_path / "logs"))
    async with serving(state, lambda _: (b"", ""), directory=tmp_path, listen=""):
        yield state


@pytest.fixture
async def start(tmp_path: Path):
    """Starts a verb on the state directory; none outlives the test."""
    begun: list[Process] = []

    async def start(*arguments: str, **environment: str) -> Process:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAIN, *arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "HEADWATER_STATE": str(tmp_path), **environment},
        )
        begun.append(child)
        return child

    yield start
    for child in begun:
        if child.returncode is None:
            child.kill()
        await child.communicate()


Start = Callable[..., "asyncio.Future[Process]"]


async def ended(child: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(child.communicate(), DEADLINE)
    return child.returncode, out.decode(), err.decode()


async def line(child: Process) -> str:
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), DEADLINE)).decode()


@pytest.mark.usefixtures("controller")
async def test_status_in_a_pipe_is_an_aligned_table(start: Start):
    code, out, err = await ended(await start("status"))

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "/srv/systems.git main at aaaaaaa",
        "",
        "DEPLOYMENT  PHASE  READY  REVISION  TIME",
        "hello       Ready  2/2    aaaaaaa   5.0 s",
        "",
        "CLOUD  DRIVER  MACHINES  UNKNOWN  VOLUMES",
        "local  local   2         1        2 leaked  sandbox",
    ]


async def test_status_of_one_deployment_shows_its_instances(
    controller: FakeController, start: Start
):
    controller.become_with(
        deployment(
            conditions=stalled("wn.1: exit 7"), instances=(instance("wn.1", "failed", "exit 7"),)
        )
    )
    code, out, _ = await ended(await start("status", "hello"))

    assert code == 0
    assert "Failed: 0/1 ready, 1 failed in 5.0 s; wn.1: exit 7" in out
    assert "Stalled (RunFailed): wn.1: exit 7" in out
    assert "wn.1      failed  local  m-wn.1   127.1.0.1        exit 7" in out


@pytest.mark.usefixtures("controller")
async def test_status_for_programs_is_the_api_s_own_json(start: Start):
    _, out, _ = await ended(await start("status", "--output", "json"))

    assert json.loads(out)["deployments"][0]["conditions"][0] == {
        "type": "Ready",
        "status": True,
        "reason": "Converged",
        "message": "",
    }


async def test_a_watch_prints_changes_and_ends_at_ctrl_c_without_noise(
    controller: FakeController, start: Start
):
    child = await start("status", "hello", "--watch", "-o", "json")
    assert json.loads(await line(child))["phase"] == "Ready"
    controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))
    assert json.loads(await line(child))["phase"] == "Executing"
    child.send_signal(signal.SIGINT)

    # The line end is for the terminal, where the cursor stands behind a ^C.
    assert await ended(child) == (130, "", "\n")


async def test_a_reader_that_leaves_ends_the_verb_without_noise(
    controller: FakeController, start: Start
):
    controller.kept.append(KEY, MACHINE, "c", 0, b"x" * 2**20)
    child = await start("logs", "hello", "wn.1")
    assert child.stdout is not None
    await asyncio.wait_for(child.stdout.readexactly(10), DEADLINE)
    child._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert child.stderr is not None

    assert await asyncio.wait_for(child.stderr.read(), DEADLINE) == b""
    assert await asyncio.wait_for(child.wait(), DEADLINE) == 1


async def test_wait_ends_with_0_when_ready(controller: FakeController, start: Start):
    controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))
    child = await start("wait", "hello", "--timeout", "30s")
    async with asyncio.timeout(DEADLINE):
        while not controller.watchers:  # noqa: ASYNC110  # nothing tells of it but the count
            await asyncio.sleep(0.01)
    controller.become_with(deployment())

    assert await ended(child) == (0, "hello: Ready: 2/2 ready in 5.0 s\n", "")


async def test_wait_ends_with_1_when_failed_and_3_after_its_timeout(
    controller: FakeController, start: Start
):
    controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))
    code, _, err = await ended(await start("wait", "hello", "--timeout", "100ms"))
    assert code == 3
    assert err.startswith("hello: not Ready after 0.1 s; Executing: 2/2 ready")

    controller.become_with(deployment(phase=Phase.ABORTED, conditions=stalled("exit 7")))
    code, _, err = await ended(await start("wait", "hello"))
    assert (code, err) == (1, "hello: Stalled: 2/2 ready in 5.0 s; exit 7\n")


@pytest.mark.usefixtures("controller")
async def test_params_shows_values_and_writers(start: Start):
    assert (await ended(await start("params", "hello")))[1].splitlines() == [
        "INSTANCE  PARAMETER  TYPE    VALUE      WRITER     TIME",
        "wn.1      hostname   string  127.1.0.1  headwater  -",
        "wn.1      token      secret  (secret)   wn.1       2026-11-22 12:00:00",
        "",
        "INSTANCE  PARAMETER  TYPE     VALUE      WRITER  TIME",
        "ce.1      slots      integer  (not set)  ce.1    -",
    ]
    _, out, _ = await ended(await start("params", "hello", "-o", "json"))
    assert json.loads(out)[0]["writer"] == "headwater"


async def test_logs_of_all_instances_have_their_names_in_front(
    controller: FakeController, start: Start
):
    controller.kept.append(KEY, MACHINE, "c", 0, b"hello\nworld")
    controller.kept.append(InstanceKey("hello", "wn", 2), MACHINE, "c", 0, b"hi\n")

    assert (await ended(await start("logs", "hello")))[:2] == (
        0,
        "wn.1 | hello\nwn.2 | hi\nwn.1 | world\n",
    )
    assert (await ended(await start("logs", "hello", "wn.2")))[1] == "hi\n"


async def test_followed_logs_come_as_they_are_printed(controller: FakeController, start: Start):
    controller.kept.append(KEY, MACHINE, "c", 0, b"one\n")
    child = await start("logs", "hello", "wn.1", "--follow")
    assert await line(child) == "one\n"
    controller.kept.append(KEY, MACHINE, "c", 4, b"two\n")
    assert await line(child) == "two\n"


async def test_retry_and_abort_say_what_follows(controller: FakeController, start: Start):
    controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))

    assert (await ended(await start("retry", "hello")))[1] == "hello is tried again\n"
    code, out, _ = await ended(await start("abort", "hello", "--reason", "wrong image"))
    assert (code, out) == (0, "hello is aborted\n")
    assert controller.asked[-1] == ("abort", "hello", "wrong image")


@pytest.mark.usefixtures("controller")
async def test_a_refusal_is_one_line(start: Start):
    assert await ended(await start("abort", "hello")) == (
        1,
        "",
        "headwater: hello has no run to abort: it is Ready\n",
    )
    assert (await ended(await start("status", "helo")))[2] == (
        "headwater: no deployment 'helo' (did you mean 'hello'?)\n"
    )


async def test_without_a_controller_the_error_says_how_to_start_one(start: Start, tmp_path: Path):
    code, out, err = await ended(await start("status", "--state", str(tmp_path / "none")))

    assert (code, out) == (1, "")
    assert err.startswith(f"headwater: no controller runs on the state directory {tmp_path}/none;")
    assert len(err.splitlines()) == 1


async def test_the_socket_of_a_dead_controller_is_nobody(start: Start, tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "controller.sock"))

    assert "no controller runs" in (await ended(await start("status")))[2]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="there is no OpenSSH here")
async def test_ssh_runs_a_command_over_the_pinned_key_only(
    controller: FakeController, start: Start, tmp_path: Path
):
    import asyncssh  # noqa: PLC0415  # slow, and for this test alone

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    login_key = asyncssh.generate_private_key("ssh-ed25519")
    login_key.write_private_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o600)

    async def serve(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write(f"ran {process.command}\n")
        process.exit(7)

    authorized = asyncssh.import_authorized_keys(login_key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=serve,
    )
    async with server:
        port = server.get_port()
        public = host_key.export_public_key().decode().strip()
        login = Login(
            "127.0.0.1", port, "root", f"[127.0.0.1]:{port} {public}", str(tmp_path / "key")
        )
        controller.logins["hello", "wn.1"] = login
        code, out, err = await ended(await start("ssh", "hello", "wn.1", "--", "echo", "-n", "a b"))
        assert (code, out, err) == (7, "ran echo -n a b\n", "")

        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        controller.logins["hello", "wn.1"] = Login(
            "127.0.0.1", port, "root", f"[127.0.0.1]:{port} {other}", str(tmp_path / "key")
        )
        code, out, err = await ended(await start("ssh", "hello", "wn.1", "--", "true"))
        assert (code, out) == (255, "")
        assert "Host key verification failed" in err


@pytest.mark.usefixtures("controller")
async def test_without_an_ssh_program_the_error_names_it(start: Start):
    assert (await ended(await start("ssh", "hello", "wn.1", PATH="/none")))[2] == (
        "headwater: there is no `ssh` program here: install the OpenSSH client\n"
    )


async def test_schema_writes_files_and_tells_when_they_are_stale(start: Start, tmp_path: Path):
    target = tmp_path / "crd"
    assert (await ended(await start("schema", str(target))))[0] == 0
    files = list(target.iterdir())
    assert files
    assert await ended(await start("schema", str(target), "--check")) == (0, "", "")
    files[0].write_text("old")
    code, _, err = await ended(await start("schema", str(target), "--check"))
    assert code == 1
    assert err.startswith(f"{files[0]} is out of date")


async def test_reports_are_listed_filtered_and_fetched(controller, start, tmp_path):
    for run, index in ((1, 1), (2, 1), (2, 2)):
        key = InstanceKey("hello", "wn", index)
        where = ReportPlace("hello", run, report_name(key, datetime(2030, 1, 1, 12, tzinfo=UTC)))
        controller.store.append(where, 0, f"{run} {index}".encode())
        controller.store.close(where)
    folder = tmp_path / "fetched"

    shown = await ended(await start("reports", "hello", "--run", "1"))
    fetched = await ended(await start("reports", "hello", "--to", str(folder), "-o", "json"))
    none = await ended(await start("reports", "hello", "--instance", "wn.9"))
    missing = await ended(await start("reports", "helo"))

    assert shown[:2] == (
        0,
        (
            "RUN  INSTANCE  TIME (UTC)           BYTES  FILE\n"
            "1    wn.1      2030-01-01 12:00:00  3      wn.1_report_2030-01-01T120000Z.tgz\n"
        ),
    )
    assert [view["run"] for view in json.loads(fetched[1])] == [2, 2]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "wn.1_report_2030-01-01T120000Z.tgz": "2 1",
        "wn.2_report_2030-01-01T120000Z.tgz": "2 2",
    }
    assert none == (0, "", "hello has no such reports\n")
    assert (missing[0], "did you mean 'hello'?" in missing[2]) == (1, True)
