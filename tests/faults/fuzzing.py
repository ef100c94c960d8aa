"""How the fuzz tests run: the same examples every time, or as many new ones as asked for."""

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

MORE = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples of each test: new ones at every run, for as long as one has time."""
LONGEST = 10.0
"""Seconds of CPU for one example: a hang, on any host."""


def fuzzed(examples: int) -> settings:
    return settings(
        max_examples=MORE or examples,
        derandomize=not MORE,
        deadline=None,  # counts what other processes take, too; see `Fuzz`
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class Fuzz:
    """Counts examples and sees to it that none takes long."""

    def __init__(self) -> None:
        self.examples = 0
        self.slowest = 0.0
        self._began = time.monotonic()

    @contextmanager
    def example(self) -> Iterator[None]:
        self.examples += 1
        began = time.process_time()
        yield
        took = time.process_time() - began
        assert took < LONGEST
        self.slowest = max(took, self.slowest)

    def told(self, what: str) -> str:
        seconds = time.monotonic() - self._began
        return f"fuzz, {what}: {self.examples} examples, {seconds:.0f} s"


def peak(call: Callable[[], object]) -> int:
    """The most bytes that Python held for the call at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
