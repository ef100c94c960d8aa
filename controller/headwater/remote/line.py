"""One machine's line: made, kept, made again, and what is told over it."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import asyncssh

from headwater.errors import HostKeyMismatch, Stalled, Transient
from headwater.remote import hostkey, wire
from headwater.remote.bundle import Bundle
from headwater.remote.conversation import Conversation
from headwater.remote.keys import LoginKey
from headwater.remote.login import LoginRefused, login, reach
from headwater.remote.session import AgentSession, start
from headwater.remote.tasks import Tasks
from headwater.topology.context import Context, Target, Task
from headwater.topology.progress import (
    Connected,
    Ended,
    HostKeyTold,
    LineLost,
    LineRefused,
    MachineEvent,
    Reply,
    Request,
    TaskEnded,
)
from headwater_agent.protocol import ProtocolError

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
LOGIN_TRIES = 3
MOST_REQUESTS = 1000
"""Questions of one machine that wait at a time."""

logger = logging.getLogger("headwater.remote")


@dataclass(frozen=True, slots=True)
class Terms:
    """What all lines share."""

    key: LoginKey
    bundle: Bundle
    conversation: Conversation
    logins: asyncio.Semaphore
    """Handshakes at a time."""
    login_delay: float
    """Seconds before a refused login is tried again: a booting machine learns its keys late."""
    hosts: dict[str, bytes] = field(default_factory=dict)
    """The newest hosts file of each deployment, as a message."""


class Line:
    """Keeps the line to one machine until it is refused, or its task is cancelled."""

    def __init__(
        self,
        target: Target,
        context: Context,
        terms: Terms,
        waiting: dict[str, Task] | None = None,
    ) -> None:
        """`waiting` are the tasks that another line to the machine was to run."""
        self.target = target
        self.context = context
        self.refused = False
        self.tasks = Tasks(target.machine, terms.conversation, self._tell, waiting or {})
        self._hosts = b""
        self._stop = b""
        self._terms = terms
        self._session: AgentSession | None = None
        self._requests: dict[int, asyncio.Task[None]] = {}

    def turn_to(self, context: Context) -> None:
        """Have the agent run another context; the same one is already known to it."""
        before, self.context = self.context, context
        if replace(context, check=before.check) != before:
            self._stop = b""
            self._tell_context()
        if context != before:
            self._tell_check()

    def tell_hosts(self, line: bytes) -> None:
        if line != self._hosts:
            self._hosts = line
            self._tell(line)

    def stop(self, reason: str) -> None:
        """Now, or as soon as the line stands; not after other work has been wanted."""
        self._stop = wire.stop_line(reason)
        self._tell(self._stop)

    def run_task(self, task: Task) -> None:
        """Now, or as soon as the line stands, and until its end has been heard."""
        self.tasks.waiting[task.id] = task
        if not task.collects:
            self._stop = b""
        if self._session is not None:
            self.tasks.tell(task)

    async def keep(self) -> None:
        """Make the line again whenever it is lost. Returns when it is refused."""
        delays, told, refusals = _delays(), "", 0
        while True:
            delay = next(delays)
            try:
                async with self._standing() as session:
                    delays, told, refusals = _delays(), "", 0
                    _stop_if_cancelled()
                    await session.over()
            except LoginRefused as error:
                refusals, reason, delay = refusals + 1, str(error), self._terms.login_delay
                if refusals == LOGIN_TRIES:
                    return await self._refuse(reason)
            except Stalled as error:
                return await self._refuse(str(error))
            except Transient as error:
                reason = str(error)
            if reason != told:
                told = reason
                self._log("line.lost", reason)
                await self._insist(LineLost(self.target.machine, reason))
            await asyncio.sleep(delay)

    @asynccontextmanager
    async def _standing(self) -> AsyncIterator[AgentSession]:
        """Raises LoginRefused, Stalled, Transient."""
        connection: asyncssh.SSHClientConnection | None = None
        reached = await reach(self.target)
        try:
            async with self._terms.logins:
                connection = await login(reached, self.target, self._terms.key)
                if self.target.one_time:
                    if hostkey.shown(connection) != self.target.host_key:
                        await self._renew(connection)
                        await _close(connection)
                        connection = await self._meet_again()
                    self._prove()
                session = await start(connection, self._terms.bundle, self)
            yield session
        finally:
            self._session = None
            await self._cancel_requests()
            if connection is None:
                reached.close()
            else:
                await _close(connection)

    async def _renew(self, connection: asyncssh.SSHClientConnection) -> None:
        """Have the machine make its own host key; it uses it when we have kept it."""
        key = await hostkey.make(connection)
        self._emit(HostKeyTold(self.target.machine, key, proven=False))
        self.target = replace(self.target, host_key=key)
        await hostkey.use(connection)

    async def _meet_again(self) -> asyncssh.SSHClientConnection:
        """Over the new key alone; the server may need a moment to read it."""
        new = replace(self.target, one_time="")
        for delay in hostkey.DELAYS:
            with suppress(Transient, HostKeyMismatch):
                return await login(await reach(new), new, self._terms.key)
            await asyncio.sleep(delay)
        try:
            return await login(await reach(new), new, self._terms.key)
        except HostKeyMismatch as error:
            words = "if its SSH server has not read the new one, restart it"
            raise HostKeyMismatch(f"{error} ({words})") from error

    def _prove(self) -> None:
        """From now on no other key is believed."""
        self._emit(HostKeyTold(self.target.machine, self.target.host_key, proven=True))
        self.target = replace(self.target, one_time="")

    def on_greeting(self, session: AgentSession) -> None:
        """Hosts first: the recipes of the context may read them."""
        self._log("line.connected", "")
        self._emit(Connected(self.target.machine))
        self._session = session
        self._tell(self._hosts)
        self._tell_context()
        self._tell_check()
        self.tasks.tell_all()
        self._tell(self._stop)

    async def _refuse(self, reason: str) -> None:
        self.refused = True
        self._log("line.refused", reason)
        await self._insist(LineRefused(self.target.machine, reason))

    async def _insist(self, event: MachineEvent) -> None:
        """Emit what nobody else says again, for as long as it cannot be kept."""
        for delay in _delays():
            try:
                self._emit(event)
            except Transient as error:
                self._log("line.event_delayed", str(error))
            else:
                return
            await asyncio.sleep(delay)

    def _tell(self, line: bytes) -> None:
        if self._session is not None and line:
            self._session.send(line)

    def _tell_context(self) -> None:
        if self._session is None:
            return
        machine, context = self.target.machine, self.context
        try:
            have = self._terms.conversation.output_offset(machine, context.id)
            self._tell(wire.context_line(context, have))
        except ProtocolError as error:
            words = f"the recipes are too large: {error}"
            self._emit(
                Ended(machine, context.id, succeeded=False, reason="unstartable", words=words)
            )

    def _tell_check(self) -> None:
        target = self.target
        self._tell(wire.health_line(self.context, target.inside or target.address))

    def on_message(self, message: wire.Message) -> None:
        """Raises ProtocolError."""
        match message["kind"]:
            case "request":
                self._ask(wire.id_of(message), wire.request(self.target.machine, message))
            case "cancel":
                asked = self._requests.pop(wire.id_of(message), None)
                if asked is not None:
                    asked.cancel()
            case kind:
                self._learn(str(kind), wire.event(self.target.machine, message))

    def _learn(self, kind: str, event: MachineEvent | None) -> None:
        match event:
            case None:
                self._log("line.message_ignored", f"of kind {kind}")
            case TaskEnded():
                self.tasks.end(event)
            case _:
                self._emit(event)

    def _ask(self, id: int, request: Request) -> None:
        if len(self._requests) >= MOST_REQUESTS:
            raise ProtocolError(f"more than {MOST_REQUESTS} questions at a time")
        if id not in self._requests:
            self._requests[id] = asyncio.create_task(self._answer(id, request))

    async def _answer(self, id: int, request: Request) -> None:
        try:
            reply = await self._replied(request)
        except Exception:
            logger.exception("request.failed", extra=self._extra(request.verb.value))
            reply = Reply(7, error="the controller failed to answer; see its log")
        if self._requests.pop(id, None) is not None:
            # Who is told of an address may look for its name at once.
            self.tell_hosts(self._terms.hosts.get(self.target.key.deployment, b""))
            self._tell(wire.reply_line(id, reply))

    async def _replied(self, request: Request) -> Reply:
        """Waits while what is asked for cannot be kept; the machine's own timeout ends that."""
        for delay in _delays():
            try:
                return await self._terms.conversation.on_request(request)
            except Transient as error:
                self._log("request.delayed", str(error))
            await asyncio.sleep(delay)
        raise AssertionError("delays have no end")

    async def _cancel_requests(self) -> None:
        asked = list(self._requests.values())
        self._requests.clear()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    def _emit(self, event: MachineEvent) -> None:
        self._terms.conversation.on_event(event)

    def _log(self, name: str, reason: str) -> None:
        level = logging.WARNING if name == "line.refused" else logging.INFO
        logger.log(level, name, extra=self._extra(reason))

    def _extra(self, reason: str) -> dict[str, str]:
        return {
            "machine": str(self.target.machine),
            "instance": str(self.target.key),
            "reason": reason,
        }


def _stop_if_cancelled() -> None:
    """Also where a library has lost it: before Python 3.12, what `wait_for` awaits may."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    """At once: the agent needs no farewell."""
    connection.abort()
    with suppress(TimeoutError, OSError, asyncssh.Error):
        async with asyncio.timeout(1.0):
            await connection.wait_closed()


def _delays() -> Iterator[float]:
    """Seconds: doubling, with jitter so that a rack that comes back does not come at once."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        delay = min(2 * delay, LONGEST_DELAY)
