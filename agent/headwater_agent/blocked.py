"""Whether a step waits for nothing but the answers to its questions.

The controller is told, and ends what can never be answered. A wrong yes would end a get that
might have been answered, so whatever may go on by itself is a no: a process that is no waiting
verb, that moves between two looks, has several threads, a timer, or ears (a socket, a named pipe,
a terminal, a queue of events). So is what cannot be read: then the verb's own timeout ends it.
"""

import os
import time

from headwater_agent import protocol
from headwater_agent.processes import fields_of, session_members

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Callable

    from headwater_agent.questions import Questions
    from headwater_agent.work import Work

FIRST, LONGEST = 0.2, 5.0
"""Seconds between looks: a process that works on beside its questions may end unseen."""
PARENT, USER, SYSTEM, THREADS, START = 1, 11, 12, 17, 19
"""Places in `fields_of`; see proc(5), /proc/pid/stat."""


class Blocked:
    def __init__(
        self, work: "Work", questions: "Questions", tell: "Callable[[dict[str, object]], None]"
    ) -> None:
        self._work = work
        self._questions = questions
        self._tell = tell
        self._seen: "frozenset[tuple[str, ...]]" = frozenset()
        self._pause = FIRST
        self.due = 0.0
        """When to look next, in monotonic time; 0 for not at all."""

    def stir(self) -> None:
        """Something was asked, answered or given up, or the line is new."""
        self._seen, self._pause = frozenset(), FIRST
        self.due = time.monotonic() + FIRST

    def look(self) -> None:
        """Two looks that show the same stillness are told, once."""
        self.due = 0.0
        asking = self._questions.by_process
        try:
            session = self._work.session
            still = stillness(session, asking) if session and asking else None
        except OSError:
            still = None  # no /proc, or no journal: nothing is known
        if still is None:
            return
        if still and still == self._seen:
            members = {int(process) for process, *_ in still}
            ids = [number for pid in members for number in asking.get(pid, ())]
            self._tell(protocol.blocked(sorted(ids)))
            return
        self._pause = FIRST if still else min(2 * self._pause, LONGEST)
        self._seen = still
        self.due = time.monotonic() + self._pause


def stillness(session: int, asking: "dict[int, list[int]]") -> "frozenset[tuple[str, ...]]":
    """What the processes of a session are like that waits; empty when something may go on."""
    members = {pid: fields_of(pid) for pid in session_members(session)}
    parents = {int(fields[PARENT]) for fields in members.values() if fields}
    found = []
    for pid, fields in members.items():
        if fields is None or (pid not in asking and not (pid in parents and _sleeps(pid, fields))):
            return frozenset()
        found.append((str(pid), fields[START], fields[USER], fields[SYSTEM], _turns(pid)))
    return frozenset(found)


def _sleeps(pid: int, fields: "list[str]") -> bool:
    """It has nothing to wait for but its children."""
    try:
        with open("/proc/%d/timers" % pid, "rb") as file:
            timers = file.read()
        directory = "/proc/%d/fd/" % pid
        deaf = all(_is_deaf(directory + name) for name in os.listdir(directory))
    except OSError:
        return False
    return fields[0] == "S" and fields[THREADS] == "1" and not timers and deaf


def _is_deaf(descriptor: str) -> bool:
    """Nobody but files, and the children of a shell, can say something there. Raises OSError."""
    target = os.readlink(descriptor)
    if target.startswith("pipe:") or target == os.devnull:
        return True
    return os.path.isfile(descriptor)


def _turns(pid: int) -> str:
    """How often it has been given a processor."""
    try:
        with open("/proc/%d/status" % pid, "rb") as file:
            lines = file.read().decode("latin-1").splitlines()
    except OSError:
        return ""
    return " ".join(line for line in lines if "ctxt_switches" in line)
