"""Whether what runs here is in order: the controller's check, asked again and again.

Checks begin when the context they belong to has succeeded, and rest while anything is run here.
Each is asked by a probe, a process of its own. What is told are changes, and on each new line the
present state. The check is kept on disk: it goes on after a restart of the agent or the machine.
"""

import os
import selectors
import signal
import time

from headwater_agent import journal as records
from headwater_agent import probe, protocol
from headwater_agent.processes import signal_session
from headwater_agent.steps import Script, Unstartable, prepare
from headwater_agent.surroundings import environment, search_path
from headwater_agent.work import Work

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

DIRECTORY = "health"
CHECK = DIRECTORY + "/check.json"
GRACE = 5.0
"""Seconds until a probe that does not keep its own deadline is killed."""
FIRST = 1.0
"""Seconds within which a check is asked first; until it holds, it is asked sooner than later."""
IDLE = 60.0
LONGEST = 1e9
HEALTHY, FAILING, UNHEALTHY = "healthy", "failing", "unhealthy"


class Standing:
    """What the answers to one check amount to."""

    def __init__(self, interval: float, limit: int) -> None:
        self._interval = interval
        self._limit = limit
        self._failures = 0
        self._held = False
        self.state = ""
        self.words = ""

    def take(self, words: str) -> bool:
        """An answer: words say what is wrong. True when that is news."""
        self._failures = self._failures + 1 if words else 0
        self._held = self._held or not words
        state = HEALTHY
        if words:
            state = UNHEALTHY if self._failures >= self._limit else FAILING
        # Words that differ each time are told ever more seldom.
        is_power_of_two = self._failures & (self._failures - 1) == 0
        news = state != self.state or (words != self.words and is_power_of_two)
        if news:
            self.state, self.words = state, words
        return news

    @property
    def pause(self) -> float:
        """Seconds until it is asked again: until it holds, sooner than later."""
        if self._held or not self._failures:
            return self._interval
        growing: float = FIRST * 2 ** min(self._failures - 1, 16)
        return min(self._interval, growing)


class Health:
    """Runs in the agent's root."""

    def __init__(
        self,
        root: str,
        selector: selectors.BaseSelector,
        work: Work,
        tell: "Callable[[dict[str, object]], None]",
    ) -> None:
        self._root = root
        self._selector = selector
        self._work = work
        self._tell = tell
        self._check = _kept()
        self._probe = 0
        self._answers = -1
        self._begun = 0.0
        self._due = 0.0
        self._settled = False
        self._standing = _standing(self._check)

    def want(self, check: "dict[str, Any]") -> None:
        """Ask this check from now on, or none; tell how the present one stands. Raises OSError."""
        wanted = check if check["id"] else None
        if wanted != self._check:
            self._give_up()
            self._check, self._standing = wanted, _standing(wanted)
            os.makedirs(DIRECTORY + "/work", exist_ok=True)
            records.write(CHECK, check)
        elif self._standing.state:
            self._say()

    def attend(self) -> float:
        """Begin or give up what is due; seconds until the next look."""
        check, now = self._check, time.monotonic()
        if check is None or not self._applies(check):
            self._give_up()
            return IDLE
        if self._probe:
            overdue: float = self._begun + check["timeout"] + GRACE
            if now >= overdue:
                signal_session(self._probe, signal.SIGKILL)  # its end is its answer
            return max(overdue - now, 0.1)
        if not self._due:
            self._due = now + min(FIRST, check["interval"]) * _chance()
        if now >= self._due:
            self._begin(check)
        return max(self._due - now, 0.0)

    def _applies(self, check: "dict[str, Any]") -> bool:
        """The context that it belongs to is the one that the machine is at, and has succeeded."""
        wanted = self._work.wanted
        if self._work.is_busy or wanted is None or self._work.id != check["context"]:
            return False
        if not self._settled:
            end = wanted.ended
            self._settled = end is not None and end["succeeded"] is True
        return self._settled

    def _begin(self, check: "dict[str, Any]") -> None:
        self._begun = time.monotonic()
        try:
            self._probe, self._answers = probe.start(self._question(check), check["timeout"])
        except (Unstartable, OSError) as error:
            self._judge(str(error))
            return
        self._selector.register(self._answers, selectors.EVENT_READ, self._on_answer)

    def _question(self, check: "dict[str, Any]") -> "probe.Question":
        """Raises Unstartable, OSError."""
        script, directory = None, "%s/%s" % (self._root, DIRECTORY)
        if check["script"]:
            step = {"name": "health", "script": check["script"], "packages": []}
            program = prepare(directory, 0, step, search_path(self._root))
            script = Script(program, environment(self._root, check["environment"]))
        return probe.Question(
            address=check["address"],
            port=check["port"],
            path=check["path"],
            status=check["status"],
            script=script,
            directory=directory + "/work",
        )

    def _on_answer(self, _: int) -> None:
        answer = os.read(self._answers, 4 * probe.WORDS)
        self._end(left_alone=bool(answer))
        if self._check is not None:
            words = answer.decode("utf-8", "replace") if answer else "the check was killed"
            self._judge("" if words == probe.HOLDS else words)

    def _judge(self, words: str) -> None:
        news = self._standing.take(words)
        self._due = self._begun + self._standing.pause * (0.9 + 0.2 * _chance())
        if news:
            self._say()

    def _say(self) -> None:
        check: "Any" = self._check
        self._tell(
            protocol.checked(
                check["context"], check["id"], self._standing.state, self._standing.words
            )
        )

    def _give_up(self) -> None:
        """What runs here now may be why it does not hold: the answer would count for nothing."""
        self._due, self._settled = 0.0, False
        if self._probe:
            self._end(left_alone=False)

    def _end(self, left_alone: bool) -> None:
        self._selector.unregister(self._answers)
        os.close(self._answers)
        if not left_alone:  # our child keeps its number until we have waited for it
            os.kill(self._probe, signal.SIGKILL)  # it may not have a session yet
            signal_session(self._probe, signal.SIGKILL)
        os.waitpid(self._probe, 0)
        self._probe, self._answers = 0, -1


def check_of(message: "dict[str, Any]") -> "dict[str, Any]":
    """The check of a message: what is kept of it must never surprise a later daemon.

    Raises LookupError, TypeError, ValueError.
    """
    return {
        "id": str(message["id"]),
        "context": str(message["context"]),
        "address": str(message["address"]),
        "port": int(message["port"]),
        "path": str(message["path"]),
        "status": int(message["status"]),
        "script": str(message["script"]),
        "environment": [[str(name), str(value)] for name, value in message["environment"]],
        "interval": _seconds(message["interval"]),
        "timeout": _seconds(message["timeout"]),
        "failures": max(int(message["failures"]), 1),
    }


def _seconds(value: "Any") -> float:
    seconds = float(value)
    if not 0.0 < seconds <= LONGEST:
        raise ValueError("%r is no number of seconds" % value)
    return seconds


def _kept() -> "dict[str, Any] | None":
    """As an earlier daemon left it; what cannot be read is told again with the next line."""
    try:
        found = records.read(CHECK)
        check = check_of(found) if found else None
    except (OSError, LookupError, TypeError, ValueError):
        return None
    return check if check and check["id"] else None


def _standing(check: "dict[str, Any] | None") -> Standing:
    return Standing(check["interval"], check["failures"]) if check else Standing(1.0, 1)


def _chance() -> float:
    """From 0 to 1. Machines that come up together must not all ask at once."""
    return int.from_bytes(os.urandom(2), "big") / 65536.0
