"""How fast an account may be asked, and when it is better left alone."""

import asyncio
import random
from dataclasses import dataclass, field

from headwater.errors import HeadwaterError, Stalled, Throttled, Transient

BURST_SECONDS = 10.0
"""A bucket holds what may be asked in this time."""
FAILURES = 5
"""Failures in a row after which the circuit opens."""
LONGEST_REST = 60.0
"""Seconds that an open circuit stays open at most."""


def _now() -> float:
    """Seconds of the loop's own clock, which tests may make their own."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` calls a second in the long run, and a burst of `burst` of them.

    Without `burst`, of as many as are made in `BURST_SECONDS`.
    """

    rate: float
    burst: float | None = None
    _tokens: float | None = None
    _at: float = 0.0

    async def take(self, count: int = 1) -> None:
        """Wait until so many calls may be made. Who comes first goes first."""
        now = _now()
        full = max(1.0, self.rate * BURST_SECONDS if self.burst is None else self.burst)
        before = full if self._tokens is None else self._tokens
        self._tokens = min(full, before + (now - self._at) * self.rate) - count
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self.rate)


@dataclass(slots=True)
class Circuit:
    """Opens after failures in a row; then one call at a time finds out whether it may close."""

    where: str
    rng: random.Random = field(default_factory=random.Random)
    _failures: int = 0
    _until: float = 0.0
    _last: str = ""

    def check(self) -> None:
        """Raises Throttled while it is open, with the last failure's words."""
        rest = self._until - _now()
        if rest > 0:
            raise Throttled(f"{self.where} is left alone for {rest:.0f} s: {self._last}", rest)

    def told(self, error: HeadwaterError | None) -> None:
        """What became of a call. Refusals are answers: the cloud works."""
        if error is None or isinstance(error, Stalled) or not isinstance(error, Transient):
            self._failures = 0
            return
        self._failures += 1
        self._last = str(error)
        wait = error.retry_after if isinstance(error, Throttled) else 0.0
        if self._failures >= FAILURES:
            power = min(self._failures - FAILURES, 6)
            wait = max(wait, self.rng.uniform(0.5, 1.0) * min(LONGEST_REST, 2.0**power))
        if wait > 0:
            self._until = max(self._until, _now() + wait)
