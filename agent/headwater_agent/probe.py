"""Asks one check, in a process that the daemon forks: nothing that hangs holds up the agent.

It keeps its own deadline, and leaves nothing running that the check has started.
"""

import os
import select
import signal
import socket
import time
import traceback

from headwater_agent.log import last_words
from headwater_agent.processes import close_all_but, signal_session
from headwater_agent.steps import Script

HOLDS = "ok"
WORDS = 400
"""Characters of an answer at most: HOLDS, or what is wrong."""
TAIL = 4096
HEAD = 4096
"""Bytes that a status line has at most."""
BODY = 64 * 1024
"""Bytes that are read of an answer: who sends it should not be cut off in the middle."""


class Question:
    """A program to run; or a port that takes connections, and a path that is answered there."""

    def __init__(
        self,
        *,
        address: str,
        port: int,
        path: str,
        status: int,
        script: "Script | None",
        directory: str,
    ) -> None:
        self.address = address
        self.port = port
        self.path = path
        self.status = status
        self.script = script
        self.directory = directory


class Late(Exception):  # the reason's word
    """The time for an answer is over."""


def start(question: Question, seconds: float) -> "tuple[int, int]":
    """Fork a probe: its process id, and where its answer can be read. Raises OSError."""
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid:
        os.close(writer)
        return pid, reader
    try:
        close_all_but(writer)
        os.setsid()
        os.write(writer, _answer(question, seconds)[:WORDS].encode("utf-8", "replace"))
    except BaseException:  # noqa: BLE001  # a fork must not return into its parent's loop
        traceback.print_exc()
    finally:
        os._exit(0)


def _answer(question: Question, seconds: float) -> str:
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if question.script is not None:
            return _run(question.script, question.directory, seconds)
        return _call(question)
    except Late:
        return "%s:%d: no answer within %g s" % (question.address, question.port, seconds)


def _ring(*_: object) -> None:
    raise Late


def _call(question: Question) -> str:
    """Over the network: at the machine's own address, or at loopback where that is another's."""
    address = question.address if _is_own(question.address) else "127.0.0.1"
    asked = "%s:%d" % (address, question.port)
    try:
        with socket.socket(_family(address), socket.SOCK_STREAM) as connection:
            connection.connect((address, question.port))
            return _fetch(question, connection, asked) if question.path else HOLDS
    except OSError as error:
        return "%s: %s" % (asked, error.strerror or error)


def _is_own(address: str) -> bool:
    """Not so where a cloud translates addresses: the machine knows nothing of its public one."""
    try:
        with socket.socket(_family(address), socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _fetch(question: Question, connection: socket.socket, asked: str) -> str:
    host = "[%s]:%d" % (question.address, question.port) if ":" in question.address else asked
    request = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: headwater\r\nConnection: close\r\n\r\n"
    connection.sendall((request % (question.path, host)).encode("ascii"))
    head = b""
    while b"\n" not in head and len(head) < HEAD:
        content = connection.recv(HEAD)
        if not content:
            break
        head += content
    fields = head.partition(b"\n")[0].split()
    url = "http://%s%s" % (asked, question.path)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1].isdigit():  # noqa: PLR2004
        return "%s: no HTTP answer" % url
    _read_on(connection)
    if int(fields[1]) != question.status:
        return "%s answers %d, not %d" % (url, int(fields[1]), question.status)
    return HOLDS


def _read_on(connection: socket.socket) -> None:
    left = BODY
    deadline = time.monotonic() + 1.0
    connection.settimeout(1.0)
    try:
        while left > 0 and time.monotonic() < deadline:
            content = connection.recv(left)
            if not content:
                return
            left -= len(content)
    except (OSError, Late):
        pass  # the status is known


def _run(script: Script, directory: str, seconds: float) -> str:
    try:
        return _exit_of(script, directory, seconds)
    finally:
        signal_session(os.getpid(), signal.SIGKILL)


def _exit_of(script: Script, directory: str, seconds: float) -> str:
    output, writer = os.pipe()
    failure, failed = os.pipe()
    child = os.fork()
    if child == 0:
        _become(script, directory, writer, failed)
    os.close(writer)
    os.close(failed)
    number = os.read(failure, 16)
    if number:
        error = OSError(int(number), os.strerror(int(number)))
        return script.why_not(error)
    tail, status = _Tail(output), 0
    try:
        while True:
            # What it leaves in the background may hold the output open for ever.
            ended, status = os.waitpid(child, os.WNOHANG)
            tail.read(0.0 if ended else 0.05)
            if ended:
                break
    except Late:
        return "the check takes longer than %g s: %s" % (seconds, tail.words)
    code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    if code == 0:
        return HOLDS
    return "the check exited with %d: %s" % (code, tail.words)


class _Tail:
    """The end of what is printed: all is read, so that nobody blocks, and little is kept."""

    def __init__(self, output: int) -> None:
        os.set_blocking(output, False)
        self._output = output
        self._kept = b""
        self._open = True

    def read(self, patience: float) -> None:
        """What there is by now, and what comes within `patience` seconds. Bounded."""
        if not self._open:
            time.sleep(patience)
        elif select.select([self._output], [], [], patience)[0]:
            content = os.read(self._output, 1 << 16)
            self._open = bool(content)
            self._kept = (self._kept + content)[-TAIL:]

    @property
    def words(self) -> str:
        return last_words(self._kept) or "(it printed nothing)"


def _become(script: Script, directory: str, output: int, failed: int) -> None:
    """Turn into the check's program. Never returns."""
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        # The interpreter ignores some signals, and a program would inherit that.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        os.chdir(directory)
        script.become()
    except OSError as error:
        os.write(failed, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)
