"""From an address to a login: readiness, and the one host key that is believed."""

import asyncio
import socket

import asyncssh

from headwater.errors import HostKeyMismatch, Stalled, Transient
from headwater.remote.keys import LoginKey
from headwater.topology.context import Target

BANNER_PATIENCE = 2.0
"""Seconds for `SSH-` to appear: forwarders accept connections long before a guest listens."""
LOGIN_PATIENCE = 20.0
KEEPALIVE = 15.0
"""Seconds between questions to a silent line; after three without an answer it is lost."""


# The first two cost half of the third, which is every library's own first choice.
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
]


class LoginRefused(Transient):
    """The machine knows neither our key nor the user: a booting one may learn them yet."""


async def reach(target: Target) -> socket.socket:
    """A connection on which an SSH server has spoken; nothing is read from it yet.

    Raises Transient while there is none.
    """
    place = f"{target.address} port {target.port}"
    try:
        async with asyncio.timeout(BANNER_PATIENCE):
            connection = await _connect(target.address, target.port)
    except TimeoutError:
        raise Transient(f"{place} does not answer yet") from None
    except OSError as error:
        raise Transient(f"{place} does not answer yet: {error.strerror or error}") from error
    try:
        spoken = connection.recv(4, socket.MSG_PEEK)
    except OSError:
        spoken = b""
    if spoken.startswith(b"SSH-"):
        return connection
    connection.close()
    raise Transient(f"{place} does not answer as an SSH server yet")


async def _connect(address: str, port: int) -> socket.socket:
    """A connection with something to read. Raises OSError."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, place = (
        await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    )[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, place)
        readable = asyncio.Event()
        loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connection)
    except BaseException:
        connection.close()
        raise
    return connection


async def login(
    connection: socket.socket, target: Target, key: LoginKey
) -> asyncssh.SSHClientConnection:
    """Log in over the connection, which is owned from here on.

    Raises HostKeyMismatch, Stalled (it cannot work as it is), LoginRefused, Transient.
    """
    try:
        trusted = [
            asyncssh.import_public_key(key) for key in (target.host_key, target.one_time) if key
        ]
    except asyncssh.KeyImportError as error:
        connection.close()
        raise Stalled(f"{target.key}: the cloud told no usable host key: {error}") from error
    try:
        return await asyncssh.connect(
            target.address,
            target.port,
            sock=connection,
            username=target.user,
            client_keys=[key.private],
            known_hosts=(trusted, [], []),
            # Nothing of the user who runs the controller: no files, no agent.
            config=None,
            agent_path=None,
            gss_host=None,
            preferred_auth="publickey",
            compression_algs=None,
            encryption_algs=CIPHERS,
            connect_timeout=LOGIN_PATIENCE,
            login_timeout=LOGIN_PATIENCE,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=3,
        )
    except (asyncssh.Error, OSError) as error:
        raise _translated(error, target) from error


def _translated(error: Exception, target: Target) -> Exception:
    place = f"{target.key} at {target.address} port {target.port}"
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return _mismatch(place)
        # Another type of key than the pinned one does not get as far as being compared.
        case asyncssh.KeyExchangeFailed() if "host key" in error.reason:
            return _mismatch(place)
        case asyncssh.KeyExchangeFailed():
            return Stalled(f"{place}: no common way to encrypt: {error.reason}")
        case asyncssh.PermissionDenied():
            return LoginRefused(f"{place} refuses the login of {target.user!r}: {error.reason}")
        case _:
            return Transient(f"{place}: {error}")


def _mismatch(place: str) -> HostKeyMismatch:
    return HostKeyMismatch(
        f"{place} answers with another host key than the one that is believed: it may be another"
        " machine; terminate it, or find out why, before anything is sent to it"
    )
