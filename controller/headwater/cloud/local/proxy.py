"""A forward HTTP proxy: the way to the outside for machines that have no route there.

CONNECT for TLS, absolute-form for plain HTTP (RFC 9110 9.3.6, RFC 9112 3.2.2); one request per
connection.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from headwater.cloud.local.outside import Outside, Way
from headwater.cloud.local.request import Refusal, Request, parse

_CHUNK = 1 << 16
_PARTING_SECONDS = 2.0
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int = 256
    head: int = 1 << 15
    """Bytes of a request before its body."""
    head_seconds: float = 20.0
    idle_seconds: float = 300.0
    """Without a byte in either direction."""


@dataclass(frozen=True, slots=True)
class _Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Proxy:
    """Serves clients of one network; nothing of what they say is kept or logged."""

    def __init__(
        self, clients: ipaddress.IPv4Network, outside: Outside, limits: Limits | None = None
    ) -> None:
        self._clients = clients
        self._outside = outside
        self._limits = limits or Limits()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket, over: asyncio.Event) -> None:
        """Until `over`; then the socket and every connection are closed."""
        server = await asyncio.start_server(self._admit, sock=listener, limit=self._limits.head)
        try:
            await over.wait()
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nobody can borrow a client's address: the answers would go to the client."""
        if ipaddress.IPv4Address(writer.get_extra_info("peername")[0]) not in self._clients:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._converse(_Client(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, client: _Client) -> None:
        # Whichever side has gone or fallen silent: nobody is left to be told.
        with _ending(client.writer), suppress(OSError, EOFError):
            try:
                request = await self._request(client.reader)
                way = await self._outside.open(request.scheme, request.host, request.port)
            except Refusal as refusal:
                client.writer.write(refusal.answer())
                await client.writer.drain()
            else:
                with _ending(way.writer):
                    await self._forward(request, client, way)
            await _part(client)

    async def _request(self, reader: asyncio.StreamReader) -> Request:
        if len(self._tasks) > self._limits.connections:
            raise Refusal(503, "too many connections: try again")
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                return parse(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError as error:
            raise Refusal(431, f"a head of more than {self._limits.head} bytes") from error
        except TimeoutError as error:
            raise Refusal(408, "the request does not end") from error

    async def _forward(self, request: Request, client: _Client, way: Way) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.idle_seconds) as patience:

            def heard() -> None:
                patience.reschedule(loop.time() + self._limits.idle_seconds)

            if request.is_tunnel:
                await _tunnel(request, client, way, heard)
            else:
                await _fetch(request, client, way, heard)


async def _tunnel(request: Request, client: _Client, way: Way, heard: Callable[[], None]) -> None:
    """Bytes both ways; where an upstream is on the way, its own answer comes first."""
    if way.upstream:
        way.writer.write(request.head(to_proxy=True, more=way.upstream.headers))
    else:
        client.writer.write(_CONNECTED)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(client.reader, way.writer, heard))
            both.create_task(_copy(way.reader, client.writer, heard))
    except* OSError:
        pass  # one side has gone: so does the other


async def _fetch(request: Request, client: _Client, way: Way, heard: Callable[[], None]) -> None:
    """Ends with the answer, which may come before the whole body was sent."""
    more = way.upstream.headers if way.upstream else ()
    way.writer.write(request.head(to_proxy=way.upstream is not None, more=more))
    body = asyncio.create_task(_send(client.reader, way.writer, request.length, heard))
    try:
        await _copy(way.reader, client.writer, heard)
    finally:
        body.cancel()
        await asyncio.wait([body])


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[], None]
) -> None:
    while chunk := await reader.read(_CHUNK):
        heard()
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _send(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    length: int,
    heard: Callable[[], None],
) -> None:
    """A body. What its receiver says of it is in the answer, also where it takes no more."""
    with suppress(OSError):
        while length and (chunk := await reader.read(min(length, _CHUNK))):
            heard()
            writer.write(chunk)
            await writer.drain()
            length -= len(chunk)


async def _part(client: _Client) -> None:
    """Let the client close first.

    Closing on requests that it has sent ahead, as package programs do, would reset the connection,
    and take away what it has not read yet (RFC 9112 9.6).
    """
    client.writer.write_eof()
    async with asyncio.timeout(_PARTING_SECONDS):
        while await client.reader.read(_CHUNK):
            pass


@contextmanager
def _ending(writer: asyncio.StreamWriter) -> Iterator[None]:
    """What has been drained is sent, since nothing is buffered; the rest is dropped."""
    writer.transport.set_write_buffer_limits(0)
    try:
        yield
    finally:
        writer.transport.abort()
