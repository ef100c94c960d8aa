"""Addresses for machines that share the host's network."""

import errno
import hashlib
import itertools
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

PORT = 2222
BACKLOG = 128
_FIRST, _NETS, _HOSTS = 64, 128 * 256, 254
"""127.64.0.1 to 127.191.255.254: clear of what resolvers and Debian's hosts file use in 127/8."""


def loopback_addresses(directory: Path) -> Iterator[str]:
    """Every address of the pool once, beginning at a place of the directory's own."""
    digest = hashlib.sha256(str(directory).encode()).digest()
    start = int.from_bytes(digest[:4], "big") % _NETS
    for net in itertools.chain(range(start, _NETS), range(start)):
        for host in range(1, _HOSTS + 1):
            yield f"127.{_FIRST + net // 256}.{net % 256}.{host}"


def listen_on_loopback(directory: Path, wanted: str, taken: Collection[str]) -> socket.socket:
    """A listening TCP socket at an address that nobody else uses: `wanted` if it can be had.

    Listening is the test, so that hosts of several directories never collide; binding alone is
    none, since an address that may be used again soon may be bound twice. Where the system
    knows 127.0.0.1 only, machines differ by port. Raises OSError when nothing can be bound.
    """
    free = (each for each in loopback_addresses(directory) if each not in taken)
    for address in itertools.chain([wanted] if wanted else [], free):
        try:
            return listening(address, PORT)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                break
            if error.errno != errno.EADDRINUSE:
                raise
    return listening("127.0.0.1", 0)


def listening(address: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
