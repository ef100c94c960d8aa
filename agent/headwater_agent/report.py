"""What the controller is told of the context that it asked for: steps, output, the end."""

import time

from headwater_agent import log, protocol
from headwater_agent.work import Work

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

    from headwater_agent.line import Line

CHUNK = 48 * 1024
INTERVAL = 0.05
"""Seconds between two messages of output: a step that prints line by line is not told so."""


class Report:
    """Begins anew with every line: the controller says what it has."""

    def __init__(self, work: Work, tell: "Callable[[dict[str, object]], None]") -> None:
        self._work = work
        self._tell = tell
        self._asked: "str | None" = None
        self._offset = 0
        self._ended = False
        self._trouble = ""
        self._told = 0.0
        self.due = 0.0
        """When to `tell` next, in monotonic time; 0 for nothing to tell."""

    def begin(self, asked: "str | None", have: int) -> None:
        """Tell of this context, its output from byte `have` on; None: of nothing."""
        self._asked, self._offset, self._ended, self._trouble = asked, have, False, ""

    def fail(self, error: OSError) -> None:
        """The journal cannot be kept: nothing can be started, and nothing was."""
        self._trouble = str(error)

    def printed(self) -> None:
        """There is more output."""
        self.due = self.due or max(time.monotonic(), self._told + INTERVAL)

    def stepped(self) -> None:
        """Another step runs now, or none."""
        step = self._work.step
        if step is not None and self._asked == self._work.id:
            self._tell(protocol.started(self._work.id, *step))

    def tell(self, line: "Line | None") -> None:
        """Tell what is new in the log while the line takes it, and then the end."""
        self.due, self._told = 0.0, time.monotonic()
        while line is not None and line.has_room and self._asked is not None:
            journal = self._work.wanted
            if self._trouble or journal is None or self._asked != self._work.id:
                self._tell_end({"reason": "unstartable", "words": self._trouble[:400]})
                return
            content = log.read(journal.log, self._offset, CHUNK)
            if not content:
                end = journal.ended
                if end is not None:
                    self._tell_end(end)
                return
            self._tell(protocol.output(self._asked, self._offset, content))
            self._offset += len(content)

    def _tell_end(self, end: "dict[str, Any]") -> None:
        if self._asked is None or self._ended:
            return
        self._ended = True
        self._tell(
            protocol.ended(
                context=self._asked,
                succeeded=bool(end.get("succeeded")),
                step=end.get("step", ""),
                exit_code=end.get("exit_code"),
                reason=end["reason"],
                words=end["words"],
                seconds=end.get("seconds", 0.0),
            )
        )
