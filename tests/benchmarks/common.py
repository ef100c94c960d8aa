"""What the benchmarks share: figures as JSON lines, and controllers on scratch repositories."""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from fakes.source import GitRepository
from headwater.cloud.local.client import HostClient
from headwater.cloud.local.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples-repo"
PROGRAM = str(Path(sys.executable).with_name("headwater"))
PATIENCE = 180.0
"""Seconds until something that should happen counts as never happening."""
_LOOK = 0.02


def say(name: str, unit: str, values: Sequence[float], target: float | None = None) -> None:
    """Print one measurement: the median of its values, the best of them, and where they come from.

    The best is the smallest: what a run costs when nothing else wants the processors.
    """
    line = {
        "name": name,
        "value": round(median(values), 4),
        "best": round(min(values), 4),
        "runs": len(values),
        "unit": unit,
        "target": target,
        "load": round(os.getloadavg()[0], 1),
        **_surroundings(),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@cache
def _surroundings() -> dict[str, object]:
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "date": datetime.now(UTC).date().isoformat(),
        "revision": revision or "unknown",
    }


@dataclass
class Cost:
    """What a block took, in seconds; set when it ends."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def cost(who: int = resource.RUSAGE_SELF) -> Iterator[Cost]:
    """RUSAGE_CHILDREN counts the children that the block has waited for."""
    spent = Cost(time.perf_counter(), _cpu(who))
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - spent.wall, _cpu(who) - spent.cpu


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a live process has used by now, without its children.

    Linux derives the clock of a process from its number (clock_getcpuclockid), and it counts in
    nanoseconds; /proc/PID/stat counts in hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


def memory_of(pid: int) -> dict[str, float]:
    """MiB by the names of /proc/PID/status: `VmRSS` now, `VmHWM` at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name.rstrip(":"): int(size) / 1024 for name, size, _ in pairs}


def until(fact: Callable[[], Any], what: str) -> Any:
    """The fact, as soon as it holds. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not (found := fact()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(_LOOK)
    return found


class Controller:
    """`headwater run` on `repository`, with the log that it writes."""

    def __init__(self, directory: Path, repository: GitRepository, profile: Path | None) -> None:
        self.repository = repository
        self._log = directory / "log"
        self._cloud = Layout(directory / "state" / "local")
        watched = ["-m", "cProfile", "-o", str(profile)] if profile else []
        options = ["--state", str(directory / "state"), "--listen", "", "--log-format", "json"]
        command = [sys.executable, *watched, PROGRAM, "run", "--repo", str(repository.directory)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([*command, *options], cwd=directory, stderr=log)
        self._reader = self._log.open()
        self._place = 0
        self._records: list[dict[str, Any]] = []

    def heard(self, event: str, **fields: object) -> dict[str, Any]:
        """The first record with this event and these fields, once it is in the log."""

        def found() -> dict[str, Any] | None:
            if self.process.poll() is not None:
                raise ChildProcessError(f"the controller has ended:\n{self._log.read_text()}")
            self._read()
            records = (r for r in self._records if r["event"] == event)
            return next((r for r in records if fields.items() <= r.items()), None)

        record: dict[str, Any] = until(found, f"{event} {fields}, says {self._log}")
        return record

    def _read(self) -> None:
        """Only what is new: looking must not take the processors from what is looked at."""
        while (line := self._reader.readline()).endswith("\n"):
            if line.startswith("{"):
                self._records.append(json.loads(line))
            self._place = self._reader.tell()
        self._reader.seek(self._place)

    @property
    def host(self) -> int:
        """The process that serves the machines of the embedded cloud."""
        return int(self._cloud.lock.read_text())

    def close(self) -> None:
        """End it, and whatever machines it has left."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.close()
        client = HostClient(self._cloud)
        if client.has_machines():
            nodes = client.ask("list")["nodes"]
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(lambda node: client.ask("remove", id=node["id"]), nodes))
        until(lambda: not self._cloud.lock.exists(), "the end of the host of the machines")


@contextmanager
def running(files: Mapping[str, str], profile: Path | None = None) -> Iterator[Controller]:
    """A controller that has read a repository of these files and has nothing to do."""
    with tempfile.TemporaryDirectory(prefix="headwater-benchmark-") as scratch:
        repository = GitRepository(Path(scratch, "repository"))
        repository.commit(files)
        controller = Controller(Path(scratch), repository, profile)
        try:
            controller.heard("source.revision_read")
            yield controller
        finally:
            controller.close()


def moment(record: Mapping[str, Any]) -> float:
    """When a record was written, in seconds since the epoch."""
    return datetime.fromisoformat(record["time"]).timestamp()


def example(*folders: str, level: str = "auto") -> dict[str, str]:
    """Folders of the example repository; the embedded cloud makes machines of the level."""
    files = {
        path.relative_to(EXAMPLES).as_posix(): path.read_text()
        for folder in folders
        for path in sorted((EXAMPLES / folder).rglob("*"))
        if path.is_file()
    }
    if level != "auto" and "clouds/local.toml" in files:
        files["clouds/local.toml"] += f'options = {{ level = "{level}" }}\n'
    return files
