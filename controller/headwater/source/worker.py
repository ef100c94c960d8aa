"""Blocking calls of Git off the loop: one thread, so a mirror has one writer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from headwater.errors import Transient

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs calls one after another, each awaited for at most `deadline` seconds.

    A thread cannot be cancelled: a late call goes on (its own network timeouts end it), and the
    calls behind it wait, each within its own deadline.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="git")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Transient when the deadline passes, and whatever the call raises."""
        future = self._thread.submit(call, *args, **kwargs)
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Transient(f"Git has not answered within {self._deadline:g} s") from None

    def close(self) -> None:
        """Nothing more starts; what runs ends by its own timeouts."""
        self._thread.shutdown(wait=False, cancel_futures=True)
