"""An embedded cloud of a test's own, and logins on its machines."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncssh
import pytest
from libcloud.compute.base import Node

from headwater.cloud.local import processes
from headwater.cloud.local.driver import LocalNodeDriver
from headwater.cloud.local.layout import Layout

DEADLINE = 60.0
KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC_KEY = KEY.export_public_key().decode().strip()


def wait_until(fact: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Blocks until the fact holds; fails the test when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class LocalCloud:
    """A driver on a directory of its own, with what tests do to it."""

    def __init__(self, directory: Path, level: str) -> None:
        self.directory = directory
        self.layout = Layout(directory)
        self.driver = LocalNodeDriver(str(directory), level)

    @property
    def host_pid(self) -> int | None:
        """The process that serves the directory, if one does."""
        with suppress(FileNotFoundError, ValueError):
            pid = int(self.layout.lock.read_text())
            return pid if processes.start_time(pid) else None
        return None

    def create(self, name: str = "one", **order: object) -> Node:
        [node] = self.create_all([{"name": name} | order])
        return node

    def create_all(self, orders: list[dict[str, object]]) -> list[Node]:
        """Machines that accept the tests' key; raises the first failure."""
        key: dict[str, object] = {"authorized_key": PUBLIC_KEY}
        nodes = []
        for answer in self.driver.ex_create_nodes([key | order for order in orders]):
            if isinstance(answer, Exception):
                raise answer
            nodes.append(answer)
        return nodes

    def folder(self, node: Node) -> Path:
        return self.layout.machine(str(node.id))

    def tree(self, node: Node) -> Path:
        return self.layout.tree(str(node.id))

    def again(self, node: Node) -> Node:
        """The node as it is listed now."""
        return next(each for each in self.driver.list_nodes() if each.id == node.id)

    def kill_host(self) -> None:
        """As when the kernel ends it: nothing is said to anyone."""
        if (pid := self.host_pid) and (started := processes.start_time(pid)):
            processes.send(pid, signal.SIGKILL)
            processes.wait_gone(pid, started)

    def close(self) -> None:
        """Leaves nothing; the host must have had nothing to complain of."""
        for node in self.driver.list_nodes():
            self.driver.destroy_node(node)
        log = self.layout.log.read_text() if self.layout.log.exists() else ""
        if (pid := self.host_pid) and (started := processes.start_time(pid)):
            processes.send(pid, signal.SIGTERM)
            processes.wait_gone(pid, started)
        assert "Traceback" not in log


@contextmanager
def local_cloud(directory: Path, level: str) -> Iterator[LocalCloud]:
    """Skips the test, with the reason, where this host cannot give the level."""
    if reason := _reason(level):
        pytest.skip(f"level {level}: {reason}")
    cloud = LocalCloud(directory, level)
    try:
        yield cloud
    finally:
        cloud.close()


@cache
def _reason(level: str) -> str:
    """Asked once per test process: trying a level takes a while."""
    if level == "process":
        return ""
    with TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder) / "cloud", level)
        try:
            return cloud.driver.ex_probe()[level]
        finally:
            cloud.close()


def login(
    node: Node, key: asyncssh.SSHKey = KEY
) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    """A connection to the machine, its host key pinned."""
    address, port = node.private_ips[0], node.extra["ssh_port"]
    where = address if port == 22 else f"[{address}]:{port}"
    return asyncssh.connect(
        address,
        port,
        username="root",
        client_keys=[key],
        known_hosts=asyncssh.import_known_hosts(f"{where} {node.extra['host_key']}"),
        config=None,
        agent_path=None,
        connect_timeout=DEADLINE,
        encoding=None,
    )


async def run(node: Node, command: str | None, **options: Any) -> asyncssh.SSHCompletedProcess:
    async with login(node) as line:
        return await asyncio.wait_for(line.run(command, encoding=None, **options), DEADLINE)


async def output(node: Node, command: str) -> str:
    """What a command that must succeed prints."""
    ended = await run(node, command)
    assert ended.exit_status == 0, ended.stderr
    assert isinstance(ended.stdout, bytes)
    return ended.stdout.decode().strip()
