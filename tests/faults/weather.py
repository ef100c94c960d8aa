"""Which faults may strike at present, and whether one does: from a seed, so that it replays."""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import StrEnum


class Fault(StrEnum):
    SLOW_CALL = "calls that outlive their deadline"
    LIST_REFUSED = "listings refused"
    LIST_THROTTLED = "listings throttled"
    LIST_TRUNCATED = "listings cut off after a page"
    LIST_HTML = "listings answered with HTML"
    LIST_EMPTY = "whole empty listings"
    LIST_PARTIAL = "listings that silently lack machines"
    LATE_LISTING = "changes listed late"
    CREATE_REFUSED = "creations refused"
    CREATE_THROTTLED = "creations throttled"
    CREATE_FULL = "creations without capacity"
    CREATE_QUOTA = "creations over the quota"
    CREATE_LOST = "creations whose answer was lost"
    CREATE_KILLED = "kills in the middle of a batch"
    DESTROY_REFUSED = "terminations refused"
    DESTROY_THROTTLED = "terminations throttled"
    DESTROY_LOST = "terminations whose answer was lost"
    BOOT_DEATH = "machines dead at boot"
    LINE_UNREACHABLE = "lines that could not be made"
    LINE_REFUSED = "lines refused"
    LINE_STALLED = "lines that stalled"
    ANSWER_FAILED = "commit statuses refused by the forge"


ODDS = {
    Fault.SLOW_CALL: 0.1,
    Fault.LIST_EMPTY: 0.5,
    Fault.LIST_PARTIAL: 0.5,
    Fault.CREATE_KILLED: 0.1,
    Fault.LINE_REFUSED: 0.1,
    Fault.LATE_LISTING: 0.7,
}
"""Per occasion; others have this one:"""
USUAL = 0.3


class Weather:
    def __init__(self, seed: int, now: Callable[[], float]) -> None:
        self._now = now
        self.story: deque[str] = deque(maxlen=3000)
        """What happened last, for whoever has to find out why; until it has `ended`."""
        self.asked = 0.0
        """When the call was made that acts now."""
        self.ended = False
        self.left = 20
        self.dice = random.Random(seed)  # noqa: S311  # no secret
        self.active: frozenset[Fault] = frozenset()
        self.struck: Counter[str] = Counter()

    def change(self, faults: Iterable[Fault]) -> None:
        self.active = frozenset(faults)

    def tell(self, what: str) -> None:
        self.left -= self.ended
        if self.left > 0:
            self.story.append(f"{self._now():9.2f} {what}")

    def end(self) -> None:
        self.ended = True

    def strikes(self, fault: Fault) -> bool:
        """Whether the fault happens on this occasion; counted when it does."""
        if fault not in self.active or self.dice.random() >= ODDS.get(fault, USUAL):
            return False
        self.struck[fault.value] += 1
        self.tell(f"FAULT {fault.value}")
        return True
