"""The simulated machines keep what the real ones promise of tasks, whatever becomes of the line."""

import asyncio

import pytest

from fakes.looptime import JumpingLoop
from fakes.looptime import run as to_its_end
from faults.simulated_ssh import SimulatedMachines
from faults.simulated_tasks import PRINTED, REPORT
from faults.weather import Weather
from harness.recorder import Recorder
from headwater.topology.context import Context, Step, Target, Task
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import Ended, TaskEnded

MACHINE = MachineId("test", "m")
TARGET = Target(MACHINE, InstanceKey("shop", "web", 1), "10.0.0.1", 22, "root", "key")
HOUR = 3600.0
REPORTS = Task("report", (Step("report", "web"),), collects=True)
HOOK = Task("hook", (Step("onInstanceAdd", "web", script="#!/bin/sh\nexit 7"),))


def machines(seed: int, recorder: Recorder) -> SimulatedMachines:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    weather = Weather(seed, loop.time)
    made = SimulatedMachines({}, lambda _: None, lambda _: True, weather, recorder)
    made.contextualise(TARGET, Context("c.1", ()))
    return made


def ends(recorder: Recorder) -> list[tuple[str, str]]:
    return [(ended.task, ended.reason) for ended in recorder.all(TaskEnded)]


@pytest.mark.parametrize("seed", range(10))
def test_a_report_comes_whole_however_often_the_line_drops(seed):
    async def main() -> None:
        recorder = Recorder()
        lines = machines(seed, recorder)
        lines.run_task(MACHINE, REPORTS)
        lines.run_task(MACHINE, HOOK)
        for _ in range(20):
            await asyncio.sleep(10.7)
            lines.drop(MACHINE)
        await asyncio.sleep(HOUR)
        assert sorted(ends(recorder)) == [("hook", "exit"), ("report", "")]
        assert lines.agents[MACHINE].tasks.begun == ["report", "hook"]
        assert recorder.reports == {(MACHINE, "report"): REPORT}
        assert recorder.outputs == {(MACHINE, "report"): PRINTED, (MACHINE, "hook"): PRINTED}
        assert {ended.context for ended in recorder.all(Ended)} == {"c.1"}

    to_its_end(main())


def test_what_stops_hooks_does_not_stop_reports():
    async def main() -> None:
        recorder = Recorder()
        lines = machines(1, recorder)
        await asyncio.sleep(HOUR)
        lines.run_task(MACHINE, HOOK)
        lines.run_task(MACHINE, REPORTS)
        lines.stop_steps(MACHINE, "the run is aborted")
        await asyncio.sleep(HOUR)
        assert ends(recorder) == [("hook", "aborted"), ("report", "")]

    to_its_end(main())


def test_a_reboot_interrupts_a_task_and_its_end_is_told():
    async def main() -> None:
        recorder = Recorder()
        lines = machines(1, recorder)
        await asyncio.sleep(HOUR)
        lines.run_task(MACHINE, REPORTS)
        agent = lines.agents[MACHINE]
        agent.tell = None
        agent.stop("interrupted")
        lines.drop(MACHINE)
        await asyncio.sleep(HOUR)
        assert ends(recorder) == [("report", "interrupted")]

    to_its_end(main())
