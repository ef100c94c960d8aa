"""What the `Machines` port promises of contexts and tasks, on the real lines and on the fake."""

import io
import shlex
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from contracts.test_machines import running
from fakes.machines import Agents, FakeMachines
from fakes.tasks import Outcome
from harness.recorder import Recorder
from harness.ssh_machine import SshMachine, ssh_machine
from headwater.reconcile.ports import Machines
from headwater.topology.context import Context, Step, Target, Task
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import (
    Connected,
    Ended,
    LineLost,
    Output,
    ReportPiece,
    StepStarted,
    TaskEnded,
)

NOT_A_DIRECTORY = "the report could not be made: Not a directory"
HELD = Outcome(held=True)
SUCCESS = Outcome()


class Stage(Protocol):
    """One machine, and a controller that talks to it."""

    machines: Machines
    recorder: Recorder
    target: Target

    def task(self, id: str, outcome: Outcome, *, collects: bool) -> Task: ...

    def context(self, id: str, *, held: bool = False) -> Context: ...

    def release(self) -> None:
        """What is held goes on."""

    def drop(self) -> None:
        """The line breaks."""

    async def restart(self) -> None:
        """Another controller, which has kept all output and reports."""


class RealStage:
    def __init__(self, server: SshMachine, keys: Path, stack: AsyncExitStack) -> None:
        self.target = server.target
        self._server = server
        self._keys = keys
        self._stack = stack
        self._held = f"until [ -e {server.machine.root}/go ]; do sleep 0.01; done"
        self.recorder = Recorder()
        self.machines: Machines

    def task(self, id: str, outcome: Outcome, *, collects: bool) -> Task:
        lines = ["#!/bin/sh", f"printf %s {shlex.quote(outcome.printed.decode())}"]
        for name, content in outcome.report.items():
            lines.append(
                f"printf %s {shlex.quote(content.decode())} > $HEADWATER_REPORT_DIR/{name}"
            )
        if outcome.uncollected:
            lines.append("rm -r $HEADWATER_REPORT_DIR; echo > $HEADWATER_REPORT_DIR")
        lines += [self._held] * outcome.held + [f"exit {outcome.exit_code}"]
        return Task(id, (Step("hook", "test", "\n".join(lines)),), collects=collects)

    def context(self, id: str, *, held: bool = False) -> Context:
        return Context(id, (Step("deploy", "test", f"#!/bin/sh\n{self._held if held else ''}"),))

    def release(self) -> None:
        (self._server.machine.root / "go").touch()

    def drop(self) -> None:
        self._server.drop()

    async def restart(self) -> None:
        kept = self.recorder
        if kept.events:
            self.machines.forget(self.target.machine)
        self.recorder = Recorder()
        self.recorder.outputs, self.recorder.reports = kept.outputs, kept.reports
        lines = await self._stack.enter_async_context(running(self._keys, self.recorder))
        self._server.authorized.append(lines.public_key)
        self.machines = lines


class FakeStage:
    target = Target(
        MachineId("test", "m"), InstanceKey("hello", "node", 1), "10.0.0.1", 22, "root", "key"
    )

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._fake = FakeMachines()
        self._agents = Agents()
        self.machines: Machines

    def task(self, id: str, outcome: Outcome, *, collects: bool) -> Task:
        self._fake.outcomes[id] = outcome
        return Task(id, (Step("hook", "test"),), collects=collects)

    def context(self, id: str, *, held: bool = False) -> Context:
        if held:
            self._fake.held.add(self.target.key)
        return Context(id, (Step("deploy", "test"),))

    def release(self) -> None:
        outcomes = self._fake.outcomes
        self._fake.outcomes = {key: replace(outcomes[key], held=False) for key in outcomes}
        self._fake.release(self.target.key)
        self._fake.release_task(self.target.key)

    def drop(self) -> None:
        self._fake.break_line(self.target.machine)

    async def restart(self) -> None:
        before, kept = self._fake, self.recorder
        if kept.events:
            before.forget(self.target.machine)
        self._fake = FakeMachines(self._agents, prompt=True)
        self._fake.outcomes = before.outcomes
        self.recorder = Recorder()
        self.recorder.outputs, self.recorder.reports = kept.outputs, kept.reports
        self._fake.conversation = self.recorder
        self.machines = self._fake


@asynccontextmanager
async def real_stage(place: Path) -> AsyncIterator[Stage]:
    async with ssh_machine(place / "machine") as server, AsyncExitStack() as stack:
        yield RealStage(server, place / "keys", stack)


@asynccontextmanager
async def fake_stage(_: Path) -> AsyncIterator[Stage]:
    yield FakeStage()


@pytest.fixture(params=[real_stage, fake_stage], ids=["real", "fake"])
async def stage(request, tmp_path):
    async with request.param(tmp_path) as stage:
        await stage.restart()
        yield stage


async def connected(stage: Stage, context: Context | None = None) -> None:
    """A machine on which nothing runs any more."""
    stage.machines.contextualise(stage.target, context or stage.context("c1"))
    await stage.recorder.next(Connected)
    if context is None:
        await stage.recorder.next(Ended)


def run(stage: Stage, id: str, outcome: Outcome = SUCCESS, *, collects: bool = False) -> None:
    stage.machines.run_task(stage.target.machine, stage.task(id, outcome, collects=collects))


def ends(stage: Stage) -> list[tuple[str, str]]:
    return [(ended.task, ended.reason) for ended in stage.recorder.all(TaskEnded)]


def report(stage: Stage, id: str) -> dict[str, bytes]:
    content = stage.recorder.reports[stage.target.machine, id]
    with tarfile.open(fileobj=io.BytesIO(content)) as found:
        return {m.name: found.extractfile(m).read() for m in found.getmembers()}  # type: ignore[union-attr]


async def test_a_task_tells_what_it_prints_then_its_report_then_its_end(stage):
    await connected(stage)
    run(stage, "t", Outcome(printed=b"hello\n", report={"a": b"b"}), collects=True)
    ended = await stage.recorder.next(TaskEnded)
    machine = stage.target.machine
    expected = TaskEnded(
        machine, "t", succeeded=True, step="hook", exit_code=0, seconds=ended.seconds
    )
    assert ended == expected
    assert stage.recorder.outputs[machine, "t"] == b"hello\n"
    assert report(stage, "t") == {"a": b"b"}
    kinds = [type(event) for event in stage.recorder.events]
    assert kinds[-3:] == [Output, ReportPiece, TaskEnded]


async def test_a_task_that_fails_says_how(stage):
    await connected(stage)
    run(stage, "t", Outcome(exit_code=7, printed=b"oh\nno\n"))
    ended = await stage.recorder.next(TaskEnded)
    assert (ended.succeeded, ended.exit_code) == (False, 7)
    assert (ended.reason, ended.words) == ("exit", "no")
    assert not stage.recorder.all(ReportPiece)


async def test_a_report_that_cannot_be_made_is_said(stage):
    await connected(stage)
    run(stage, "t", Outcome(uncollected=NOT_A_DIRECTORY), collects=True)
    ended = await stage.recorder.next(TaskEnded)
    assert (ended.succeeded, ended.reason, ended.words) == (False, "uncollected", NOT_A_DIRECTORY)


async def test_asked_for_again_a_task_says_its_end_again_and_does_nothing(stage):
    await connected(stage)
    run(stage, "t", Outcome(printed=b"x", report={"a": b"b"}), collects=True)
    first = await stage.recorder.next(TaskEnded)
    run(stage, "t", Outcome(printed=b"y", exit_code=1), collects=True)
    assert await stage.recorder.next(TaskEnded, 2) == first
    assert stage.recorder.outputs[stage.target.machine, "t"] == b"x"


async def test_tasks_run_in_their_order(stage):
    await connected(stage)
    run(stage, "z", HELD)
    run(stage, "a")
    run(stage, "m")
    stage.release()
    await stage.recorder.next(TaskEnded, 3)
    assert ends(stage) == [("z", ""), ("a", ""), ("m", "")]


async def test_a_task_waits_for_the_step_that_runs(stage):
    await connected(stage, stage.context("c1", held=True))
    await stage.recorder.next(StepStarted)
    run(stage, "t")
    stage.release()
    await stage.recorder.next(TaskEnded)
    assert [type(e) for e in stage.recorder.events if isinstance(e, Ended | TaskEnded)] == [
        Ended,
        TaskEnded,
    ]


async def test_another_context_waits_for_the_task_that_runs(stage):
    await connected(stage)
    run(stage, "t", HELD)
    stage.machines.contextualise(stage.target, stage.context("c2"))
    stage.release()
    assert (await stage.recorder.next(Ended, 2)).context == "c2"
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]


async def test_stopping_stops_hooks_and_no_report(stage):
    await connected(stage)
    run(stage, "hook", HELD)
    run(stage, "next")
    run(stage, "report", Outcome(report={"a": b"b"}), collects=True)
    stage.machines.stop_steps(stage.target.machine, "the run is aborted")
    await stage.recorder.next(TaskEnded, 3)
    assert sorted(ends(stage)) == [("hook", "aborted"), ("next", "aborted"), ("report", "")]
    assert report(stage, "report") == {"a": b"b"}


async def test_a_report_is_collected_although_the_context_is_stopped(stage):
    await connected(stage, stage.context("c1", held=True))
    await stage.recorder.next(StepStarted)
    run(stage, "report", Outcome(report={"a": b"b"}), collects=True)
    stage.machines.stop_steps(stage.target.machine, "the run is aborted")
    assert (await stage.recorder.next(Ended)).reason == "aborted"
    assert (await stage.recorder.next(TaskEnded)).succeeded


async def test_a_hook_that_is_asked_for_after_a_stop_is_not_stopped_on_another_line(stage):
    await connected(stage)
    stage.machines.stop_steps(stage.target.machine, "the run is aborted")
    run(stage, "t", HELD)
    stage.drop()
    await stage.recorder.next(Connected, 2)
    stage.release()
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]


async def test_a_lost_line_changes_nothing_for_a_task(stage):
    await connected(stage)
    run(stage, "t", Outcome(held=True, printed=b"one\n", report={"a": b"b"}), collects=True)
    stage.drop()
    await stage.recorder.next(LineLost)
    await stage.recorder.next(Connected, 2)
    stage.release()
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]
    assert stage.recorder.outputs[stage.target.machine, "t"] == b"one\n"
    assert report(stage, "t") == {"a": b"b"}


async def test_a_task_is_told_on_the_line_that_comes_later(stage):
    stage.machines.contextualise(stage.target, stage.context("c1"))
    run(stage, "t")
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]


async def test_an_end_that_cannot_be_kept_is_told_again(stage):
    await connected(stage)
    stage.recorder.failures = 2
    run(stage, "t", Outcome(report={"a": b"b"}), collects=True)
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]
    assert report(stage, "t") == {"a": b"b"}


async def test_another_controller_picks_up_a_task(stage):
    await connected(stage)
    run(stage, "t", Outcome(held=True, printed=b"one\n", report={"a": b"b"}), collects=True)
    await stage.recorder.next(Output)
    await stage.restart()
    stage.machines.contextualise(stage.target, stage.context("c1"))
    run(stage, "t", Outcome(exit_code=1, printed=b"another\n"), collects=True)
    stage.release()
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("t", "")]
    assert stage.recorder.outputs[stage.target.machine, "t"] == b"one\n"
    assert report(stage, "t") == {"a": b"b"}


async def test_a_forgotten_machine_is_asked_for_nothing(stage):
    run(stage, "early")
    await connected(stage)
    run(stage, "t", HELD)
    stage.machines.forget(stage.target.machine)
    stage.machines.contextualise(stage.target, stage.context("c1"))
    await stage.recorder.next(Connected, 2)
    stage.machines.stop_steps(stage.target.machine, "over")
    run(stage, "last", collects=True)
    await stage.recorder.next(TaskEnded)
    assert ends(stage) == [("last", "")]


# Contexts, as far as a fake can have them.


async def test_the_end_of_a_context_is_told_on_every_line(stage):
    await connected(stage)
    stage.drop()
    await stage.recorder.next(Ended, 2)
    first, again = stage.recorder.all(Ended)
    assert first == again


async def test_a_context_is_stopped(stage):
    await connected(stage, stage.context("c1", held=True))
    await stage.recorder.next(StepStarted)
    stage.machines.stop_steps(stage.target.machine, "the run is aborted")
    ended = await stage.recorder.next(Ended)
    assert (ended.reason, ended.exit_code, ended.succeeded) == ("aborted", None, False)
    assert len(stage.recorder.all(StepStarted)) == 1


async def test_another_controller_picks_up_the_end_of_a_context(stage):
    await connected(stage)
    await stage.restart()
    await connected(stage)
    assert not stage.recorder.all(StepStarted)
