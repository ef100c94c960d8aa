"""An event loop whose time jumps to the next thing that is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from fakes.builders import NOON

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen again")
        self.now += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Threads would need real time: their work is done on the spot."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # its own types need newer syntax
        self,
        executor: Any,  # noqa: ARG002  # the parent's signature
        func: Callable[..., Any],
        *args: Any,
    ) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # handed to the waiter, as an executor does
            future.set_exception(error)
        return future


def run(main: Coroutine[Any, Any, T]) -> T:
    """To its end, in no time."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


def clock() -> datetime:
    """Noon, when the loop begins."""
    return NOON + timedelta(seconds=asyncio.get_running_loop().time())
