import asyncio
import io

from rich.console import Console

from fakes.controller import BUSY, START, deployment, everything, instance, stalled
from headwater.planning.events import (
    ActionEnded,
    CloudListed,
    HealthChanged,
    RunEnded,
    StatusChanged,
)
from headwater.planning.status import ControllerStatus, Phase
from headwater.reporting.progress import Progress

CREATED = ActionEnded("hello", "wn.1", "create", "missing", 0.31)
BEGUN = StatusChanged("hello", deployment(phase=Phase.EXECUTING, conditions=BUSY))


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    shown = Console(file=stream, force_terminal=terminal, width=100, height=60, _environ={})
    return shown, stream


async def test_in_a_pipe_each_event_that_matters_is_a_plain_line():
    target, stream = console(terminal=False)
    with Progress(target, lambda: everything(deployment()), lambda: START) as progress:
        for event in (
            BEGUN,
            BEGUN,
            CREATED,
            CloudListed("local", 1, 0, complete=True, seconds=0.1),
            RunEnded("hello", "a" * 40, "success", 5.2),
            HealthChanged("hello", "wn.1", "failing", "no answer"),
            HealthChanged("hello", "wn.1", "healthy"),
        ):
            progress(event)

    assert stream.getvalue().splitlines() == [
        "hello: Executing (2 ready)",
        "hello/wn.1 created in 0.3 s (missing)",
        "hello is ready at aaaaaaa after 5.2 s",
        "hello/wn.1 is failing: no answer",
        "hello/wn.1 is healthy",
    ]


async def test_on_a_terminal_the_final_state_stays_behind():
    target, stream = console(terminal=True)
    states = [everything(deployment(phase=Phase.EXECUTING, conditions=BUSY))]
    with Progress(target, lambda: states[-1], lambda: START) as progress:
        progress(CREATED)
        async with asyncio.timeout(10):
            while "wn.1 created" not in stream.getvalue():  # noqa: ASYNC110  # a screen
                await asyncio.sleep(0.01)
        states.append(everything(deployment()))

    final = stream.getvalue().rpartition("DEPLOYMENT")[2]
    assert "Ready" in final
    assert "created" not in final


async def test_many_machines_are_counts_and_failures_are_few_lines():
    failed = tuple(instance(f"wn.{n}", "failed", "no such host") for n in range(1, 20))
    waiting = tuple(instance(f"wn.{n}", "pending") for n in range(20, 40))
    status: ControllerStatus = everything(
        deployment("gpod", conditions=stalled("wn.1: x"), instances=failed + waiting)
    )
    target, stream = console(terminal=True)
    with Progress(target, lambda: status, lambda: START):
        pass

    final = stream.getvalue().rpartition("DEPLOYMENT")[2]
    assert len(final.splitlines()) < 10
    assert "and 14 more" in final
