"""Passes over many deployments, on a clock that jumps."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

from fakes.looptime import run
from headwater.reconcile.agenda import Priority
from headwater.reconcile.dispatch import MOST_ROUNDS, Dispatch
from headwater.reconcile.reconciler import Next


class Passes:
    """Answers every pass with what the test has prepared, and notes when it was."""

    def __init__(self, *answers: Next | Exception, seconds: float = 0.0, workers: int = 4) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.seen: list[tuple[str, float]] = []
        self.active = 0
        self.most = 0
        rng = random.Random(1)  # noqa: S311  # no secret
        self.dispatch = Dispatch(self.reconcile, lambda: None, workers, rng=rng)

    async def reconcile(self, name: str) -> Next:
        self.seen.append((name, round(asyncio.get_running_loop().time(), 3)))
        self.active += 1
        self.most = max(self.most, self.active)
        await asyncio.sleep(self.seconds)
        self.active -= 1
        answer = self.answers.pop(0) if self.answers else Next("unchanged")
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[Dispatch]:
        """While it runs, and for so many seconds after."""
        task = asyncio.create_task(self.dispatch.run())
        yield self.dispatch
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])


def scene(passes: Passes, *names: str) -> list[tuple[str, float]]:
    async def play() -> None:
        async with passes.running(2000.0) as dispatch:
            for name in names:
                dispatch.add(name, Priority.COMMIT)

    run(play())
    return passes.seen


def test_a_pass_that_enables_the_next_is_followed_at_once():
    passes = Passes(Next("changed", 0.0), Next("changed", 0.0), Next("unchanged"))

    assert scene(passes, "web") == [("web", 0.0)] * 3


def test_passes_that_never_end_make_room_for_others():
    passes = Passes(*[Next("changed", 0.0)] * MOST_ROUNDS, workers=1)

    assert [name for name, _ in scene(passes, "a", "b")] == ["a"] * MOST_ROUNDS + ["b", "a"]


def test_a_pass_says_when_to_look_again():
    passes = Passes(Next("waiting", 60.0))

    assert scene(passes, "web") == [("web", 0.0), ("web", 60.0)]


def test_failures_are_tried_again_ever_more_slowly_and_for_ever():
    passes = Passes(*[Next("failed", failed=True)] * 8)
    times = [at for _, at in scene(passes, "web")]

    assert len(times) == 9
    assert times[-1] > 60.0
    assert all(later - earlier <= 2.0**n for n, (earlier, later) in enumerate(pairwise(times), 1))


def test_a_crashed_pass_is_a_failure_of_its_deployment_alone():
    passes = Passes(ValueError("a bug"), Next("unchanged"))
    seen = scene(passes, "web", "db")

    assert sorted({name for name, _ in seen}) == ["db", "web"]
    assert len(seen) == 3


def test_no_more_passes_run_at_once_than_there_are_workers():
    passes = Passes(seconds=5.0, workers=3)
    scene(passes, *"abcdefgh")

    assert passes.most == 3
    assert len(passes.seen) == 8


def test_a_deployment_that_is_touched_during_its_pass_is_looked_at_again_after_it():
    async def play() -> None:
        async with passes.running(10.0) as dispatch:
            dispatch.add("web", Priority.COMMIT)
            await asyncio.sleep(2.0)
            dispatch.add("web", Priority.PERSON)
            dispatch.add("web", Priority.DRIFT)

    passes = Passes(seconds=5.0)
    run(play())

    assert [name for name, _ in passes.seen] == ["web", "web"]
    assert passes.most == 1
    assert passes.seen[1][1] >= 5.0


def test_a_removed_deployment_is_forgotten():
    passes = Passes(Next("removed"))
    scene(passes, "web")

    assert (len(passes.seen), passes.dispatch.agenda.depth) == (1, 0)


def test_a_deployment_in_backoff_is_not_idle():
    async def play() -> tuple[bool, bool]:
        async with passes.running(0.0) as dispatch:
            before = dispatch.is_idle
            dispatch.add("web", Priority.COMMIT)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return before, dispatch.is_idle

    passes = Passes(Next("failed", failed=True))

    assert run(play()) == (True, False)
