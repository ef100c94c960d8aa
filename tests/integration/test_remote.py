"""Lines that cannot stand, and lines that come back."""

import asyncio
import io
import stat
import tarfile
from contextlib import AsyncExitStack

import asyncssh
import pytest

from contracts.test_machines import context, running
from harness.agent_line import eventually
from harness.recorder import Recorder
from harness.ssh_machine import at, public, ssh_machine
from headwater.errors import Stalled
from headwater.remote.keys import login_key
from headwater.topology.context import Step, Task
from headwater.topology.progress import (
    Connected,
    Ended,
    LineLost,
    LineRefused,
    Reply,
    ReportPiece,
    TaskEnded,
)

TRUE = "#!/bin/sh\n"


@pytest.fixture
async def recorder():
    return Recorder()


@pytest.fixture
async def server(tmp_path):
    async with ssh_machine(tmp_path / "machine") as server:
        yield server


@pytest.fixture
async def lines(tmp_path, recorder, server):
    async with running(tmp_path / "keys", recorder) as lines:
        server.authorized.append(lines.public_key)
        yield lines


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_host_key_is_refused_and_not_tried_again(lines, recorder, server, kind):
    other = public(asyncssh.generate_private_key(kind))
    lines.contextualise(at(server.target, host_key=other), context("c1", TRUE))
    refused = await recorder.next(LineRefused)
    assert "another host key" in refused.reason
    assert "hello/node.1" in refused.reason
    lines.contextualise(at(server.target, host_key=other), context("c1", TRUE))
    lines.contextualise(server.target, context("c1", TRUE))
    assert (await recorder.next(Ended)).succeeded
    assert len(recorder.all(LineRefused)) == 1
    assert server.logins == 1


async def test_a_host_key_that_is_none_is_refused(lines, recorder, server):
    lines.contextualise(at(server.target, host_key="rubbish"), context("c1", TRUE))
    assert "no usable host key" in (await recorder.next(LineRefused)).reason


async def test_a_refused_login_is_tried_three_times(lines, recorder, server):
    server.authorized.clear()
    lines.contextualise(server.target, context("c1", TRUE))
    refused = await recorder.next(LineRefused)
    assert "refuses the login of 'root'" in refused.reason
    assert server.logins == 3
    server.authorized.append(lines.public_key)
    lines.contextualise(server.target, context("c2", TRUE))
    assert (await recorder.next(Ended)).context == "c2"


async def test_a_booting_machine_may_refuse_at_first(lines, recorder, server):
    server.authorized.clear()
    lines.contextualise(server.target, context("c1", TRUE))
    await recorder.next(LineLost)
    server.authorized.append(lines.public_key)
    assert (await recorder.next(Ended)).succeeded
    assert not recorder.all(LineRefused)


async def test_a_machine_that_is_not_up_is_waited_for(lines, recorder, server):
    await server.close()
    lines.contextualise(server.target, context("c1", TRUE))
    lost = await recorder.next(LineLost)
    assert "does not answer yet" in lost.reason
    await server.listen()
    await recorder.next(Connected)
    assert len(recorder.all(LineLost)) == 1, "the same reason is told once"


async def test_a_port_that_only_accepts_is_no_machine_yet(lines, recorder, server):
    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        lines.contextualise(at(server.target, port=port), context("c1", TRUE))
        assert "does not answer yet" in (await recorder.next(LineLost)).reason
        lines.forget(server.target.machine)


async def test_a_port_of_another_kind_is_no_machine(lines, recorder, server):
    async def speak_http(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    web = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with web:
        port = web.sockets[0].getsockname()[1]
        lines.contextualise(at(server.target, port=port), context("c1", TRUE))
        assert "as an SSH server" in (await recorder.next(LineLost)).reason
        lines.forget(server.target.machine)


async def test_a_talkative_login_does_no_harm(lines, recorder, server):
    server.noise = b"Welcome to " + b"x" * 10_000 + b"\nLast login: never\n{not yet}\n"
    lines.contextualise(server.target, context("c1", "#!/bin/sh\necho here"))
    assert (await recorder.next(Ended)).succeeded


async def test_a_machine_without_python_is_refused(lines, recorder, server):
    server.noise = b"HEADWATER REFUSED no Python: install python3\n"
    lines.contextualise(server.target, context("c1", TRUE))
    assert (await recorder.next(LineRefused)).reason == "no Python: install python3"


async def test_an_agent_that_dies_is_started_again(lines, recorder, server):
    lines.contextualise(server.target, context("c1", "#!/bin/sh\nss-get go"))
    await recorder.until(lambda: recorder.requests)
    server.machine.kill_daemon()
    await recorder.next(LineLost)

    async def answer(_):
        return Reply(0, "now")

    recorder.answer = answer
    assert (await recorder.next(Ended)).succeeded
    assert recorder.outputs[server.target.machine, "c1"] == b"now\n"


async def test_an_answer_that_fails_is_no_end_of_the_line(lines, recorder, server, caplog):
    async def answer(_):
        raise ZeroDivisionError

    recorder.answer = answer
    lines.contextualise(server.target, context("c1", "#!/bin/sh\nss-get go; exit $?"))
    assert (await recorder.next(Ended)).exit_code == 7
    assert "request.failed" in caplog.text


async def test_a_stop_that_nobody_heard_is_told_on_the_next_line(lines, recorder, server):
    lines.contextualise(server.target, context("c1", "#!/bin/sh\nss-get never"))
    await recorder.until(lambda: recorder.requests)
    await server.close()
    await recorder.next(LineLost)
    lines.stop_steps(server.target.machine, "the run is aborted")
    await server.listen()
    assert (await recorder.next(Ended)).reason == "aborted"


async def test_many_machines_at_once(tmp_path, recorder):
    async with AsyncExitStack() as stack:
        lines = await stack.enter_async_context(running(tmp_path / "keys", recorder))
        for number in range(10):
            server = await stack.enter_async_context(ssh_machine(tmp_path / f"m{number}"))
            server.authorized.append(lines.public_key)
            lines.contextualise(server.target, context("c1", TRUE))
        await recorder.next(Ended, 10)
        assert all(event.succeeded for event in recorder.all(Ended))


def test_the_login_key_is_made_once_and_kept_private(tmp_path):
    made = login_key(tmp_path / "keys")
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.file.parent.stat().st_mode) == 0o700
    assert login_key(tmp_path / "keys").public == made.public
    assert made.public.startswith("ssh-ed25519 ")
    assert sorted(entry.name for entry in made.file.parent.iterdir()) == [
        "id_ed25519",
        "id_ed25519.pub",
    ]


def test_a_login_key_that_is_damaged_says_what_to_do(tmp_path):
    (tmp_path / "id_ed25519").write_text("rubbish")
    with pytest.raises(Stalled, match="remove it"):
        login_key(tmp_path)


# Tasks.


def task(id: str, *scripts: str, collects: bool = False) -> Task:
    return Task(id, tuple(Step("s", "test", script=text) for text in scripts), collects=collects)


async def test_a_machine_that_is_reached_otherwise_keeps_its_tasks(lines, recorder, server):
    lines.contextualise(server.target, context("c1", TRUE))
    await recorder.next(Ended)
    lines.run_task(server.target.machine, task("t", "#!/bin/sh\nss-get go"))
    await recorder.until(lambda: recorder.requests)
    lines.contextualise(at(server.target, user="admin"), context("c1", TRUE))

    async def answer(_: object) -> Reply:
        return Reply(0)

    recorder.answer = answer
    assert (await recorder.next(TaskEnded)).succeeded
    assert len(recorder.requests) == 2


async def test_a_task_that_no_message_can_hold_ends_by_itself(lines, recorder, server):
    lines.contextualise(server.target, context("c1", TRUE))
    await recorder.next(Ended)
    lines.run_task(server.target.machine, task("t", *("#!/bin/sh\n" + "#" * 600_000,) * 2))
    ended = await recorder.next(TaskEnded)
    assert (ended.succeeded, ended.reason) == (False, "unstartable")
    assert "too large" in ended.words
    lines.run_task(server.target.machine, task("t2", TRUE))
    assert (await recorder.next(TaskEnded, 2)).succeeded


async def test_what_is_heard_is_not_asked_for_again_and_its_archive_goes(lines, recorder, server):
    machine = server.target.machine
    lines.contextualise(server.target, context("c1", TRUE))
    lines.run_task(machine, task("t", collects=True))
    await recorder.next(TaskEnded)
    kept = server.machine.home / "tasks/t"
    await asyncio.to_thread(eventually, (kept / "heard").exists)
    await asyncio.to_thread(eventually, lambda: not (kept / "report.tgz").exists())
    server.drop()
    await recorder.next(Ended, 2)
    lines.run_task(machine, task("t2", TRUE))
    await recorder.next(TaskEnded, 2)
    assert [ended.task for ended in recorder.all(TaskEnded)] == ["t", "t2"]


async def test_a_report_of_many_pieces_goes_on_on_another_line(lines, recorder, server):
    machine = server.target.machine
    lines.contextualise(server.target, context("c1", TRUE))
    script = "#!/bin/sh\nhead -c 6000000 /dev/urandom > $HEADWATER_REPORT_DIR/noise"
    lines.run_task(machine, task("t", script, collects=True))
    await recorder.next(ReportPiece, 3)
    server.drop()
    ended = await recorder.next(TaskEnded)
    assert ended.succeeded
    assert len(recorder.all(Connected)) == 2
    assert len(recorder.reports[machine, "t"]) > 6_000_000
    with tarfile.open(fileobj=io.BytesIO(recorder.reports[machine, "t"])) as archive:
        assert archive.getnames() == ["noise"]


async def test_a_piece_that_cannot_be_kept_is_told_again(lines, recorder, server):
    machine = server.target.machine
    lines.contextualise(server.target, context("c1", TRUE))
    await recorder.next(Ended)
    script = "#!/bin/sh\nhead -c 2000000 /dev/urandom > $HEADWATER_REPORT_DIR/noise"
    lines.run_task(machine, task("t", script, collects=True))
    await recorder.next(ReportPiece, 2)
    recorder.failures = 1
    assert (await recorder.next(TaskEnded)).succeeded
    assert len(recorder.reports[machine, "t"]) > 2_000_000
