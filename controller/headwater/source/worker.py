"""Blocking calls of Git off the loop: one thread, so a mirror has one writer."""

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from headwater.errors import Transient

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs calls one after another, each awaited for at most `deadline` seconds.

    A thread cannot be cancelled: a late call goes on (its own network timeouts end it), and the
    calls behind it wait, each within its own deadline. The thread holds up no exit of the process,
    which is why this is no ThreadPoolExecutor: what it leaves half done, Git leaves unreferenced.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=_serve, args=(self._calls,), name="git", daemon=True).start()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Transient when the deadline passes, and whatever the call raises."""
        future: Future[T] = Future()
        self._calls.put((future, functools.partial(call, *args, **kwargs)))
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Transient(f"Git has not answered within {self._deadline:g} s") from None

    def close(self) -> None:
        """The thread ends after the calls that it was given."""
        self._calls.put(None)


def _serve(calls: "SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]") -> None:
    while (work := calls.get()) is not None:
        future, call = work
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = call()
        except BaseException as e:  # noqa: BLE001  # raised again where it is awaited
            future.set_exception(e)
        else:
            future.set_result(result)
        del work, future, call  # nothing stays alive while the thread waits
