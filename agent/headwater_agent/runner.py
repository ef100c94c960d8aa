"""Runs one step, in a process of its own that outlives the daemon.

The daemon forks it, so it costs no second interpreter. It owns the step: its processes, its
output (a pipe, so that `> /dev/stderr` in a recipe truncates nothing), its deadline, the
escalation from SIGTERM to SIGKILL, and the record of its exit. The daemon only listens to hints.
"""

import os
import select
import signal
import time
import traceback

from headwater_agent.hush import Ear
from headwater_agent.journal import Journal
from headwater_agent.log import Log
from headwater_agent.processes import close_all_but, session_members, signal_session, start_time

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Union

    from headwater_agent.collection import Collection
    from headwater_agent.mounting import Mounting
    from headwater_agent.steps import Script

    Program = Union[Script, Collection, Mounting]

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL, and then until what cannot even be killed is left."""
SURVEY = 0.05
PRINTED = b"."
EXITED = b"x"
"""Hints: there is more output; the exit is recorded. The end of the pipe: the runner is gone."""
STOP = {signal.SIGTERM}
CHUNK = 64 * 1024
"""What a pipe holds: all that a step printed before its exit is read by then."""


class Order:
    """What to run: the program of step `position`, within `seconds`."""

    def __init__(
        self,
        journal: Journal,
        position: int,
        program: "Program",
        directory: str,
        seconds: float,
    ) -> None:
        self.journal = journal
        self.position = position
        self.program = program
        self.directory = directory
        self.seconds = seconds


def start(order: Order) -> "tuple[int, int]":
    """Fork a runner: its process id, and where its hints can be read. Raises OSError."""
    reader, writer = os.pipe()
    # A stop may come before the fork can handle it: it then waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        os.close(writer)
        os.set_blocking(reader, False)
        return pid, reader
    try:
        # Sockets of the daemon would stay open as long as the step.
        close_all_but(writer)
        os.set_blocking(writer, False)
        Runner(order, writer).run()
    except BaseException:  # noqa: BLE001  # a fork must not return into its parent's loop
        traceback.print_exc()
    finally:
        os._exit(0)


class Runner:
    def __init__(self, order: Order, hints: int) -> None:
        self._order = order
        self._hints = hints
        self._begun = time.monotonic()
        self._reason = ""
        self._kill_at = 0.0
        self._status: "int | None" = None
        self._child = 0
        self._output = -1
        self._log = Log(order.journal.log)
        self._ear = Ear()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._stop("aborted"))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> None:
        try:
            self._run()
        finally:
            self._ear.close()

    def _run(self) -> None:
        os.setsid()
        words = self._begin()
        if words is None:
            return  # another runner has this step
        if words:
            self._record({"code": None, "reason": "unstartable", "words": words})
            return
        while not self._over():
            left = self._order.seconds - (time.monotonic() - self._begun)
            # While stopping, survivors are looked for: their end wakes nobody.
            self._attend(SURVEY if self._reason else max(left, 0.0))
        self._read(until_empty=True)
        self._log.finish(self._ear.masks)
        self._record(self._outcome())
        # Children in the background may still print: reading on keeps them from blocking.
        while self._output >= 0:
            self._attend(None)
        self._log.finish(self._ear.masks)

    def _begin(self) -> "str | None":
        """Start the program, once the start is recorded: '', or why it could not be executed."""
        self._output, output = os.pipe()
        gate, opened = os.pipe()
        failure, failed = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(opened)
            _become(self._order, gate, output, failed)
        for descriptor in (gate, output, failed):
            os.close(descriptor)
        os.set_blocking(self._output, False)
        os.read(failure, 1)  # it has a session of its own, by which it can be stopped
        claimed = self._order.journal.claim(
            self._order.position,
            {
                "runner": os.getpid(),
                "runner_start": start_time(os.getpid()),
                "process": self._child,
                "process_start": start_time(self._child),
            },
        )
        if claimed:
            os.write(opened, b"!")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        os.close(opened)
        number = os.read(failure, 16)
        os.close(failure)
        if not claimed:
            return None
        if not number:
            return ""
        return self._order.program.why_not(OSError(int(number), os.strerror(int(number))))

    def _over(self) -> bool:
        now = time.monotonic()
        if not self._reason and now - self._begun >= self._order.seconds:
            self._stop("timeout")
        if self._kill_at and now >= self._kill_at:
            signal_session(self._child, signal.SIGKILL)
        if self._status is None:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            self._status = status if pid else None
        if not self._reason:
            return self._status is not None
        gone = self._status is not None and not session_members(self._child)
        return gone or now >= self._kill_at + GRACE

    def _stop(self, reason: str) -> None:
        """SIGTERM to all that the step runs; SIGKILL follows."""
        if self._reason or self._status is not None:
            return
        self._reason = reason
        self._kill_at = time.monotonic() + GRACE
        signal_session(self._child, signal.SIGTERM)

    def _attend(self, patience: "float | None") -> None:
        """Sleep until the step prints, ends or is to stop, `patience` seconds at most."""
        watched = [self._wake, self._ear.descriptor]
        watched += [self._output] if self._output >= 0 else []
        ready = select.select(watched, [], [], patience)[0]
        if self._ear.descriptor in ready:
            self._ear.listen()
        if self._wake in ready:
            os.read(self._wake, 512)
        if self._output in ready:
            self._read()

    def _read(self, until_empty: bool = False) -> None:
        budget = CHUNK
        while self._output >= 0 and budget > 0:
            try:
                content = os.read(self._output, CHUNK)
            except BlockingIOError:
                return
            if not content:
                os.close(self._output)
                self._output = -1
                return
            self._ear.listen()  # what was printed was told before
            self._log.print(content, self._ear.masks)
            self._hint(PRINTED)
            # A child in the background that never pauses must not hold up the exit.
            budget -= len(content) if until_empty else CHUNK

    def _outcome(self) -> "dict[str, object]":
        status = self._status or 0
        code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if self._reason:
            return {"code": None, "reason": self._reason, "words": self._log.last_words}
        reason = "exit" if code else ""
        return {"code": code, "reason": reason, "words": self._log.last_words}

    def _record(self, record: "dict[str, object]") -> None:
        record["seconds"] = time.monotonic() - self._begun
        while True:
            try:
                self._order.journal.record_exit(self._order.position, record)
                break
            except OSError:
                time.sleep(1.0)  # a full disk may be cleared; the outcome must not be lost
        self._hint(EXITED)

    def _hint(self, hint: bytes) -> None:
        try:  # noqa: SIM105  # contextlib is slow to import
            os.write(self._hints, hint)
        except OSError:
            pass  # full: hints enough; broken: the next daemon reads the journal


def _become(order: Order, gate: int, output: int, failed: int) -> None:
    """Turn into the step's program once the gate opens. Never returns."""
    try:
        os.setsid()
        os.write(failed, b"-")
        if not os.read(gate, 1):
            os._exit(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        # The interpreter ignores some signals, and a program would inherit that.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        os.umask(0o022)
        os.chdir(order.directory)
        order.program.become()
    except OSError as error:
        os.write(failed, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)
