"""The program, with a fault at one of its durable writes.

`python killing.py` loads the program once and reads orders from its standard input, one JSON object
per line; for each it forks a process that is the program from its first line on, and answers with
the exit code. An order has `arguments`, `environment`, and `folder`, where the output goes, and
with a `step` also the steps that were taken. There the `fault` happens; at none if it is empty.

A step is a durable write, named by what it changes, and counted where that comes again:
`record: state,step #2`. It is marked as `apart` where something else could happen before it.
"""

import asyncio
import fcntl
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partialmethod
from pathlib import Path
from typing import Any

import headwater.app  # noqa: F401  # the program's heavier half, loaded before it is forked
from headwater.cli import main
from headwater.cloud.local.layout import Layout
from headwater.store.sqlite import SqliteStore

Order = dict[str, Any]

_ID = re.compile(r"[0-9a-f]{8,}")
_MACHINE = re.compile(r"/local:.*")


class Steps:
    """In the place of the store's `load` and `save`, through which all that is durable goes."""

    def __init__(self, folder: Path, step: str, fault: str) -> None:
        self._file = folder / "steps"
        self._step, self._fault = step, fault
        self._due = False
        self._seen: Counter[str] = Counter()
        self._known: dict[str, str] = {}
        self._apart = True
        self._load, self._save = SqliteStore.load, SqliteStore.save
        for method in ("load", "save"):
            setattr(SqliteStore, method, partialmethod(_through, getattr(self, method)))

    def load(self, store: SqliteStore) -> dict[str, str]:
        self._known = self._load(store)
        return dict(self._known)

    def save(self, store: SqliteStore, key: str, document: str | None) -> None:
        kind = change(key, self._known.get(key), document)
        self._seen[kind] += 1
        step = f"{kind} #{self._seen[kind]}"
        self._tell(step)
        self._due |= step == self._step
        if self._due and self._fault == "before":
            _die()
        self._save(store, key, document)
        self._known = {**self._known, key: document or ""}
        if self._due and self._fault == "after":
            _die()
        kill = _OTHERS.get(self._fault) if self._due else None
        if kill and kill(Layout(store.directory / "local")):
            self._write(self._fault)
            self._fault = ""

    def _tell(self, step: str) -> None:
        """Writes without a turn of the loop between them are as one for the world outside."""
        self._write(step + " apart" * self._apart)
        self._apart = False
        asyncio.get_running_loop().call_soon(self._turned)

    def _turned(self) -> None:
        self._apart = True

    def _write(self, line: str) -> None:
        with self._file.open("a") as file:
            file.write(f"{line}\n")


def _through(store: SqliteStore, wrapper: Callable[..., Any], *arguments: Any) -> Any:
    return wrapper(store, *arguments)


def change(key: str, before: str | None, after: str | None) -> str:
    """A write by what it changes; ids, which differ from run to run, are left out."""
    key = _ID.sub("*", _MACHINE.sub("", key))
    if not after:
        return f"{key}: gone"
    if not before:
        return f"{key}: new"
    old, new = json.loads(before), json.loads(after)
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return f"{key}: changed"
    return f"{key}: {','.join(sorted(k for k in old | new if old.get(k) != new.get(k)))}"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_host(layout: Layout) -> bool:
    """The process that serves the machines."""
    return _kill_holder(layout.lock)


def _kill_agents(layout: Layout) -> bool:
    """The agent of every machine that has one by now."""
    locks = [layout.tree(id) / "var/lib/headwater/lock" for id in layout.ids()]
    return True in [_kill_holder(lock) for lock in locks]


def _kill_holder(lock: Path) -> bool:
    """Whoever wrote its process id there and holds the lock, as when the kernel ends it."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError), lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(int(file.read()), signal.SIGKILL)
            return True
    return False


_OTHERS: dict[str, Callable[[Layout], bool]] = {"host": _kill_host, "agents": _kill_agents}


def _carry_out(order: Order) -> None:
    """The forked process: the program as its command line starts it."""
    folder = Path(order["folder"])
    os.environ.update(order["environment"])
    for descriptor, name in ((0, os.devnull), (1, folder / "out"), (2, folder / "err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    if "step" in order:
        Steps(folder, order["step"], order["fault"])
    sys.argv = ["headwater", *order["arguments"]]
    main()


def serve() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _carry_out(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    serve()
