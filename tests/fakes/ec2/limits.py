"""AWS's published token buckets of EC2's API; those of security groups are assumptions."""

import time
from dataclasses import dataclass, field

from fakes.ec2.refusals import throttled

PUBLISHED = {
    "RunInstances": (5.0, 2.0),
    "TerminateInstances": (100.0, 5.0),
    "filtered": (100.0, 20.0),
    "unfiltered": (50.0, 10.0),
    "other": (50.0, 5.0),
}
INSTANCES = (1000.0, 2.0)
"""Instances that RunInstances may start, besides its requests."""


@dataclass
class Bucket:
    full: float
    refill: float
    tokens: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.at = self.full, time.monotonic()

    def take(self, count: float = 1.0) -> None:
        now = time.monotonic()
        self.tokens = min(self.full, self.tokens + (now - self.at) * self.refill)
        self.at = now
        if self.tokens < count:
            raise throttled()
        self.tokens -= count


class Limits:
    def __init__(self) -> None:
        self._buckets = {name: Bucket(*limits) for name, limits in PUBLISHED.items()}
        self._instances = Bucket(*INSTANCES)

    def take(self, action: str, said: dict[str, str]) -> None:
        """Raises Refused."""
        name = action
        if action.startswith("Describe"):
            name = "filtered" if "Filter.1.Name" in said else "unfiltered"
        self._buckets.get(name, self._buckets["other"]).take()
        if action == "RunInstances":
            self._instances.take(float(said.get("MaxCount", "1")))
