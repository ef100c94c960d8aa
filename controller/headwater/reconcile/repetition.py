"""The loop detector: passes that act again and again, and change nothing."""

from dataclasses import dataclass, field, replace

from headwater.planning.events import LoopDetected
from headwater.planning.planner import Plan

MOST_REPETITIONS = 5
"""The same decisions in a row, all carried out; after that, only with backoff."""


@dataclass(slots=True)
class Repetition:
    _last: dict[str, tuple[str, int]] = field(default_factory=dict)

    def seen(self, plan: Plan, result: str) -> LoopDetected | None:
        """Called after each pass. An event once the plan repeats itself without an error."""
        if not plan.actions or result == "failed":
            self._last.pop(plan.deployment, None)
            return None
        digest = replace(plan, withheld=()).digest
        before, count = self._last.get(plan.deployment, ("", 0))
        count = count + 1 if before == digest else 1
        self._last[plan.deployment] = (digest, count)
        return LoopDetected(plan.deployment, count) if count > MOST_REPETITIONS else None
