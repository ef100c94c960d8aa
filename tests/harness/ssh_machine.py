"""A machine with an SSH server of its own, in this process, on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh

from harness.agent_line import Machine, machine_in
from headwater.topology.context import Target
from headwater.topology.keys import InstanceKey, MachineId

Source = asyncio.StreamReader | asyncssh.SSHReader[bytes]
Sink = asyncio.StreamWriter | asyncssh.SSHWriter[bytes]


@dataclass
class SshMachine:
    machine: Machine
    host_key: asyncssh.SSHKey
    authorized: list[str] = field(default_factory=list)
    logins: int = 0
    commands: list[str] = field(default_factory=list)
    noise: bytes = b""
    port: int = 0
    _server: asyncssh.SSHAcceptor | None = None
    _connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    _sessions: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def target(self) -> Target:
        name = self.machine.root.name
        return Target(
            machine=MachineId("test", name),
            key=InstanceKey("hello", "node", 1),
            address="127.0.0.1",
            port=self.port,
            user="root",
            host_key=public(self.host_key),
        )

    async def listen(self) -> None:
        """On the same port every time: a machine that comes back."""
        self._server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Door(self),
            server_host_keys=[self.host_key],
            process_factory=self._serve,
            encoding=None,
            reuse_address=True,
        )
        self.port = self._server.get_port()

    def drop(self) -> None:
        """Cut every connection, as a network does; what ran on it ends, as with sshd."""
        for connection in list(self._connections):
            connection.abort()
        for session in self._sessions:
            session.cancel()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.drop()
            await self._server.wait_closed()
            await asyncio.gather(*self._sessions, return_exceptions=True)
            self._server = None

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        session = asyncio.create_task(self._run(process))
        self._sessions.add(session)  # nobody else holds on to it when its connection is gone
        session.add_done_callback(self._sessions.discard)
        with suppress(asyncio.CancelledError):
            await asyncio.shield(session)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert process.command is not None
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self.machine.environment,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        process.stdout.write(self.noise)
        forth = asyncio.create_task(_copy(process.stdin, child.stdin))
        try:
            await _copy(child.stdout, process.stdout)
            process.exit(await child.wait())
        finally:
            forth.cancel()
            child.stdin.close()
            with suppress(ProcessLookupError):
                child.kill()
            # A pipe that is full and read by nobody would never end.
            while await child.stdout.read(65536):
                pass
            await child.wait()


async def _copy(source: Source, sink: Sink) -> None:
    with suppress(asyncssh.Error, OSError):
        while content := await source.read(65536):
            sink.write(content)
            await sink.drain()
    with suppress(OSError):
        sink.close()


class _Door(asyncssh.SSHServer):
    def __init__(self, machine: SshMachine) -> None:
        self._machine = machine
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._machine._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the port's shape
        assert self._connection is not None
        self._machine._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  # as above
        self._machine.logins += 1
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002  # as above
        return public(key) in self._machine.authorized


@asynccontextmanager
async def ssh_machine(root: Path) -> AsyncIterator[SshMachine]:
    with machine_in(root) as machine:
        served = SshMachine(machine, asyncssh.generate_private_key("ssh-ed25519"))
        await served.listen()
        try:
            yield served
        finally:
            await served.close()


def public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def at(target: Target, **changes: object) -> Target:
    return replace(target, **changes)  # type: ignore[arg-type]
