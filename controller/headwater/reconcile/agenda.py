"""Which deployment is looked at next. Pure: the time is an argument."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum


class Priority(IntEnum):
    """Smaller goes first (semantics.md 4)."""

    PERSON = 0
    COMMIT = 1
    PROGRESS = 2
    RETRY = 3
    DRIFT = 4
    RESYNC = 5


@dataclass(slots=True)
class Agenda:
    """Keys with a priority and a time; a key is worked on by one at a time.

    A key that is added again merges with itself: the more urgent priority and the earlier time
    hold. Added while it is worked on, it comes back when that is done.
    """

    gap: float
    """Seconds between the end of a pass over a key and the next one over it."""
    _due: dict[str, tuple[float, Priority]] = field(default_factory=dict)
    _active: set[str] = field(default_factory=set)
    _rested: dict[str, float] = field(default_factory=dict)
    """When a key may be taken again."""
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _ready: list[tuple[Priority, float, str]] = field(default_factory=list)

    def add(self, key: str, priority: Priority, due: float) -> None:
        due = max(due, self._rested.get(key, due))
        known = self._due.get(key)
        if known is not None:
            due, priority = min(due, known[0]), min(priority, known[1])
        self._due[key] = (due, priority)
        heapq.heappush(self._heap, (due, key))

    def take(self, now: float) -> str | None:
        """The most urgent key that is due, marked as being worked on; None when none is."""
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key, (None,))[0] == due and key not in self._active:
                heapq.heappush(self._ready, (self._due[key][1], due, key))
        while self._ready:
            _, due, key = heapq.heappop(self._ready)
            if self._due.get(key, (None,))[0] == due and key not in self._active:
                del self._due[key]
                self._active.add(key)
                return key
        return None

    def done(self, key: str, now: float) -> None:
        """The pass over the key has ended."""
        self._active.discard(key)
        self._rested[key] = now + self.gap
        if key in self._due:
            due, priority = self._due[key]
            self._due[key] = (max(due, now + self.gap), priority)
            heapq.heappush(self._heap, (self._due[key][0], key))

    def forget(self, key: str) -> None:
        """The key exists no more."""
        self._due.pop(key, None)
        self._rested.pop(key, None)

    def next_due(self) -> float | None:
        """When the next key falls due that nobody works on."""
        times = [due for key, (due, _) in self._due.items() if key not in self._active]
        return min(times, default=None)

    def is_idle(self, urgent: Callable[[Priority], bool]) -> bool:
        """Nothing is worked on, and nothing of an urgent priority waits."""
        return not self._active and not any(urgent(p) for _, p in self._due.values())

    @property
    def depth(self) -> int:
        return len(self._due)
