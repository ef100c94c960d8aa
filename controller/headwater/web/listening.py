"""Sockets: a TCP address, and a unix socket in the state directory, however long its path."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater.errors import Stalled

SOCKET = "controller.sock"
_PATH_LIMIT = 100
"""Bytes; sun_path holds 104 to 108."""


def tcp_socket(listen: str) -> socket.socket:
    """A bound socket for HOST:PORT; port 0 takes any that is free. Raises Stalled."""
    host, _, port = listen.rpartition(":")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, ValueError, OverflowError) as error:
        raise Stalled(f"cannot listen on {listen!r}: {error}; write HOST:PORT") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "it is in use" if taken else error.strerror or str(error)
        raise Stalled(
            f"cannot listen on {listen}: {reason}; stop what listens there, or choose another "
            'address with --listen (port 0 takes any free one, "" listens nowhere)'
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def unix_socket(directory: Path) -> socket.socket:
    """A bound socket in the directory, in place of one that a dead controller left.

    For the holder of the directory's lock only. Raises Stalled.
    """
    path = directory / SOCKET
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with _reachable(directory) as address:
            bound.bind(address)
        path.chmod(0o600)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise Stalled(
            f"cannot listen on {path}: {error.strerror or error}; "
            "choose another state directory with --state"
        ) from error
    return bound


def connected(directory: Path, timeout: float | None) -> socket.socket:
    """A connection to the controller that serves in the directory. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _reachable(directory) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """The socket's address: short enough for the kernel while the block runs."""
    path = str(directory / SOCKET)
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
