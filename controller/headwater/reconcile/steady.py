"""A clock that nobody can turn."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from headwater.reconcile.ports import Clock

logger = logging.getLogger("headwater.clock")

CORRECTION = timedelta(seconds=5)
"""As far as the wall's time is followed; beyond that somebody has turned it."""


class SteadyClock:
    """The wall's time while it goes on as time does: timeouts and ages hold over its jumps.

    `elapsed` counts seconds from anywhere, and sleeps as the wall does. It begins at `earliest`
    at the earliest: what an earlier process has noted is not in the future.
    """

    def __init__(
        self, wall: Clock, elapsed: Callable[[], float], earliest: datetime | None = None
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._now = max(wall(), earliest or wall())
        self._then = elapsed()
        self._turned = False

    def __call__(self) -> datetime:
        then, self._then = self._then, self._elapsed()
        expected = self._now + timedelta(seconds=self._then - then)
        wall = self._wall()
        turned = abs(wall - expected) > CORRECTION
        if turned and not self._turned:
            seconds = (wall - expected).total_seconds()
            logger.warning("clock.jumped", extra={"seconds": round(seconds)})
        self._turned = turned
        self._now = expected if turned else max(wall, self._now)
        return self._now
