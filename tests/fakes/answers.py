"""A forge that remembers every answer it was given."""

import asyncio
from typing import TYPE_CHECKING

from headwater.planning.status import CommitStatus

if TYPE_CHECKING:
    from headwater.errors import HeadwaterError


class FakeAnswers:
    """Satisfies the Answers port. `failures` are raised, one per call, first to last.

    `gate`: every call waits until it is set; it is set at the beginning.
    """

    def __init__(self) -> None:
        self.given: list[CommitStatus] = []
        self.failures: list[HeadwaterError] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, status: CommitStatus) -> None:
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.given.append(status)

    def of(self, revision: str, context: str) -> list[str]:
        """What was said, in order: `pending`, `success`."""
        return [s.state.value for s in self.given if (s.revision, s.context) == (revision, context)]

    def last(self, revision: str, context: str = "headwater") -> CommitStatus:
        return [s for s in self.given if (s.revision, s.context) == (revision, context)][-1]
