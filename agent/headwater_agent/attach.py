"""Hand the SSH session's input and output to the daemon, which is started when none runs.

The daemon is forked from this interpreter, so it costs no second start. This process then turns
into a shell that waits for the daemon to hang up: a fifth of an interpreter's memory, for as
long as the session stands.
"""

import array
import errno
import fcntl
import os
import socket
import sys
import time

from headwater_agent.frames import SOCKET, TAKEN, pack
from headwater_agent.processes import close_all_but

PATIENCE = 20.0
"""Seconds for a daemon to come up, or for another version's one to go."""
LOG_LIMIT = 1024 * 1024


def main(argv: "list[str]") -> None:
    """`argv` is the agent's root and the digest of its program. Does not return."""
    root, digest = argv
    os.chdir(root)
    deadline = time.monotonic() + PATIENCE
    pause = 0.0
    while True:
        holder = _connect()
        if holder is None:
            _start_daemon(root, digest)
        elif _handed_over(holder, digest):
            os.dup2(holder.fileno(), 0)
            os.execv("/bin/sh", ["sh", "-c", "read -r _"])  # noqa: S606  # a constant
        if time.monotonic() > deadline:
            sys.stdout.write(
                "HEADWATER REFUSED the agent does not start: see %s/agent.log\n" % root
            )
            sys.exit(1)
        time.sleep(pause)
        pause = min(pause + 0.02, 0.5)


def _connect() -> "socket.socket | None":
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(SOCKET)
    except OSError as error:
        connection.close()
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
            return None
        raise
    return connection


def _handed_over(holder: socket.socket, digest: str) -> bool:
    """False where the daemon was of another digest: it goes, and a new one is needed."""
    descriptors = array.array("i", [0, 1])
    holder.settimeout(PATIENCE)
    try:
        holder.sendmsg(
            [pack(b"attach", digest.encode())],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
        )
        taken = holder.recv(1) == TAKEN
    except OSError:
        taken = False
    if taken:
        holder.setblocking(True)
    else:
        holder.close()
    return taken


def _start_daemon(root: str, digest: str) -> None:
    """Returns once a daemon listens, or once this one has found that it is not needed."""
    ready, starting = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _become_daemon(root, digest, starting)
        finally:
            os._exit(0)
    os.close(starting)
    os.wait()
    os.read(ready, 1)
    os.close(ready)


def _become_daemon(root: str, digest: str, starting: int) -> None:
    close_all_but(starting)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # another one was faster, or is still going
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    _redirect()
    try:
        from headwater_agent.daemon import Daemon  # noqa: PLC0415  # `attach` needs none of it

        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.umask(0o177)
        listener.bind(SOCKET)
        os.umask(0o077)
        listener.listen(64)
        daemon = Daemon(root, digest, listener)
        os.write(starting, b"!")
        os.close(starting)
        daemon.serve()
    except BaseException:  # noqa: BLE001  # the log is the only place to say it
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()


def _redirect() -> None:
    """Standard output is the SSH session's; errors go to a log of our own."""
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open("agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(errors).st_size > LOG_LIMIT:
        os.ftruncate(errors, 0)
    for source, target in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(errors)
