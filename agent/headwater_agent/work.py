"""What this machine is to run: the wanted context, and the tasks beside it.

A step runs once, whatever happens to the daemon: its runner is found again by process id and
start time. Tasks run one at a time, in the order in which they came, before the next step of the
context. A context that is left for another one keeps its place: wanted again, it goes on; one
that had ended is run again then, unless the other one had the same steps. (A controller that has
lost its journal counts anew, and asks for what the machine may have left long ago.)
"""

import os
import selectors

from headwater_agent import journal as records
from headwater_agent.course import end_of, end_with, failure, next_of
from headwater_agent.journal import CONTEXTS, TASKS, Journal, journal_of
from headwater_agent.running import Running

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

WANTED = "wanted"
LOGS_KEPT = 8
TASKS_KEPT = 16
"""Of those whose end the controller knows: their output, and that they must not run again."""


class Work:
    """Runs in the agent's root; `heard` is called on the loop with a runner's hints to read.

    What cannot be kept is told by its journal's `trouble`, until it is asked for again.
    """

    def __init__(
        self, root: str, selector: selectors.BaseSelector, heard: "Callable[[int], None]"
    ) -> None:
        self._running = Running(root, selector, heard)
        self.id = ""
        self.wanted: "Journal | None" = None
        self._tasks: "list[Journal]" = []
        self._count = 0
        for kind in (CONTEXTS, TASKS):
            os.makedirs(kind, exist_ok=True)
        self._resume()

    @property
    def found(self) -> bool:
        """What runs was started by an earlier daemon: it tells nobody when it ends."""
        active = self._running.active
        return active is not None and active.hints < 0

    @property
    def session(self) -> int:
        """Of the processes of the step that runs; 0 where none does."""
        active = self._running.active
        if active is None:
            return 0
        started: "Any" = active.journal.started(active.position)
        return int(started["process"]) if started else 0

    @property
    def is_busy(self) -> bool:
        """A step of the context or of a task runs."""
        return self._running.active is not None

    @property
    def step(self) -> "tuple[int, str] | None":
        """The step of the wanted context that runs now."""
        active = self._running.active
        if active is None or self.wanted is None or not _same(active.journal, self.wanted):
            return None
        steps: "Any" = self.wanted.document["steps"]
        return active.position, str(steps[active.position]["name"])

    def want(self, document: "dict[str, Any]") -> Journal:
        """Turn to this context at the end of the step or task that runs."""
        id = str(document["id"])
        journal = self.wanted if self.wanted and id == self.id else journal_of(CONTEXTS, id)
        journal.trouble = ""
        try:
            journal.adopt(document)
            if journal is not self.wanted:
                if journal.ended is not None and self._has_other_steps(document):
                    journal.forget()
                records.write(WANTED, {"id": id})
                self.wanted, self.id = journal, id
                _forget_old_logs()
        except OSError as error:
            journal.trouble = str(error)
        self._advance()
        return journal

    def take(self, document: "dict[str, Any]") -> Journal:
        """Run this task, once, after those that came before it."""
        journal = journal_of(TASKS, str(document["id"]))
        waiting = [task for task in self._tasks if _same(task, journal)]
        journal = waiting[0] if waiting else journal
        journal.trouble = ""
        try:
            journal.adopt(dict(document, number=self._count + 1))
            if not waiting and journal.ended is None:
                self._count += 1
                self._tasks.append(journal)
        except OSError as error:
            journal.trouble = str(error)
        self._advance()
        return journal

    def release(self, id: str) -> None:  # the field's word
        """The controller knows how the task ended. Raises OSError."""
        journal = journal_of(TASKS, id)
        if journal.ended is not None:
            journal.record_heard()
            _forget_old_tasks()

    def stop(self) -> None:
        """Stop what runs and what waits for its turn, but no task that collects. Raises OSError."""
        active = self._running.active
        if active is not None and not active.journal.document["collects"]:
            self._running.stop()
        for journal in self._queue():
            runs = active is not None and _same(active.journal, journal)
            if not runs and journal.ended is None and not journal.document["collects"]:
                journal.record_end(end_with(failure("aborted", "")))

    def hinted(self, hints: int) -> bool:
        """Whether a step has ended. Raises OSError."""
        ended = self._running.hinted(hints)
        if ended:
            self._finish()
        return ended

    def look(self) -> bool:
        """Whether a step that was found running has ended. Raises OSError."""
        ended = self._running.has_ended()
        if ended:
            self._finish()
        return ended

    def _finish(self) -> None:
        try:
            self._running.finish()
        finally:
            self._advance()

    def _queue(self) -> "list[Journal]":
        return self._tasks + ([self.wanted] if self.wanted is not None else [])

    def _advance(self) -> None:
        """Start the next step of what comes first, and record the end of all that has ended."""
        for journal in self._queue():
            try:
                self._advance_one(journal)
            except OSError as error:
                journal.trouble = str(error)
        self._tasks = [task for task in self._tasks if _goes_on(task)]

    def _advance_one(self, journal: Journal) -> None:
        """Raises OSError."""
        while _goes_on(journal):
            ahead = next_of(journal)
            if ahead is None:
                journal.drop_draft()
                journal.record_end(end_of(journal))
            elif self._running.active is None:
                self._running.begin(journal, ahead)
            else:
                return

    def _has_other_steps(self, document: "dict[str, Any]") -> bool:
        """What the machine has turned to last is not what `document` asks for."""
        return self.wanted is not None and self.wanted.document["steps"] != document["steps"]

    def _resume(self) -> None:
        """Find what an earlier daemon left. Raises OSError."""
        for kind in (CONTEXTS, TASKS):
            for name in os.listdir(kind):
                journal = Journal(kind + "/" + name)
                try:
                    if self._running.active is None and journal.ended is None:
                        self._follow_steps(journal)
                except OSError:
                    continue  # damaged: that is told when it is asked for
        tasks = _tasks()
        self._count = tasks[-1][0] if tasks else 0
        self._tasks = [task for _, task in tasks]
        found = records.read(WANTED)
        if found is not None:
            self.id = str(found["id"])
            self.wanted = journal_of(CONTEXTS, self.id)
        self._advance()

    def _follow_steps(self, journal: Journal) -> None:
        for entry in os.listdir(journal.directory):
            position, _, kind = entry.partition(".")
            if kind == "started" and journal.exit(int(position)) is None:
                self._running.follow(journal, int(position))


def document_of(message: "dict[str, Any]", collects: bool) -> "dict[str, Any]":
    """The context or task of a message: what is kept must never surprise a later daemon.

    Raises LookupError, TypeError, ValueError.
    """
    return {
        "id": str(message["id"]),
        "steps": [_step_of(step) for step in message["steps"]],
        "environment": [[str(name), str(value)] for name, value in message["environment"]],
        "timeout": float(message["timeout"]),
        "collects": collects,
    }


def _step_of(step: "dict[str, Any]") -> "dict[str, Any]":
    found: "dict[str, Any]" = {
        "name": str(step["name"]),
        "script": str(step["script"]),
        "packages": [str(name) for name in step["packages"]],
    }
    mounts = [
        {
            "name": str(mount["name"]),
            "path": str(mount["path"]),
            "devices": [str(device) for device in mount["devices"]],
        }
        for mount in step["mounts"]
    ]
    if mounts:
        found["mounts"] = mounts
    return found


def _same(one: Journal, other: Journal) -> bool:
    return one.directory == other.directory


def _goes_on(journal: Journal) -> bool:
    """Raises OSError."""
    return not journal.trouble and journal.ended is None


def _tasks() -> "list[tuple[int, Journal]]":
    """All that are known, by their number, in the order in which they came. Raises OSError."""
    numbered = []
    for name in os.listdir(TASKS):
        journal = Journal(TASKS + "/" + name)
        try:
            document: "Any" = journal.document
        except OSError:
            continue  # it was about to be taken, or is damaged
        numbered.append((int(document["number"]), journal))
    return sorted(numbered, key=lambda pair: pair[0])


def _forget_old_logs() -> None:
    """Records of contexts stay for ever, output of the last ones only."""
    logs = [CONTEXTS + "/" + name + "/log" for name in os.listdir(CONTEXTS)]
    logs = sorted((log for log in logs if os.path.exists(log)), key=os.path.getmtime)
    for log in logs[:-LOGS_KEPT]:
        os.unlink(log)


def _forget_old_tasks() -> None:
    heard = [journal for _, journal in _tasks() if journal.heard]
    old = heard[:-TASKS_KEPT]
    if old:
        import shutil  # noqa: PLC0415  # slow, and needed by machines with many tasks only

        for journal in old:
            shutil.rmtree(journal.directory, ignore_errors=True)
