"""Level `process`: a folder and a HOME of its own, and this host's programs. Needs nothing."""

import os
import socket
from collections.abc import Collection, Sequence

from headwater.cloud.local import processes
from headwater.cloud.local.addresses import listen_on_loopback
from headwater.cloud.local.layout import Layout
from headwater.cloud.local.levels.shape import SEARCH_PATH, Command, Place, login_environment
from headwater.cloud.local.record import Record

_MARK = "HEADWATER_MACHINE"
"""Inherited by all that a machine starts: it tells whose a process is."""


class ProcessLevel:
    name = "process"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def reserve(self, record: Record, taken: Collection[str]) -> Place:
        listener = listen_on_loopback(self._layout.root, record.address, taken)
        address, port = listener.getsockname()
        return Place(address, port, listener)

    def lay(self, record: Record) -> None:
        tree = self._layout.tree(record.id)
        for folder in ("root", "etc", "var/lib", "var/log", "home", "run", "tmp"):
            (tree / folder).mkdir(parents=True)

    def boot(self, record: Record) -> None:
        del record  # there is nothing to start before the first login

    def listener(self, record: Record, place: Place) -> socket.socket:
        del record
        if place.listener is None:
            raise ValueError("a place on the host's network comes with its socket")
        return place.listener

    def command(self, record: Record, argv: Sequence[str]) -> Command:
        tree, home = self._layout.tree(record.id), self._layout.home(record.id)
        environment = login_environment(str(home)) | {
            "PATH": f"{SEARCH_PATH}:{os.environ.get('PATH', '')}",
            "TMPDIR": str(tree / "tmp"),
            "HEADWATER_ROOT": str(tree),
            _MARK: record.id,
        }
        return Command(argv, environment, home)

    def device(self, record: Record, volume: str) -> str:
        return str(self._layout.attached(record.id) / volume)

    def alive(self, record: Record) -> bool:
        return record.boot == processes.boot_id()

    def pids(self, record: Record) -> list[int]:
        return processes.with_environment(f"{_MARK}={record.id}")

    def cut(self, record: Record) -> None:
        processes.end_all(lambda: self.pids(record))

    def clear(self, record: Record) -> None:
        """Nothing is kept outside of the folder."""
