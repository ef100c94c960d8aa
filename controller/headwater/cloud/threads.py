"""One account's own threads, with a provider in each: libcloud's drivers are not shared."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from headwater.cloud.faults import classify
from headwater.cloud.provider import Provider
from headwater.errors import Transient
from headwater.manifests.resolved import ResolvedCloud

T = TypeVar("T")
Pool = Callable[[int, str], Executor]
"""Opens an account's threads: how many, and how their names begin."""


class Threads:
    """Calls to one account: at most `width` at once, each awaited for at most its deadline.

    A thread cannot be cancelled: a late call goes on, and what it did is seen by a later listing.
    """

    def __init__(
        self, cloud: ResolvedCloud, open: Callable[[], Provider], width: int, pool: Pool
    ) -> None:
        self._cloud = cloud
        self._open = open
        self._own = threading.local()
        self._pool = pool(width, f"cloud-{cloud.name}")

    async def run(self, call: Callable[[Provider], T], deadline: float) -> T:
        """Raises HeadwaterError only; Transient when the deadline passes."""
        where = f"cloud {self._cloud.name!r}"
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.wrap_future(self._pool.submit(self._call, call))
        except TimeoutError as e:
            raise Transient(f"{where}: no answer within {deadline:g} s") from e
        except Exception as e:
            raise classify(e, self._cloud.driver, where) from e

    def _call(self, call: Callable[[Provider], T]) -> T:
        if not hasattr(self._own, "provider"):
            self._own.provider = self._open()
        return call(self._own.provider)

    def close(self) -> None:
        """Nothing more is taken on; what runs ends by the driver's own timeouts."""
        self._pool.shutdown(wait=False)
