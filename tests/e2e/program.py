"""The real program on a real repository, as people start it; nothing of it outlives a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from headwater.cli.client import Client
from headwater.cli.wait import Watch
from headwater.cloud.local import processes
from headwater.cloud.local.client import HostClient
from headwater.cloud.local.layout import Layout
from headwater.planning.status import ControllerStatus, DeploymentStatus, InstanceStatus
from headwater.store.lock import holder_of
from local_cloud import wait_until

_T = TypeVar("_T")

DEADLINE = 60.0
"""Seconds for anything that a test waits for: many times what it takes on a busy host."""
HEADWATER = str(Path(sys.executable).with_name("headwater"))
NOTES = "refs/notes/headwater"
_IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A verb that has ended."""

    code: int
    out: str
    err: str


class Repository:
    """A work tree and its branch `main`, made and changed by the git program."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str) -> str:
        ended = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **_IDENTITY},
            capture_output=True,
            check=False,
            text=True,
        )
        assert ended.returncode == 0, (arguments, ended.stderr)
        return ended.stdout.strip()

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Into the work tree; None removes a file."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes | None], *options: str) -> str:
        """The commit's id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change", *options)
        return self.head

    def edit(self, file: str, old: str, new: str) -> str:
        """Commit one change of text; the commit's id."""
        text = (self.path / file).read_text()
        assert old in text, (file, old)
        return self.commit({file: text.replace(old, new)})

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def answers(self, revision: str) -> dict[str, str]:
        """What the note on a commit says, by context; empty where there is none."""
        listed = self.git("notes", "--ref=headwater", "list").split()
        if revision not in listed[1::2]:
            return {}
        note = self.git("notes", "--ref=headwater", "show", revision)
        return _by_context(note)

    def history(self, revision: str, context: str) -> list[str]:
        """All that was ever said in a context, oldest first, repetitions left out."""
        said: list[str] = []
        for change in self.git("rev-list", "--reverse", NOTES).split():
            files = self.git("ls-tree", "-r", "--name-only", change).split()
            for file in [f for f in files if f.replace("/", "") == revision]:
                line = _by_context(self.git("show", f"{change}:{file}")).get(context)
                if line is not None and said[-1:] != [line]:
                    said.append(line)
        return said

    def until_answered(
        self, revision: str, context: str = "headwater", seconds: float = DEADLINE
    ) -> str:
        """The terminal answer, once it stands."""
        found = [""]

        def is_terminal() -> bool:
            found[0] = self.answers(revision).get(context, "")
            return found[0].startswith(("success", "failure"))

        wait_until(is_terminal, f"an answer on {revision[:7]} for {context}", seconds)
        return found[0]


class Program:
    """A controller on a repository, with a state directory of its own, and its verbs."""

    def __init__(self, repository: Repository, state: Path, level: str) -> None:
        self.repository = repository
        self.state = state
        self.level = level
        self.layout = Layout(state / "local")
        self.log = state.with_suffix(".log")
        self._controller: subprocess.Popen[bytes] | None = None
        self._begun: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **_IDENTITY, "HEADWATER_STATE": str(self.state)}

    def verb(self, *arguments: str, seconds: float = DEADLINE, **environment: str) -> Ended:
        ended = subprocess.run(
            [HEADWATER, *arguments],
            cwd=self.repository.path,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=seconds,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def said(self, *arguments: str) -> str:
        """What a verb that must succeed prints."""
        ended = self.verb(*arguments)
        assert ended.code == 0, (arguments, ended)
        return ended.out

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """A verb that goes on; it does not outlive the test."""
        child = subprocess.Popen(
            [HEADWATER, *arguments],
            cwd=self.repository.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._begun.append(child)
        return child

    def run(self, *flags: str) -> Ended:
        """`headwater run` to its end."""
        return self.verb("run", *self._flags(), *flags)

    def start(self, *flags: str, **environment: str) -> None:
        """The controller, in the background, until it answers."""
        with self.log.open("ab") as log:
            self._controller = child = subprocess.Popen(
                [HEADWATER, "run", *self._flags(), *flags],
                cwd=self.repository.path,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def answers() -> bool:
            assert child.poll() is None, self.log.read_text()
            holder = holder_of(self.state)
            return holder is not None and holder.pid == child.pid and bool(holder.socket)

        wait_until(answers, "the controller answers")

    def _flags(self) -> tuple[str, ...]:
        repository = str(self.repository.path)
        return "--repo", repository, "--listen", "127.0.0.1:0", "--log-format", "json"

    @property
    def pid(self) -> int:
        assert self._controller is not None
        return self._controller.pid

    def kill(self) -> None:
        """As when the kernel ends it."""
        assert self._controller is not None
        self._controller.kill()
        self._controller.wait(DEADLINE)

    def stop(self, seconds: float = DEADLINE) -> int:
        """Ask the controller to end; its exit code."""
        assert self._controller is not None
        self._controller.terminate()
        return self._controller.wait(seconds)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's records of one name."""
        records = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [record for record in records if record["event"] == name]

    def status(self) -> ControllerStatus:
        assert self._controller is not None
        assert self._controller.poll() is None, self.log.read_text()[-4000:]
        return Client(self.state).get(ControllerStatus, "/api/v1/status")

    def deployment(self, name: str) -> DeploymentStatus:
        return next(d for d in self.status().deployments if d.name == name)

    def instances(self, name: str) -> dict[str, InstanceStatus]:
        return {i.instance: i for i in self.deployment(name).instances}

    def until(self, fact: Callable[[ControllerStatus], _T | None], what: str) -> _T:
        """What the fact returns once it is something; the test fails after the deadline."""
        deadline = time.monotonic() + DEADLINE
        last: ControllerStatus | None = None
        with suppress(TimeoutError):
            for last in Client(self.state).statuses(deadline):
                if found := fact(last):
                    return found
            pytest.fail(f"the controller ended before {what}: {self.log.read_text()[-2000:]}")
        pytest.fail(f"not within {DEADLINE} s: {what}\n{last}")

    def until_running(self, name: str, instance: str = "one.1") -> InstanceStatus:
        """One of its recipes runs."""
        return self.until(
            lambda status: next(
                (
                    i
                    for d in status.deployments
                    for i in d.instances
                    if (d.name, i.instance) == (name, instance) and i.step
                ),
                None,
            ),
            f"a recipe of {name}/{instance} runs",
        )

    def until_ready(self, name: str, revision: str = "") -> DeploymentStatus:
        """Ready at the revision, or at the newest commit."""
        revision = revision or self.repository.head
        watch = Watch(name, revision)

        def is_ready(status: ControllerStatus) -> bool:
            verdict, said = watch.look(status, datetime.now(UTC))
            assert verdict is not False, (said, status)
            return bool(verdict)

        self.until(is_ready, f"{name} is Ready")
        return self.deployment(name)

    def until_stalled(self, name: str) -> DeploymentStatus:
        """Stalled at the newest commit with nothing running any more."""
        revision = self.repository.head
        return self.until(
            lambda status: next(
                (
                    d
                    for d in status.deployments
                    if d.name == name and d.observed_revision == revision
                    if d.is_stalled and d.at_rest
                ),
                None,
            ),
            f"{name} is stalled",
        )

    def until_gone(self, name: str) -> None:
        revision = self.repository.head
        self.until(
            lambda status: (
                status.revision == revision and name not in {d.name for d in status.deployments}
            ),
            f"{name} is gone",
        )

    def parameters(self, name: str) -> dict[str, dict[str, str | None]]:
        """Values by instance and name."""
        found: dict[str, dict[str, str | None]] = {}
        for view in json.loads(self.said("params", name, "--output", "json")):
            found.setdefault(view["instance"], {})[view["name"]] = view["value"]
        return found

    def machines(self) -> dict[str, dict[str, Any]]:
        """Every machine on this host in our state directory, by id."""
        host = HostClient(self.layout)
        listed = host.ask("list")["nodes"] if host.has_machines() else []
        return {machine["id"]: machine for machine in listed}

    def volumes(self) -> dict[str, dict[str, Any]]:
        """Every volume in our state directory, by id."""
        return {volume["id"]: volume for volume in HostClient(self.layout).volumes()}

    def home(self, name: str, instance: str) -> Path:
        """The home of root on an instance's machine, as the host sees it."""
        return self.layout.home(self.instances(name)[instance].machine)

    @property
    def host_pid(self) -> int:
        """The process that serves the machines."""
        return int(self.layout.lock.read_text())

    def kill_host(self) -> None:
        pid = self.host_pid
        started = processes.start_time(pid)
        assert started is not None
        os.kill(pid, signal.SIGKILL)
        processes.wait_gone(pid, started)

    def close(self) -> None:
        """End all that was started; machines and their host leave nothing behind."""
        running: list[subprocess.Popen[Any]] = [*self._begun]
        running += [self._controller] if self._controller else []
        for child in running:
            if child.poll() is None:
                child.kill()
            child.communicate()
        for machine in self.machines():
            HostClient(self.layout).ask("remove", id=machine)
        for volume in self.volumes():
            HostClient(self.layout).ask("delete-volume", id=volume)
        wait_until(lambda: not self.layout.root.exists(), "the idle host of the machines ends")


@contextmanager
def program(folder: Path, level: str, *git_options: str) -> Iterator[Program]:
    """A program on a new repository; the controller is not started yet."""
    made = Program(Repository(folder / "repository", *git_options), folder / "state", level)
    try:
        yield made
    finally:
        made.close()


def _by_context(note: str) -> dict[str, str]:
    lines = (line.partition(": ") for line in note.splitlines())
    return {context: said for context, _, said in lines}
