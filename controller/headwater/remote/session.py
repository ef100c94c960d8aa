"""One SSH session with the agent: the bootstrap's lines first, then the agent's messages."""

import asyncio
from typing import Any, Protocol

import asyncssh

from headwater.errors import Stalled, Transient
from headwater.remote.bootstrap import MARK, Step, command
from headwater.remote.bundle import Bundle
from headwater_agent import protocol
from headwater_agent.protocol import Decoder, ProtocolError

BOOT_PATIENCE = 60.0
"""Seconds from login to the agent's first message: hundreds of machines may share two cores."""
NOISE_LIMIT = 64 * 1024
"""Bytes that a login may print before our first line."""


class Listener(Protocol):
    """Whom a session tells, in the order of what it received."""

    def on_greeting(self, session: "AgentSession") -> None:
        """The agent is there: what is sent from now on reaches it."""

    def on_message(self, message: dict[str, object]) -> None:
        """Raises ProtocolError to end the session."""


class AgentSession(asyncssh.SSHClientSession[bytes]):
    """Callbacks instead of streams: an idle line then costs no task and no buffer."""

    def __init__(self, bundle: Bundle, listener: Listener) -> None:
        self._bundle = bundle
        self._listener = listener
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._decoder: Decoder | None = None
        self._line = b""
        self._placed = False
        self._errors = b""
        loop = asyncio.get_running_loop()
        self._greeted: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()

    async def greeted(self) -> None:
        """Until the agent has said hello. Raises Transient, Stalled."""
        try:
            async with asyncio.timeout(BOOT_PATIENCE):
                await asyncio.wait((self._greeted, self._over), return_when="FIRST_COMPLETED")
        except TimeoutError:
            raise Transient(f"the agent did not start within {BOOT_PATIENCE:.0f} s") from None
        if self._over.done():
            self._over.result()

    async def over(self) -> None:
        """Until the line is lost: raises Transient, or Stalled, with the reason."""
        await self._over

    def send(self, line: bytes) -> None:
        if self._channel is not None and not self._over.done():
            self._channel.write(line)

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._errors = (self._errors + data)[-500:]
            return
        if self._over.done():
            return
        try:
            if self._decoder is None:
                data = self._bootstrap(data)
            if self._decoder is not None:
                for message in self._decoder.feed(data):
                    self._on_message(message)
        except ProtocolError as error:
            self._end(Transient(f"the agent does not keep to the protocol: {error}"))
        except Transient as error:  # what the agent said cannot be kept: it says it again
            self._end(error)

    def exit_status_received(self, status: int) -> None:
        words = self._errors.decode("utf-8", "replace").strip()
        told = f": {words.splitlines()[-1]}" if words else ""
        self._end(Transient(f"the agent's session ended with exit code {status}{told}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Transient(f"the connection is lost{f': {exc}' if exc else ''}"))

    def _bootstrap(self, received: bytes) -> bytes:
        """Follow the bootstrap's lines; the agent's begin with its first message."""
        lines = (self._line + received).split(b"\n")
        self._line = lines.pop()
        for number, line in enumerate(lines):
            if self._placed and line.startswith(b"{"):
                self._decoder = Decoder()
                return b"\n".join([*lines[number:], self._line])
            if line.startswith(MARK):
                self._on_step(line.removeprefix(MARK))
        if len(self._line) > NOISE_LIMIT:
            raise ProtocolError("the login prints without end")
        return b""

    def _on_step(self, words: bytes) -> None:
        self._placed = True
        if words == Step.NEED.value and self._channel is not None:
            self._channel.write(self._bundle.content)
        elif words.startswith(Step.REFUSED.value):
            reason = words.removeprefix(Step.REFUSED.value).strip().decode("utf-8", "replace")
            self._end(Stalled(reason))

    def _on_message(self, message: dict[str, Any]) -> None:
        if not self._greeted.done():
            if message.get("version") != protocol.VERSION:
                raise ProtocolError(f"its first message is {message}")
            self._greeted.set_result(None)
            self._listener.on_greeting(self)
            return
        self._listener.on_message(message)

    def _end(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)
            # Retrieved here once, so that nobody is told when nobody waits for it any more.
            self._over.exception()


async def start(
    connection: asyncssh.SSHClientConnection, bundle: Bundle, listener: Listener
) -> AgentSession:
    """Raises Transient, Stalled."""
    session = AgentSession(bundle, listener)
    try:
        await connection.create_session(lambda: session, command(bundle), encoding=None)
    except (asyncssh.Error, OSError) as error:
        raise Transient(f"no session: {error}") from error
    await session.greeted()
    return session
