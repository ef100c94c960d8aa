"""Calls for one thing each, made as one call for many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Call = Callable[[Sequence[str]], Awaitable[Sequence[Exception | None]]]


class Gathering:
    """What is asked for in one go of the loop leaves in one call; whoever asks gets its answer."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, id: str) -> None:
        """Raises what the call gives for this one, or raises itself."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._leave)
        if id not in self._waiting:
            self._waiting[id] = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting[id])

    def _leave(self) -> None:
        going, self._waiting = self._waiting, {}
        task = asyncio.create_task(self._make(going))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, going: dict[str, asyncio.Future[None]]) -> None:
        try:
            answers = await self._call(list(going))
        except Exception as error:  # noqa: BLE001  # handed to whoever asked
            answers = [error] * len(going)
        for future, answer in zip(going.values(), answers, strict=True):
            if answer is None:
                future.set_result(None)
            else:
                future.set_exception(answer)
                future.exception()  # whoever asked may have given up
