"""The machines behind a cloud's double: one process each, on loopback addresses of their own."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fakes.hosting import Guest
from harness import guest as program
from harness.agent_line import Machine, eventually


class Guests:
    """Every machine has the same port and another address, as in a data centre."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.net = f"127.{random.randrange(1, 255)}.{random.randrange(256)}"  # noqa: S311  # no secret
        self.port = _free_port(f"{self.net}.1")
        self.addresses: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def root(self, id: str) -> Path:
        return self.directory / id

    def hook(self) -> Guest:
        return Guest(self.start, self.stop)

    def start(self, id: str, data: str) -> str:
        root = self.root(id)
        root.mkdir(parents=True)
        (root / "user-data").write_text(data)
        self.addresses[id] = f"{self.net}.{len(self.addresses) + 1}"
        self.boot(id)
        return self.addresses[id]

    def boot(self, id: str) -> None:
        ready = self.root(id) / program.READY
        ready.unlink(missing_ok=True)
        arguments = [str(self.root(id)), self.addresses[id], str(self.port)]
        self._processes[id] = subprocess.Popen(
            [sys.executable, str(program.__file__), *arguments], stdin=subprocess.DEVNULL
        )
        eventually(ready.exists)

    def stop(self, id: str) -> None:
        process = self._processes.pop(id, None)
        if process is not None:
            process.kill()
            process.wait()
            for pid in Machine(self.root(id)).processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        for id in list(self._processes):
            self.stop(id)


@contextmanager
def guests(directory: Path) -> Iterator[Guests]:
    made = Guests(directory)
    try:
        yield made
    finally:
        made.close()


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port
