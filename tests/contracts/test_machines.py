"""The contract of the `Machines` port, on lines to real agents behind a real SSH server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent_line import eventually
from harness.recorder import Recorder
from harness.ssh_machine import SshMachine, ssh_machine
from headwater.manifests.resolved import CommandCheck, Recipe, TcpCheck
from headwater.reconcile.ports import Conversation, Machines
from headwater.remote.lines import Lines
from headwater.topology.context import Check, Context, Host, Step
from headwater.topology.progress import (
    Blocked,
    Checked,
    Connected,
    Ended,
    HealthState,
    LineLost,
    Output,
    Reply,
    Request,
    StepStarted,
    Verb,
)


def context(id: str, *scripts: str, **fields: object) -> Context:
    steps = tuple(Step(f"step{n}", "test", script=text) for n, text in enumerate(scripts))
    return replace(Context(id, steps), **fields)  # type: ignore[arg-type]


def check(script: str, digest: str = "h1") -> Check:
    return Check(digest, CommandCheck(Recipe("test", script)), interval=2.0, failures=1)


@asynccontextmanager
async def running(directory: Path, recorder: Recorder) -> AsyncIterator[Lines]:
    lines = Lines(directory, recorder, login_delay=0.05)
    task = asyncio.create_task(lines.run())
    try:
        yield lines
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def recorder():
    return Recorder()


@pytest.fixture
async def server(tmp_path):
    async with ssh_machine(tmp_path / "machine") as server:
        yield server


@pytest.fixture
async def machines(tmp_path, recorder: Conversation, server: SshMachine):
    async with running(tmp_path / "keys", recorder) as machines:  # type: ignore[arg-type]
        server.authorized.append(machines.public_key)
        port: Machines = machines
        yield port


async def test_a_contextualisation_tells_all_that_happens(machines, recorder, server):
    machines.contextualise(
        server.target, context("c1", "#!/bin/sh\necho hello; echo oh >&2; exit 7")
    )
    ended = await recorder.next(Ended)
    machine = server.target.machine
    assert ended == Ended(
        machine=machine,
        context="c1",
        succeeded=False,
        step="step0",
        exit_code=7,
        reason="exit",
        words="oh",
        seconds=ended.seconds,
    )
    assert recorder.outputs[machine, "c1"] == b"hello\noh\n"
    kinds = [type(event) for event in recorder.events]
    assert kinds[:2] == [Connected, StepStarted]
    assert kinds[-2:] == [Output, Ended]


async def test_the_same_context_again_keeps_the_line_and_runs_nothing(machines, recorder, server):
    wanted = context("c1", f"#!/bin/sh\necho once >> {server.machine.root}/runs")
    machines.contextualise(server.target, wanted)
    await recorder.next(Ended)
    for _ in range(3):
        machines.contextualise(server.target, wanted)
    machines.contextualise(server.target, context("c2", "#!/bin/sh\n"))
    await recorder.next(Ended, 2)
    assert len(recorder.all(Connected)) == 1
    assert (server.machine.root / "runs").read_text() == "once\n"


async def test_another_context_follows_at_the_end_of_the_step(machines, recorder, server):
    go = server.machine.root / "go"
    first = context(
        "c1", f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.01; done", "#!/bin/sh\necho no"
    )
    machines.contextualise(server.target, first)
    await recorder.next(StepStarted)
    machines.contextualise(server.target, context("c2", f"#!/bin/sh\n[ -e {go} ] && echo after"))
    go.touch()
    assert (await recorder.next(Ended)).context == "c2"
    assert recorder.outputs == {(server.target.machine, "c2"): b"after\n"}


async def test_every_value_of_a_context_reaches_its_step(machines, recorder, server):
    wanted = context(
        "c1",
        '#!/bin/sh\necho "$A $B"; cat $HEADWATER_HOSTS',
        environment=(("A", "é "), ("B", "x")),
    )
    machines.tell_hosts("hello", [Host("10.0.0.1", ("ce.1.hello", "ce.1", "ce"))])
    machines.contextualise(server.target, wanted)
    await recorder.next(Ended)
    output = recorder.outputs[server.target.machine, "c1"].decode()
    assert output == "é  x\n10.0.0.1\tce.1.hello ce.1 ce\n"


async def test_the_deadline_of_a_context_is_kept(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\nsleep 600", timeout=0.2))
    assert (await recorder.next(Ended)).reason == "timeout"


async def test_a_request_is_answered_by_the_conversation(machines, recorder, server):
    async def answer(request: Request) -> Reply:
        return Reply(0, "geneva") if request.key == "site" else Reply(7, error="no such key")

    recorder.answer = answer
    script = "#!/bin/sh\nss-get site; ss-get --noblock --ignore-abort moon; echo $?"
    machines.contextualise(server.target, context("c1", script))
    await recorder.next(Ended)
    assert recorder.outputs[server.target.machine, "c1"].splitlines() == [
        b"geneva",
        b"ss-get: no such key",
        b"7",
    ]
    machine = server.target.machine
    assert recorder.requests == [
        Request(machine, Verb.GET, "site"),
        Request(machine, Verb.GET, "moon", wait=False, ignore_abort=True),
    ]


async def test_a_step_that_does_nothing_but_wait_is_told(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\nss-get --timeout 90 never"))
    blocked = await recorder.next(Blocked)
    [request] = recorder.requests
    assert blocked == Blocked(server.target.machine, frozenset({request.id}))
    assert 80 < request.patience <= 90


async def test_who_is_told_of_a_host_has_its_name_already(machines, recorder, server):
    async def answer(_: Request) -> Reply:
        machines.tell_hosts("hello", [Host("10.0.0.7", ("ce.1",))])
        return Reply(0, "10.0.0.7")

    recorder.answer = answer
    script = '#!/bin/sh\nip=$(ss-get ce:hostname); grep "^$ip" $HEADWATER_HOSTS'
    machines.contextualise(server.target, context("c1", script))
    await recorder.next(Ended)
    assert recorder.outputs[server.target.machine, "c1"] == b"10.0.0.7\tce.1\n"


async def test_what_a_recipe_gives_up_is_cancelled(machines, recorder, server):
    script = "#!/bin/sh\nss-get --timeout 1 never; echo $?"
    machines.contextualise(server.target, context("c1", script))
    await recorder.next(Ended)
    await recorder.until(lambda: recorder.cancelled)
    assert recorder.outputs[server.target.machine, "c1"].endswith(b"\n9\n")


async def test_a_lost_line_is_made_again_and_nothing_is_lost(machines, recorder, server):
    script = "#!/bin/sh\necho one; ss-get go; echo two"
    machines.contextualise(server.target, context("c1", script))
    await recorder.until(lambda: recorder.requests and recorder.outputs)
    server.drop()
    await recorder.next(LineLost)
    assert len(recorder.cancelled) == 1

    async def answer(_: Request) -> Reply:
        return Reply(0, "now")

    recorder.answer = answer
    await recorder.next(Ended)
    assert recorder.outputs[server.target.machine, "c1"] == b"one\nnow\ntwo\n"
    assert len(recorder.all(Connected)) == 2
    assert "NEED" not in server.commands[-1].split("HAVE")[0]


async def test_the_end_is_told_again_on_every_line(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\nexit 3"))
    first = await recorder.next(Ended)
    server.drop()
    assert await recorder.next(Ended, 2) == first


async def test_another_controller_picks_up_the_outcome(tmp_path, machines, recorder, server):
    go = server.machine.root / "go"
    runs = server.machine.root / "runs"
    script = f"#!/bin/sh\necho 1 >> {runs}; until [ -e {go} ]; do sleep 0.01; done; exit 5"
    machines.contextualise(server.target, context("c1", script))
    await recorder.next(StepStarted)
    machines.forget(server.target.machine)
    go.touch()
    other = Recorder()
    async with running(tmp_path / "keys", other) as restarted:
        assert restarted.public_key == machines.public_key
        restarted.contextualise(server.target, context("c1", script))
        assert (await other.next(Ended)).exit_code == 5
    assert runs.read_text() == "1\n"


async def test_hosts_are_told_to_the_machines_of_the_deployment(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\n"))
    await recorder.next(Ended)
    machines.tell_hosts("other", [Host("10.0.0.9", ("stranger",))])
    machines.tell_hosts("hello", [Host("10.0.0.1", ("ce",))])
    machines.tell_hosts("hello", [Host("10.0.0.2", ("ce",))])
    hosts = server.machine.home / "hosts"
    await asyncio.to_thread(eventually, lambda: hosts.exists() and "10.0.0.2" in hosts.read_text())
    assert hosts.read_text() == "10.0.0.2\tce\n"


async def test_stopping_ends_the_context_as_aborted(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\nexec sleep 600"))
    await recorder.next(StepStarted)
    machines.stop_steps(server.target.machine, "the run is aborted")
    ended = await recorder.next(Ended)
    assert (ended.reason, ended.exit_code) == ("aborted", None)


async def test_a_forgotten_machine_says_nothing_any_more(machines, recorder, server):
    machines.contextualise(server.target, context("c1", "#!/bin/sh\nss-get never"))
    await recorder.until(lambda: recorder.requests)
    machines.forget(server.target.machine)
    await recorder.until(lambda: recorder.cancelled)
    told = len(recorder.events)
    server.drop()
    machines.stop_steps(server.target.machine, "nobody")
    machines.forget(server.target.machine)
    await asyncio.sleep(0)
    assert len(recorder.events) == told


async def test_a_context_that_no_message_can_hold_fails_by_itself(machines, recorder, server):
    huge = context("c1", *("#!/bin/sh\n" + "#" * 300_000 for _ in range(4)))
    machines.contextualise(server.target, huge)
    ended = await recorder.next(Ended)
    assert (ended.succeeded, ended.reason) == (False, "unstartable")
    assert "too large" in ended.words
    machines.contextualise(server.target, context("c2", "#!/bin/sh\n"))
    assert (await recorder.next(Ended, 2)).succeeded


async def test_how_a_check_stands_is_told_after_the_end_of_its_context(machines, recorder, server):
    wanted = check("#!/bin/sh\necho $MOOD; exit 1")
    step = "#!/bin/sh\n"
    machines.contextualise(
        server.target, context("c1", step, environment=(("MOOD", "bad"),), check=wanted)
    )
    told = await recorder.next(Checked)
    words = "the check exited with 1: bad"
    assert told == Checked(server.target.machine, "c1", "h1", HealthState.UNHEALTHY, words)
    assert recorder.all(Ended)


async def test_another_check_runs_no_step_again(machines, recorder, server):
    wanted = context("c1", f"#!/bin/sh\necho once >> {server.machine.root}/runs")
    machines.contextualise(server.target, wanted)
    await recorder.next(Ended)
    machines.contextualise(server.target, replace(wanted, check=check("#!/bin/sh\n")))
    assert (await recorder.next(Checked)).check == "h1"
    machines.contextualise(server.target, replace(wanted, check=check("#!/bin/sh\n", "h2")))
    assert (await recorder.next(Checked, 2)).check == "h2"
    assert len(recorder.all(Ended)) == 1
    assert (server.machine.root / "runs").read_text() == "once\n"


async def test_a_withdrawn_check_is_asked_no_more(machines, recorder, server):
    asked = server.machine.root / "asked"
    wanted = context("c1", "#!/bin/sh\n", check=check(f"#!/bin/sh\ntouch {asked}"))
    machines.contextualise(server.target, wanted)
    await recorder.next(Checked)
    machines.contextualise(server.target, replace(wanted, check=None))
    kept = server.machine.home / "health/check.json"
    await asyncio.to_thread(eventually, lambda: '"id": ""' in kept.read_text())
    asked.unlink()
    machines.contextualise(server.target, context("c2", "#!/bin/sh\nsleep 2.5"))
    await recorder.next(Ended, 2)
    assert not asked.exists()


async def test_a_machine_asks_itself_at_its_own_address(machines, recorder, server):
    forwarded = replace(server.target, inside="127.0.0.9")
    wanted = Check("h1", TcpCheck(9), interval=2.0, failures=1)

    machines.contextualise(forwarded, context("c1", "#!/bin/sh\n", check=wanted))

    assert (await recorder.next(Checked)).words.startswith("127.0.0.9:9")


async def test_each_new_line_tells_how_the_check_stands(machines, recorder, server):
    machines.contextualise(
        server.target, context("c1", "#!/bin/sh\n", check=check("#!/bin/sh\nexit 1"))
    )
    first = await recorder.next(Checked)
    server.drop()
    assert await recorder.next(Checked, 2) == first
