"""The SSH server of one machine. All machines of a host share one set of options."""

import base64
import binascii
import itertools
import os
import socket
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

import asyncssh

from headwater.cloud.local.session import Prepare, Session

_KEY_FILE_LIMIT = 1 << 18
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


class Door:
    """Accepts logins with the machine's keys and starts its programs."""

    def __init__(self, prepare: Prepare, authorized: Callable[[], set[bytes]]) -> None:
        self._prepare = prepare
        self._authorized = authorized
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def open(self, listener: socket.socket, private_key: str) -> None:
        """Serve the socket until `close`."""
        self._acceptor = await asyncssh.listen(
            sock=listener,
            options=_shared_options(),
            server_factory=lambda: _Login(self),
            server_host_keys=[asyncssh.import_private_key(private_key)],
        )

    def close(self) -> None:
        """As when the power is cut: nobody is told."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for connection in list(self._connections):
            connection.abort()

    def enter(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)

    def leave(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def admits(self, key: asyncssh.SSHKey) -> bool:
        return key.public_data in self._authorized()

    def session(self) -> Session:
        return Session(self._prepare)


class _Login(asyncssh.SSHServer):
    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._door.enter(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._door.leave(self._connection)

    def begin_auth(self, username: str) -> bool:
        del username  # whoever holds the machine's key is its root
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        del username
        return self._door.admits(key)

    def session_requested(self) -> Session:
        return self._door.session()


def authorized_keys(given: str, file: Path) -> set[bytes]:
    """The keys a machine was created with, and those that its own file names now."""
    return set(_keys(given)) | set(_keys(_read_within(file)))


def _keys(text: str) -> list[bytes]:
    found = []
    for line in text.splitlines():
        words = line.split()
        for kind, key in itertools.pairwise(words):
            if kind.startswith(_KEY_TYPES):
                try:
                    found.append(base64.b64decode(key, validate=True))
                except binascii.Error:
                    break
                break
    return found


def _read_within(file: Path) -> str:
    """The machine owns the file: it may be a link, a pipe, or huge, and none of that may hurt."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _KEY_FILE_LIMIT).decode(errors="replace")
    finally:
        os.close(descriptor)


@cache
def _shared_options() -> asyncssh.SSHServerConnectionOptions:
    """The cheapest strong algorithms first; nothing that a machine without users needs."""
    return asyncssh.SSHServerConnectionOptions(
        config=None,
        encoding=None,
        line_editor=False,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        compression_algs=None,
        kex_algs=["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"],
        encryption_algs=[
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
        ],
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
    )
