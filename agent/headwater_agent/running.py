"""The step that runs now: its runner was started here, or found again after another daemon."""

import os
import selectors
import signal

from headwater_agent import runner
from headwater_agent.collection import Collection
from headwater_agent.course import Next, failure
from headwater_agent.journal import Journal
from headwater_agent.mounting import Mounting
from headwater_agent.processes import alive, signal_session
from headwater_agent.steps import Script, Unstartable, prepare, step_name
from headwater_agent.surroundings import REPORTS, environment, search_path

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable


class Active:
    """A step that runs. `hints` is -1 where the runner was found, not started."""

    def __init__(self, journal: Journal, position: int, pid: int, hints: int) -> None:
        self.journal = journal
        self.position = position
        self.pid = pid
        self.hints = hints


class Running:
    """At most one step. `heard` is called on the loop with a runner's hints to read."""

    def __init__(
        self, root: str, selector: selectors.BaseSelector, heard: "Callable[[int], None]"
    ) -> None:
        self._root = root
        self._selector = selector
        self._heard = heard
        self._runners: "dict[int, int]" = {}
        self.active: "Active | None" = None

    def begin(self, journal: Journal, ahead: Next) -> None:
        """Start the step, or record why it cannot be. Raises OSError."""
        if journal.started(ahead.position) is not None:
            self.follow(journal, ahead.position)
            return
        if ahead.seconds <= 0:
            journal.record_exit(ahead.position, failure("timeout", ""))
            return
        try:
            pid, hints = runner.start(self._order(journal, ahead))
        except (Unstartable, OSError) as error:
            journal.record_exit(ahead.position, failure("unstartable", str(error)))
            return
        self._runners[hints] = pid
        self._selector.register(hints, selectors.EVENT_READ, self._heard)
        self.active = Active(journal, ahead.position, pid, hints)

    def follow(self, journal: Journal, position: int) -> None:
        """A step that an earlier daemon started: it still runs, or it was interrupted."""
        if _lives(journal, position):
            started: "Any" = journal.started(position)
            self.active = Active(journal, position, int(started["runner"]), -1)
        elif journal.exit(position) is None:
            _end_survivors(journal, position)
            journal.record_exit(position, failure("interrupted", ""))

    def stop(self) -> None:
        """Raises OSError."""
        if self.active is not None:
            started: "Any" = self.active.journal.started(self.active.position)
            # Our own child keeps its number until we have waited for it.
            if self.active.hints >= 0 or alive(self.active.pid, started["runner_start"]):
                os.kill(self.active.pid, signal.SIGTERM)

    def hinted(self, hints: int) -> bool:
        """Read what a runner tells; whether its step may have ended. Raises OSError."""
        told = os.read(hints, 65536)
        if not told:
            self._selector.unregister(hints)
            os.close(hints)
            os.waitpid(self._runners.pop(hints), 0)
        if self.active is None or self.active.hints != hints:
            return False  # a child in the background, of a step that has ended
        return not told or runner.EXITED in told

    def has_ended(self) -> bool:
        """Of a step that was found running. Raises OSError."""
        active = self.active
        return active is not None and (
            active.journal.exit(active.position) is not None
            or not _lives(active.journal, active.position)
        )

    def finish(self) -> None:
        """The step has ended, or its runner is gone and was interrupted. Raises OSError."""
        active, self.active = self.active, None
        if active is not None and active.journal.exit(active.position) is None:
            self.follow(active.journal, active.position)

    def _order(self, journal: Journal, ahead: Next) -> runner.Order:
        """Raises Unstartable, OSError."""
        base = "%s/%s" % (self._root, journal.directory)
        reports = self._root + "/" + REPORTS
        if ahead.step is None:
            program: "runner.Program" = Collection(reports, "%s/%s" % (self._root, journal.report))
            return runner.Order(journal, ahead.position, program, base, ahead.seconds)
        place = "%s/work/%d-%s" % (base, ahead.position, step_name(ahead.step))
        for directory in (place, reports):
            os.makedirs(directory, 0o755, exist_ok=True)
        document: "Any" = journal.document
        surroundings = environment(self._root, document["environment"])
        if document["collects"]:
            surroundings[b"HEADWATER_IGNORE_ABORT"] = b"1"
        if "mounts" in ahead.step:
            mounting = Mounting(ahead.step["mounts"], os.environ.get("HEADWATER_ROOT", ""))
            return runner.Order(journal, ahead.position, mounting, place, ahead.seconds)
        path = prepare(base, ahead.position, ahead.step, search_path(self._root))
        program = Script(path, surroundings)
        return runner.Order(journal, ahead.position, program, place, ahead.seconds)


def _lives(journal: Journal, position: int) -> bool:
    started: "Any" = journal.started(position)
    return started is not None and alive(started["runner"], started["runner_start"])


def _end_survivors(journal: Journal, position: int) -> None:
    """Without its runner, nobody reads what a step prints or knows how it ends."""
    started: "Any" = journal.started(position)
    if started is not None and alive(started["process"], started["process_start"]):
        signal_session(started["process"], signal.SIGKILL)
