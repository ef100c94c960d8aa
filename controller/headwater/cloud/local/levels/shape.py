"""What every level of isolation offers. All calls but `command` may block: use a thread."""

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headwater.cloud.local.record import Holder, Record

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LevelUnavailableError(Exception):
    """This host cannot give the level; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Command:
    """How the host starts a program in a machine."""

    argv: Sequence[str]
    environment: dict[str, str]
    folder: Path | None = None
    enters: bool = False
    """The process that is started only leads into the machine, where the program is its child."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine will answer. Levels that share the host's network hold the port already."""

    address: str
    port: int
    listener: socket.socket | None = None

    def give_up(self) -> None:
        if self.listener is not None:
            self.listener.close()


class Level(Protocol):
    name: str

    def reserve(self, record: Record, taken: Collection[str]) -> Place:
        """A place that nobody else has: the record's own address if it can be had again.

        `taken` are the addresses of the directory's other machines. Raises OSError.
        """

    def lay(self, record: Record) -> None:
        """Make the file system of a new machine. Raises OSError."""

    def boot(self, record: Record) -> Holder | None:
        """Start the machine at its place, on the file system that it has.

        Raises LevelUnavailableError when the host refuses, with the host's own words.
        """

    def listener(self, record: Record, place: Place) -> socket.socket:
        """The socket on which the started machine answers. Raises OSError."""

    def command(self, record: Record, argv: Sequence[str]) -> Command: ...

    def device(self, record: Record, volume: str) -> str:
        """Where an attached volume is found on the machine."""

    def alive(self, record: Record) -> bool:
        """Whether a machine that was started in this boot of the host still runs."""

    def pids(self, record: Record) -> list[int]:
        """The machine's processes, without what holds the machine itself."""

    def cut(self, record: Record) -> None:
        """End everything that runs in the machine, at once and entirely. Raises TimeoutError."""

    def clear(self, record: Record) -> None:
        """Remove what is kept outside of the machine's folder."""


def login_environment(home: str, user: str = "root") -> dict[str, str]:
    """What a login on a machine finds in its environment, at every level."""
    return {"HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/sh", "PATH": SEARCH_PATH}
