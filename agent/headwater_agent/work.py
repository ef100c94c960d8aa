"""The contexts of this machine: which one is wanted, and which step runs.

A step runs once, whatever happens to the daemon: its runner is found again by process id and
start time. A context that is left for another one keeps its place: wanted again, it goes on; one
that had ended is run again then, unless the other one had the same steps. (A controller that has
lost its journal counts anew, and asks for what the machine may have left long ago.)
"""

import os
import selectors
import signal

from headwater_agent import journal as records
from headwater_agent import runner
from headwater_agent.journal import Journal
from headwater_agent.processes import alive, signal_session
from headwater_agent.steps import Unstartable, prepare, step_name
from headwater_agent.surroundings import environment, search_path

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

CONTEXTS = "contexts"
WANTED = "wanted"
LOGS_KEPT = 8
SUCCESS = {"code": 0, "reason": "", "words": ""}


class Active:
    """A step that runs. `hints` is -1 where the runner was found, not started."""

    def __init__(self, journal: Journal, position: int, pid: int, hints: int) -> None:
        self.journal = journal
        self.position = position
        self.pid = pid
        self.hints = hints


class Work:
    """Runs in the agent's root; `heard` is called on the loop with a runner's hints to read."""

    def __init__(
        self, root: str, selector: selectors.BaseSelector, heard: "Callable[[int], None]"
    ) -> None:
        self._root = root
        self._selector = selector
        self._heard = heard
        self._runners: "dict[int, int]" = {}
        self.id = ""
        self.wanted: "Journal | None" = None
        self.active: "Active | None" = None
        os.makedirs(CONTEXTS, exist_ok=True)
        self._resume()

    @property
    def found(self) -> bool:
        """What runs was started by an earlier daemon: it tells nobody when it ends."""
        return self.active is not None and self.active.hints < 0

    @property
    def session(self) -> int:
        """Of the processes of the step that runs; 0 where none does."""
        if self.active is None:
            return 0
        started: "Any" = self.active.journal.started(self.active.position)
        return int(started["process"]) if started else 0

    @property
    def step(self) -> "tuple[int, str] | None":
        """The step of the wanted context that runs now."""
        if self.active is None or self.wanted is None:
            return None
        if self.active.journal.directory != self.wanted.directory:
            return None
        steps: "Any" = self.wanted.document["steps"]
        return self.active.position, str(steps[self.active.position]["name"])

    def want(self, document: "dict[str, Any]") -> None:
        """Turn to this context at the end of the step that runs. Raises OSError."""
        wanted = self._journal(str(document["id"]))
        wanted.adopt(document)
        if wanted.directory != (self.wanted.directory if self.wanted else ""):
            if wanted.ended is not None and self._has_other_steps(document):
                wanted.forget()
            records.write(WANTED, {"id": document["id"]})
            self.wanted, self.id = wanted, str(document["id"])
            self._forget_old_logs()
        self.advance()

    def _has_other_steps(self, document: "dict[str, Any]") -> bool:
        """What the machine has turned to last is not what `document` asks for."""
        return self.wanted is not None and self.wanted.document["steps"] != document["steps"]

    def stop(self) -> None:
        """Stop what runs; the wanted context ends as aborted. Raises OSError."""
        if self.active is not None:
            self._signal_runner(self.active)
        if self.wanted is not None and self.wanted.ended is None and self.step is None:
            self.wanted.record_end(_end("", _failure("aborted", ""), 0.0))

    def heard(self, hints: int) -> bool:
        """Read what a runner tells; whether its step has ended. Raises OSError."""
        told = os.read(hints, 65536)
        if not told:
            self._selector.unregister(hints)
            os.close(hints)
            os.waitpid(self._runners.pop(hints), 0)
        if self.active is None or self.active.hints != hints:
            return False  # a child in the background, of a step that has ended
        if told and runner.EXITED not in told:
            return False
        self._finish()
        return True

    def look(self) -> bool:
        """Whether a step that was found running has ended. Raises OSError."""
        active = self.active
        if active is None or (
            active.journal.exit(active.position) is None and _lives(active.journal, active.position)
        ):
            return False
        self._finish()
        return True

    def advance(self) -> None:
        """Start the next step, or record the end. Raises OSError."""
        while self.active is None and self.wanted is not None and self.wanted.ended is None:
            self._advance(self.wanted)

    def _advance(self, journal: Journal) -> None:
        document: "Any" = journal.document
        spent, name = 0.0, ""
        for position, step in enumerate(document["steps"]):
            name = str(step["name"])
            record: "Any" = journal.exit(position)
            if record is None:
                self._begin(journal, position, step, float(document["timeout"]) - spent)
                return
            spent += record["seconds"]
            if record["reason"]:
                journal.record_end(_end(name, record, spent))
                return
        journal.record_end(_end(name, SUCCESS, spent))

    def _begin(self, journal: Journal, position: int, step: "Any", left: float) -> None:
        if journal.started(position) is not None:
            self._follow(journal, position)
            return
        if left <= 0:
            journal.record_exit(position, _failure("timeout", ""))
            return
        try:
            directory = "%s/%s/work/%d-%s" % (
                self._root,
                journal.directory,
                position,
                step_name(step),
            )
            os.makedirs(directory, 0o755, exist_ok=True)
            base = "%s/%s" % (self._root, journal.directory)
            program = prepare(base, position, step, search_path(self._root))
            extra: "Any" = journal.document["environment"]
            order = runner.Order(
                journal=journal,
                position=position,
                program=program,
                directory=directory,
                environment=environment(self._root, extra),
                seconds=left,
            )
            pid, hints = runner.start(order)
        except (Unstartable, OSError) as error:
            journal.record_exit(position, _failure("unstartable", str(error)))
            return
        self._runners[hints] = pid
        self._selector.register(hints, selectors.EVENT_READ, self._heard)
        self.active = Active(journal, position, pid, hints)

    def _follow(self, journal: Journal, position: int) -> None:
        """A step that an earlier daemon started: it still runs, or it was interrupted."""
        if _lives(journal, position):
            started: "Any" = journal.started(position)
            self.active = Active(journal, position, int(started["runner"]), -1)
        elif journal.exit(position) is None:
            _end_survivors(journal, position)
            journal.record_exit(position, _failure("interrupted", ""))

    def _finish(self) -> None:
        active, self.active = self.active, None
        if active is not None and active.journal.exit(active.position) is None:
            self._follow(active.journal, active.position)
        self.advance()

    def _resume(self) -> None:
        """Find what an earlier daemon left. Raises OSError."""
        for name in os.listdir(CONTEXTS):
            journal = Journal(CONTEXTS + "/" + name)
            if self.active is None and journal.ended is None:
                for entry in os.listdir(journal.directory):
                    position, _, kind = entry.partition(".")
                    if kind == "started" and journal.exit(int(position)) is None:
                        self._follow(journal, int(position))
        found = records.read(WANTED)
        if found is not None:
            self.id = str(found["id"])
            self.wanted = self._journal(self.id)
            self.advance()

    def _signal_runner(self, active: Active) -> None:
        started: "Any" = active.journal.started(active.position)
        # Our own child keeps its number until we have waited for it.
        if active.hints >= 0 or alive(active.pid, started["runner_start"]):
            os.kill(active.pid, signal.SIGTERM)

    def _journal(self, id: str) -> Journal:  # the field's word
        return Journal(CONTEXTS + "/" + records.name_of(id))

    def _forget_old_logs(self) -> None:
        """Records stay for ever, output of the last contexts only."""
        logs = [CONTEXTS + "/" + name + "/log" for name in os.listdir(CONTEXTS)]
        logs = sorted((log for log in logs if os.path.exists(log)), key=os.path.getmtime)
        for log in logs[:-LOGS_KEPT]:
            os.unlink(log)


def document_of(message: "dict[str, Any]") -> "dict[str, Any]":
    """The context of a message: what is kept of it must never surprise a later daemon.

    Raises LookupError, TypeError, ValueError.
    """
    return {
        "id": str(message["id"]),
        "steps": [
            {
                "name": str(step["name"]),
                "script": str(step["script"]),
                "packages": [str(name) for name in step["packages"]],
            }
            for step in message["steps"]
        ],
        "environment": [[str(name), str(value)] for name, value in message["environment"]],
        "timeout": float(message["timeout"]),
    }


def _lives(journal: Journal, position: int) -> bool:
    started: "Any" = journal.started(position)
    return started is not None and alive(started["runner"], started["runner_start"])


def _end_survivors(journal: Journal, position: int) -> None:
    """Without its runner, nobody reads what a step prints or knows how it ends."""
    started: "Any" = journal.started(position)
    if started is not None and alive(started["process"], started["process_start"]):
        signal_session(started["process"], signal.SIGKILL)


def _failure(reason: str, words: str) -> "dict[str, object]":
    return {"code": None, "reason": reason, "words": words[:400], "seconds": 0.0}


def _end(step: str, record: "Any", seconds: float) -> "dict[str, object]":
    """The end of a context: that of its last step, after `seconds` in all."""
    return {
        "succeeded": not record["reason"],
        "step": step,
        "exit_code": record["code"],
        "reason": record["reason"],
        "words": record["words"] if record["reason"] else "",
        "seconds": seconds,
    }
