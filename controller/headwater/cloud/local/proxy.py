"""A forward HTTP proxy: the way to the outside for machines that have no route there.

CONNECT for TLS, absolute-form for plain HTTP (RFC 9110 7.6, 9112 3.2.2), one request a connection.
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from http import HTTPStatus

from headwater.cloud.local.outside import Outside, Refusal, Upstream, Way
from headwater.cloud.local.request import Request, parse

_CHUNK = 1 << 16
_PARTING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int = 256
    head: int = 1 << 15
    """Bytes of a request before its body."""
    head_seconds: float = 20.0
    idle_seconds: float = 300.0
    """Without a byte in either direction."""


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
        """The address of a peer is its own: an answer to a borrowed one would not arrive."""
        if ipaddress.IPv4Address(writer.get_extra_info("peername")[0]) not in self._clients:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)  # what is drained is sent
        # Whichever side has gone or gone silent: nobody is left to be told.
        with contextlib.closing(_Aborted(writer)), contextlib.suppress(OSError, EOFError):
            try:
                request = await self._request(reader)
                await self._forward(request, reader, writer)
            except Refusal as refusal:
                writer.write(_answer(refusal))
                await writer.drain()
            await _part(reader, writer)

    async def _request(self, reader: asyncio.StreamReader) -> Request:
        if len(self._tasks) > self._limits.connections:
            raise Refusal(503, "too many connections: try again")
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise Refusal(431, f"a head of more than {self._limits.head} bytes") from error
        except TimeoutError as error:
            raise Refusal(408, "the request does not end") from error
        return parse(head)

    async def _forward(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        way = await self._outside.open(request.scheme, request.host, request.port)
        with contextlib.closing(_Aborted(way.writer)):
            way.writer.transport.set_write_buffer_limits(0)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(self._limits.idle_seconds) as patience:

                def heard() -> None:
                    patience.reschedule(loop.time() + self._limits.idle_seconds)

                if request.is_tunnel:
                    await _tunnel()
