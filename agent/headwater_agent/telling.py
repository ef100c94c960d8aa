"""What the controller is told of the context and the tasks that it asked for."""

import time

from headwater_agent import log, protocol
from headwater_agent.course import WORDS, end_with, failure
from headwater_agent.journal import Journal

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any

    from headwater_agent.line import Line

CHUNK = 48 * 1024
PIECE = 192 * 1024
"""Bytes of a report in one message."""
MOST = 16
"""Messages at a time: recipes are to be answered meanwhile, however fast the line is."""
INTERVAL = 0.05
"""Seconds between two messages of output: a step that prints line by line is not told so."""


class Account:
    """Of a context: its output from byte `have` on, and its end."""

    def __init__(self, id: str, journal: Journal, have: int) -> None:  # the field's word
        self.id = id
        self.journal = journal
        self._offset = have
        self._ended = False

    def again(self, journal: Journal) -> None:
        """It was asked for again on the same line, where all else has been told already."""
        self.journal, self._ended = journal, False

    def next(self) -> "dict[str, object] | None":
        """The next message; None while there is nothing to tell."""
        content = log.read(self.journal.log, self._offset, CHUNK)
        if content:
            self._offset += len(content)
            return protocol.output(self.id, self._offset - len(content), content)
        end = None if self._ended else self._end()
        if end is None:
            return None
        return self._last(end)

    def _last(self, end: "Any") -> "dict[str, object] | None":
        self._ended = True
        return protocol.ended(context=self.id, **end)

    def _end(self) -> "dict[str, object] | None":
        trouble = self.journal.trouble
        try:
            found = self.journal.ended
        except OSError as error:
            found, trouble = None, trouble or str(error)
        return found or (end_with(failure("unstartable", trouble)) if trouble else None)


class TaskAccount(Account):
    """Of a task: also its report, from byte `have_report` on, before the end."""

    def __init__(
        self, id: str, journal: Journal, *, have: int, have_report: int, collects: bool
    ) -> None:
        super().__init__(id, journal, have)
        self._report_offset = have_report
        self._collects = collects

    def _last(self, end: "Any") -> "dict[str, object] | None":
        content = log.read(self.journal.report, self._report_offset, PIECE)
        if content:
            self._report_offset += len(content)
            return protocol.report(self.id, self._report_offset - len(content), content)
        if self._collects and not self._report_offset and end["reason"] != "uncollected":
            words = self.journal.trouble or "its report is not kept on the machine any more"
            end = dict(end, succeeded=False, reason="uncollected", words=words[:WORDS])
        self._ended = True
        return protocol.task_ended(task=self.id, **end)


class Telling:
    """Begins anew with every line: the controller says what it has."""

    def __init__(self) -> None:
        self._context: "Account | None" = None
        self._tasks: "dict[str, Account]" = {}
        self._told = 0.0
        self.due = 0.0
        """When to `tell` next, in monotonic time; 0 for nothing to tell."""

    def begin(self) -> None:
        """Of nothing yet."""
        self._context = None
        self._tasks.clear()

    def of_context(self, account: Account) -> None:
        """Of this one only."""
        self._context = account

    def of_task(self, account: Account) -> None:
        """Of this one too."""
        known = self._tasks.setdefault(account.id, account)
        if known is not account:
            known.again(account.journal)

    def release(self, task: str) -> None:
        self._tasks.pop(task, None)

    def is_about(self, context: str) -> bool:
        return self._context is not None and self._context.id == context

    def printed(self) -> None:
        """There is more output."""
        self.due = self.due or max(time.monotonic(), self._told + INTERVAL)

    def tell(self, line: "Line | None") -> None:
        """Tell what is new while the line takes it. Raises LineClosed."""
        self.due, self._told = 0.0, time.monotonic()
        accounts = list(self._tasks.values())
        if self._context is not None:
            accounts.append(self._context)
        budget = MOST
        for account in accounts:
            while line is not None and line.has_room:
                message = account.next()
                if message is None:
                    break
                line.send(message)
                budget -= 1
                if not budget:
                    self.due = self._told
                    return
