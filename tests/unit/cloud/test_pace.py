"""How many calls go out at once, and when the next ones do."""

import asyncio

import pytest

from fakes.looptime import run
from headwater.cloud.gathering import Gathering
from headwater.cloud.pace import Bucket
from headwater.errors import Stalled


def moments(bucket: Bucket, calls: int) -> list[float]:
    """When each of so many calls that come together goes out."""

    async def main() -> list[float]:
        now = asyncio.get_running_loop().time

        async def one() -> float:
            await bucket.take()
            return now()

        return list(await asyncio.gather(*(one() for _ in range(calls))))

    return run(main())


def test_a_burst_goes_out_at_once_and_the_rest_at_the_rate() -> None:
    assert moments(Bucket(2.0, burst=3.0), 6) == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5])


def test_without_a_burst_ten_seconds_worth_of_calls_go_out_at_once() -> None:
    assert moments(Bucket(0.5), 7) == pytest.approx([0, 0, 0, 0, 0, 2.0, 4.0])


def gathered(
    answers: dict[str, Exception | None], *asked: str
) -> tuple[list[list[str]], list[object]]:
    """The calls that were made, and what each who asked was told."""
    calls: list[list[str]] = []

    async def call(ids: object) -> list[Exception | None]:
        assert isinstance(ids, list)
        calls.append(ids)
        return [answers.get(id) for id in ids]

    async def main() -> list[object]:
        gathering = Gathering(call)
        return list(
            await asyncio.gather(*(gathering.ask(id) for id in asked), return_exceptions=True)
        )

    return calls, run(main())


def test_what_is_asked_in_one_go_is_one_call_and_the_same_thing_is_asked_once() -> None:
    calls, told = gathered({}, "a", "b", "a")

    assert calls == [["a", "b"]]
    assert told == [None, None, None]


def test_everybody_gets_the_answer_of_what_he_asked() -> None:
    refused = Stalled("not b")

    assert gathered({"b": refused}, "a", "b", "c")[1] == [None, refused, None]


def test_who_comes_later_is_in_the_next_call_and_who_gives_up_takes_it_from_nobody() -> None:
    calls: list[list[str]] = []
    gate = asyncio.Event()

    async def call(ids: object) -> list[None]:
        assert isinstance(ids, list)
        calls.append(ids)
        await gate.wait()
        return [None for _ in ids]

    async def main() -> None:
        gathering = Gathering(call)
        first = [asyncio.create_task(gathering.ask(id)) for id in ("a", "b")]
        await asyncio.sleep(1)
        later = asyncio.create_task(gathering.ask("c"))
        await asyncio.sleep(1)
        first[0].cancel()
        gate.set()
        await asyncio.gather(first[1], later)

    run(main())
    assert calls == [["a", "b"], ["c"]]
