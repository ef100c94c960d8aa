"""The loop's side of a conversation, as something that remembers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from headwater.errors import Transient
from headwater.topology.keys import MachineId
from headwater.topology.progress import MachineEvent, Output, Reply, ReportPiece, Request

Event = TypeVar("Event", bound=MachineEvent)


class Recorder:
    """Satisfies `Conversation`: keeps events and output, answers requests by `answers`."""

    def __init__(self) -> None:
        self.events: list[MachineEvent] = []
        self.requests: list[Request] = []
        self.cancelled: list[Request] = []
        self.outputs: dict[tuple[MachineId, str], bytes] = {}
        self.reports: dict[tuple[MachineId, str], bytes] = {}
        self.answer: Callable[[Request], Awaitable[Reply]] = _unset
        self.failures = 0
        """Of this many events to come, none can be kept."""
        self._changed = asyncio.Event()

    def on_event(self, event: MachineEvent) -> None:
        if self.failures:
            self.failures -= 1
            self._changed.set()
            raise Transient("the disk is full")
        self.events.append(event)
        match event:
            case Output():
                _append(self.outputs, (event.machine, event.context), event)
            case ReportPiece():
                _append(self.reports, (event.machine, event.task), event)
        self._changed.set()

    async def on_request(self, request: Request) -> Reply:
        self.requests.append(request)
        self._changed.set()
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.cancelled.append(request)
            self._changed.set()
            raise

    def output_offset(self, machine: MachineId, context: str) -> int:
        return len(self.outputs.get((machine, context), b""))

    def report_offset(self, machine: MachineId, task: str) -> int:
        return len(self.reports.get((machine, task), b""))

    def all(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def next(self, kind: type[Event], count: int = 1) -> Event:
        """The count-th event of this kind, when it has come."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    async def until(self, holds: Callable[[], object], patience: float = 60.0) -> None:
        try:
            async with asyncio.timeout(patience):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it never came; there was: {self.events}") from None


def _append(
    kept: dict[tuple[MachineId, str], bytes],
    place: tuple[MachineId, str],
    event: Output | ReportPiece,
) -> None:
    before = kept.get(place, b"")
    assert event.offset == len(before), "neither a gap nor a repetition"
    kept[place] = before + event.content


async def _unset(request: Request) -> Reply:  # noqa: ARG001  # the shape
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
