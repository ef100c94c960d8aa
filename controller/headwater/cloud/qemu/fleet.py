"""The machines of one directory: made, listed, started, stopped and ended."""

import contextlib
import fcntl
import hashlib
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headwater.cloud.qemu import images, process, seed
from headwater.cloud.qemu.accelerator import accelerator
from headwater.cloud.qemu.command import CONSOLE, DISK, SEED, command
from headwater.cloud.qemu.record import RECORD, CorruptRecordError, Record, load, save

_SHUTDOWN_SECONDS = 20.0
_PORTS = 3
"""Ports that are tried: another process may take one before QEMU does."""
_MOST = 60_000
"""Machines that the network between them has addresses for."""
_TAIL = 64 * 1024
_MAKING = timedelta(minutes=2)
"""Longer than any creation takes: what is not whole then was left by somebody who died."""


@dataclass(frozen=True, slots=True)
class Order:
    name: str
    token: str
    image: str
    cpus: int
    memory: int
    disk: int
    user_data: str
    metadata: Mapping[str, str]


class Fleet:
    """For any number of threads and processes: changes are made one at a time."""

    def __init__(self, directory: Path, images: Path, accelerator: str) -> None:
        self.images = images
        self._directory = directory
        self._machines = directory / "machines"
        self._wanted = accelerator

    def accelerator(self) -> str:
        with self._alone():
            return accelerator(self._directory, self._wanted)

    def records(self) -> Iterator[tuple[Record | None, Path]]:
        """In the order of their numbers; None where a record cannot be read."""
        found: list[tuple[Record | None, Path]] = []
        for file in self._machines.glob(f"*/{RECORD}"):
            try:
                found.append((load(file.parent), file.parent))
            except FileNotFoundError:  # it was ended meanwhile
                continue
            except CorruptRecordError:
                found.append((None, file.parent))
        yield from sorted(found, key=lambda each: each[0].number if each[0] else -1)

    def state(self, record: Record, now: datetime) -> str:
        """`running`, `stopped`, `pending` while it is made, `error` where that broke off."""
        if process.pid_of(self._machines / record.id):
            return "running"
        if record.state != "pending":
            return "stopped"
        since = now - datetime.fromisoformat(record.created)
        return "pending" if since < _MAKING else "error"

    def create(self, order: Order) -> Record:
        """Whole, or not at all. Raises NoImageError, StartError, OSError, ImportError."""
        with self._alone():
            record = self._record(order)
            if record.state != "pending":
                return record
            folder = self._machines / record.id
            try:
                if not process.pid_of(folder):
                    self._fill(folder, record, order.user_data)
                return self._start(record)
            except Exception:
                if not process.pid_of(folder):
                    shutil.rmtree(folder)
                raise

    def _fill(self, folder: Path, record: Record, user_data: str) -> None:
        image = images.image_file(self.images, record.image)
        images.make_overlay(image, folder / DISK, record.disk)
        seed.write(folder / SEED, seed.files(record.id, record.name, record.number, user_data))

    def start(self, id: str) -> Record:
        """Raises FileNotFoundError, StartError, OSError."""
        with self._alone():
            return self._start(load(self._machines / _plain(id)))

    def stop(self, id: str) -> Record:
        """Raises FileNotFoundError, OSError."""
        with self._alone():
            folder = self._machines / _plain(id)
            record = replace(load(folder), state="stopped")
            save(folder, record)
            process.shut_down(folder, _SHUTDOWN_SECONDS)
            return record

    def destroy(self, id: str) -> None:
        """With its disk; one that is gone is ended. Raises OSError, TimeoutError."""
        with self._alone():
            folder = self._machines / _plain(id)
            if folder.is_dir():
                process.kill(folder)
                shutil.rmtree(folder)

    def console(self, id: str) -> str:
        try:
            content = (self._machines / _plain(id) / CONSOLE).read_bytes()
        except FileNotFoundError:
            return ""
        return content[-_TAIL:].decode(errors="replace")

    def _record(self, order: Order) -> Record:
        """The one that an earlier attempt has left, or a new one."""
        id = f"q-{hashlib.sha256(order.token.encode()).hexdigest()[:16]}"
        folder = self._machines / id
        try:
            return load(folder)
        except FileNotFoundError:
            pass
        except CorruptRecordError:
            process.kill(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = Record(
            id,
            order.name,
            order.token,
            self._free_number(),
            _free_port(),
            order.cpus,
            order.memory,
            order.disk,
            order.image,
            datetime.now(UTC).isoformat(timespec="seconds"),
            metadata=dict(order.metadata),
        )
        save(folder, record)
        return record

    def _start(self, record: Record) -> Record:
        folder = self._machines / record.id
        for left in reversed(range(_PORTS)):
            save(folder, record)
            how = accelerator(self._directory, self._wanted)
            try:
                process.start(command(record, folder, how, self._hub()), folder)
            except process.StartError as error:
                if "forwarding" not in str(error) or not left:
                    raise
                record = replace(record, port=_free_port())
            else:
                break
        record = replace(record, state="running")
        save(folder, record)
        return record

    def _hub(self) -> int:
        """Where the machines of this directory meet: another port for each directory."""
        name = hashlib.sha256(str(self._directory).encode()).digest()
        return 20_000 + int.from_bytes(name[:4], "big") % 10_000

    def _free_number(self) -> int:
        taken = {record.number for record, _ in self.records() if record}
        for number in range(_MOST):
            if number not in taken:
                return number
        raise OSError(f"{_MOST} machines are more than their network has addresses for")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _plain(id: str) -> str:
    """Ids come back from outside: they lead to no other folder."""
    if id in {"", ".", ".."} or "/" in id or "\0" in id:
        raise FileNotFoundError(f"no machine {id!r}")
    return id


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
