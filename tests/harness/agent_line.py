"""A machine without SSH: a directory, and the bootstrap run by `sh` with a pipe as the line."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headwater.remote.bootstrap import command
from headwater.remote.bundle import Bundle, bundle
from headwater_agent import protocol

PATIENCE = 60.0
"""Seconds; no test waits so long where it passes, however busy the machine is."""


class AgentLine:
    """One session: what an SSH exec would carry."""

    def __init__(self, environment: dict[str, str], program: Bundle, python: str) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command(program).replace("/usr/bin/python3", python)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.pushed = False
        self._kept: list[dict[str, Any]] = []
        self._decoder = protocol.Decoder()
        self._boot(program)
        self.hello = self.receive("hello")

    def _boot(self, program: Bundle) -> None:
        line = b""
        while not line.endswith(b"\n"):
            line += self._read(1)
        assert line in (b"HEADWATER HAVE\n", b"HEADWATER NEED\n"), line
        if line == b"HEADWATER NEED\n":
            self.pushed = True
            self._write(program.content)

    def run(
        self,
        id: str,
        *scripts: str,
        timeout: float = 60.0,
        have: int = 0,
        environment: dict[str, str] | None = None,
        packages: tuple[str, ...] = (),
    ) -> None:
        """Have the agent run a context with one step per script."""
        steps = [protocol.step(f"step{n}", "test", text, []) for n, text in enumerate(scripts)]
        if packages:
            steps.append(protocol.step("packages", "test", "", list(packages)))
        self.send(
            protocol.context(
                id=id,
                steps=steps,
                environment=[[k, v] for k, v in (environment or {}).items()],
                timeout=timeout,
                authorized_keys=[],
                have=have,
            )
        )

    def task(
        self,
        id: str,
        *scripts: str,
        collects: bool = False,
        timeout: float = 60.0,
        have: int = 0,
        have_report: int = 0,
    ) -> None:
        """Have the agent run a task with one step per script."""
        self.send(
            protocol.task(
                id=id,
                steps=[
                    protocol.step(f"step{n}", "test", text, []) for n, text in enumerate(scripts)
                ],
                environment=[],
                timeout=timeout,
                collects=collects,
                have=have,
                have_report=have_report,
            )
        )

    def send(self, message: dict[str, object]) -> None:
        self._write(protocol.encode(message))

    def receive(self, kind: str, **fields: object) -> dict[str, Any]:
        """The next message of the kind with these fields; the others are kept."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self._kept:
                if message["kind"] == kind and fields.items() <= message.items():
                    self._kept.remove(message)
                    return message
            self._kept += self._decoder.feed(self._read(65536, deadline))

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """Messages of the kind that have come and that nobody has asked for."""
        return [message for message in self._kept if message["kind"] == kind]

    def output(self, id: str) -> bytes:
        """All output that has been received of the context, in order and without gaps."""
        return self._content("output", context=id)

    def report(self, id: str) -> bytes:
        """Of a task's report, as above."""
        return self._content("report", task=id)

    def _content(self, kind: str, **fields: object) -> bytes:
        found = b""
        for message in self._kept:
            if message["kind"] == kind and fields.items() <= message.items():
                assert message["offset"] == len(found)
                found += protocol.content_of(message)
        return found

    def ended(self, id: str) -> dict[str, Any]:
        return self.receive("ended", context=id)

    def task_ended(self, id: str) -> dict[str, Any]:
        return self.receive("task_ended", task=id)

    def is_closed(self) -> bool:
        """Waits until the other side has hung up."""
        self.process.wait(PATIENCE)
        return True

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(PATIENCE)

    def _write(self, content: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def _read(self, size: int, deadline: float | None = None) -> bytes:
        assert self.process.stdout is not None
        patience = PATIENCE if deadline is None else max(deadline - time.monotonic(), 0.0)
        descriptor = self.process.stdout.fileno()
        assert select.select([descriptor], [], [], patience)[0], f"silence; {self._told()}"
        content = os.read(descriptor, size)
        assert content, f"hung up; {self._told()}"
        return content

    def _told(self) -> str:
        return f"kept: {str(self._kept)[-500:]}"


class Machine:
    """A directory with an agent in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = "/usr/bin/python3"
        self.home = root / "var/lib/headwater"
        self.environment = {
            "HEADWATER_ROOT": str(root),
            "HEADWATER_MACHINE": "m-1",
            "HOME": str(root),
            "PATH": "/usr/bin:/bin",
        }
        self._lines: list[AgentLine] = []

    def attach(self, program: Bundle | None = None) -> AgentLine:
        line = AgentLine(self.environment, program or bundle(), self.python)
        self._lines.append(line)
        return line

    @property
    def daemon(self) -> int:
        return int((self.home / "lock").read_text())

    def kill_daemon(self) -> None:
        daemon = self.daemon
        os.kill(daemon, signal.SIGKILL)
        eventually(lambda: not is_alive(daemon))

    def verb(self, *arguments: str) -> "subprocess.Popen[bytes]":
        program, *rest = arguments
        return subprocess.Popen(
            [str(self.home / "bin" / program), *rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def processes(self) -> list[int]:
        """All that run here, found by what their environment says."""
        mark = f"HEADWATER_ROOT={self.root}\0".encode()
        return [pid for pid in _pids() if mark in _environment(pid)]

    def remove(self) -> None:
        while found := self.processes():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for line in self._lines:
            line.close()


@contextmanager
def machine_in(root: Path) -> Iterator[Machine]:
    root.mkdir(parents=True, exist_ok=True)
    machine = Machine(root)
    try:
        yield machine
    finally:
        machine.remove()


def eventually(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
