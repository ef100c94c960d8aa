"""Live progress for people: a small display on a terminal, plain lines elsewhere."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from headwater.planning.events import Event, StatusChanged
from headwater.planning.status import ControllerStatus, Phase
from headwater.reporting.sentences import sentence
from headwater.reporting.tables import printable
from headwater.reporting.terminal import overview
from headwater.reporting.words import counts

_TAIL = 6
"""Last events shown below the deployments."""
_PAUSE = 0.1
"""Seconds between two drawings, at least."""


class Progress:
    """A context and a listener of events, both on the loop's thread.

    On a terminal it draws the snapshot and the last events in place, and leaves the final state
    behind; elsewhere it writes one line per event that matters.
    """

    def __init__(
        self,
        console: Console,
        snapshot: Callable[[], ControllerStatus],
        now: Callable[[], datetime],
    ) -> None:
        self._console = console
        self._snapshot = snapshot
        self._now = now
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._phases: dict[str, Phase] = {}
        self._drawing: asyncio.TimerHandle | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawing:
            self._drawing.cancel()
        if self._live:
            self._tail.clear()
            self._draw()
            self._live.stop()

    def __call__(self, event: Event) -> None:
        line = printable(self._line(event))
        if self._live is None:
            if line:
                self._console.print(Text(line), soft_wrap=True)
            return
        if line:
            self._tail.append(line)
        if self._drawing is None:
            self._drawing = asyncio.get_running_loop().call_later(_PAUSE, self._draw)

    def _line(self, event: Event) -> str:
        if not isinstance(event, StatusChanged) or event.status is None:
            return sentence(event)
        before = self._phases.get(event.deployment)
        self._phases[event.deployment] = phase = event.status.phase
        if before is phase:
            return ""
        told = counts(event.status.instances)
        return f"{event.deployment}: {phase.value}" + (f" ({told})" if told else "")

    def _draw(self) -> None:
        self._drawing = None
        if self._live:
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        tail = [Text(f"  {line}", "dim", no_wrap=True, overflow="ellipsis") for line in self._tail]
        return Group(overview(self._snapshot(), self._now()), *tail)
