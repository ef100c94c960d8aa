"""Passes over deployments: the most urgent first, one at a time each, a few at once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from headwater.errors import HeadwaterError
from headwater.reconcile.agenda import Agenda, Priority
from headwater.reconcile.backoff import delay
from headwater.reconcile.reconciler import Next

logger = logging.getLogger("headwater.loop")

MOST_ROUNDS = 10
"""Passes over one deployment in a row, while each one enables the next."""


@dataclass(slots=True)
class Dispatch:
    """Nothing ever blocks a worker: waiting is a place on the agenda."""

    reconcile: Callable[[str], Awaitable[Next]]
    settled: Callable[[], None]
    """Called after every pass."""
    workers: int = 4
    agenda: Agenda = field(default_factory=lambda: Agenda(gap=0.2))
    rng: random.Random = field(default_factory=random.Random)
    _attempts: dict[str, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _began: dict[str, float] = field(default_factory=dict)
    """The passes under way, and when each began."""

    def add(self, key: str, priority: Priority, after: float = 0.0) -> None:
        """Look at the deployment, in `after` seconds at the earliest."""
        self.agenda.add(key, priority, asyncio.get_running_loop().time() + after)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled, or stopped: then the passes under way come to their end."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                self._wake.clear()
                while self._is_free and (key := self.agenda.take(loop.time())):
                    self._began[key] = loop.time()
                    group.create_task(self._work(key), name=f"pass {key}")
                due = self.agenda.next_due() if self._is_free else None
                timeout = None if due is None else max(0.0, due - loop.time())
                try:
                    async with asyncio.timeout(timeout):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _work(self, key: str) -> None:
        try:
            following = await self.rounds(key)
        except HeadwaterError as error:  # the journal's: what clouds and machines say is an outcome
            logger.error("pass.failed", extra={"deployment": key, "reason": str(error)})  # noqa: TRY400
            following = Next("failed", failed=True)
        except Exception:
            logger.exception("pass.crashed", extra={"deployment": key})
            following = Next("failed", failed=True)
        self.agenda.done(key, asyncio.get_running_loop().time())
        del self._began[key]
        self._follow(key, following)
        self._wake.set()
        self.settled()

    async def rounds(self, key: str) -> Next:
        """Passes over one deployment for as long as each one enables the next."""
        for _ in range(MOST_ROUNDS):
            following = await self.reconcile(key)
            if following.again != 0.0:
                break
        return following

    def _follow(self, key: str, following: Next) -> None:
        if following.failed:
            self._attempts[key] = self._attempts.get(key, 0) + 1
            self.add(key, Priority.RETRY, delay(self._attempts[key], self.rng))
            return
        if following.result != "failed":
            self._attempts.pop(key, None)
        if following.result == "removed":
            self.agenda.forget(key)
        elif following.again is not None:
            self.add(key, Priority.DRIFT, following.again)

    @property
    def is_idle(self) -> bool:
        """Nothing is under way that a person or a commit asked for."""
        return self.agenda.is_idle(lambda priority: priority <= Priority.RETRY)

    def stop(self) -> None:
        """Begin no further pass."""
        self._stopping = True
        self._wake.set()

    @property
    def _is_free(self) -> bool:
        return len(self._began) < self.workers

    def longest(self) -> float:
        """Seconds that the oldest pass under way has taken; 0 where none is."""
        now = asyncio.get_running_loop().time()
        return max((now - began for began in self._began.values()), default=0.0)
