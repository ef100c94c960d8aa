"""The host process: one per directory, started by whoever needs it first.

`python -m headwater.cloud.local.host --directory DIR` ends when a host serves the directory, this
one or another that was there before, or says on standard error why none can.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from headwater.cloud.local.layout import Layout, remove_tree, socket_address
from headwater.cloud.local.wire import LINE_LIMIT, HostError, encode, failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_IDLE_SECONDS = 1.0
"""Without a machine and without a client, before the process ends and leaves nothing behind."""
_LOOK_SECONDS = 2.0
"""Between two looks whether the directory still exists."""
_BACKLOG = 128
_OPEN_FILES = 1 << 16
_log = logging.getLogger(__name__)


class Host:
    """Answers clients on the control socket until it is idle or told to end."""

    def __init__(self, layout: Layout, lock: IO[bytes]) -> None:
        from headwater.cloud.local.fleet import Fleet  # noqa: PLC0415  # after the fork: it is slow

        self._layout = layout
        self._lock = lock
        self._fleet = Fleet(layout)
        self._verbs: dict[str, Callable[[str], Awaitable[Any]]] = {
            "start": self._fleet.start,
            "stop": self._fleet.stop,
            "kill": self._fleet.kill,
            "remove": self._fleet.remove,
            "delete-volume": self._fleet.delete_volume,
        }
        self._clients = 0
        self._over = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None

    async def run(self, ready: IO[bytes]) -> None:
        """Serve; says `ready` when clients may come. Raises OSError when it cannot."""
        await self._fleet.recover()
        server = await asyncio.start_unix_server(
            self._converse, sock=_bound(self._layout.control), limit=LINE_LIMIT
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._over.set)
        ready.write(b"ready\n")
        ready.close()
        self._watch_idleness()
        watch = asyncio.create_task(self._watch_directory())
        await self._over.wait()
        watch.cancel()
        server.close()
        self._fleet.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            while line := await reader.readline():
                writer.write(encode(await self._answer(json.loads(line))))
                await writer.drain()
        except ConnectionError:
            pass  # what the client asked for is done all the same
        finally:
            self._clients -= 1
            writer.close()
            self._watch_idleness()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": await self._obey(request)}
        except HostError as error:
            return failure(error)
        except Exception as error:  # noqa: BLE001  # one client's bug must not end the machines
            _log.exception("request.failed")
            text = f"the local cloud's host failed, see {self._layout.log}: {error!r}"
            return failure(HostError(500, text))

    async def _obey(self, request: dict[str, Any]) -> Any:
        match request:
            case {"verb": "list"}:
                return self._fleet.listing()
            case {"verb": "create", "level": level, "orders": orders}:
                return await self._fleet.create(level, orders)
            case {"verb": "probe"}:
                return await self._fleet.probe()
            case {"verb": verb, "id": id} if verb in self._verbs:
                return await self._verbs[verb](id)
        return self._obey_for_volumes(request)

    def _obey_for_volumes(self, request: dict[str, Any]) -> Any:
        match request:
            case {"verb": "volumes"}:
                return self._fleet.shelf.listing()
            case {"verb": "make-volume", "order": order}:
                return self._fleet.make_volume(order)
            case {"verb": "attach-volume", "id": id, "machine": machine}:
                return self._fleet.attach_volume(id, machine)
            case {"verb": "mark-volume", "id": id, "metadata": metadata}:
                return self._fleet.mark_volume(id, metadata)
        raise HostError(400, f"the local cloud's host does not know this request: {request}")

    async def _watch_directory(self) -> None:
        """Machines whose directory somebody has deleted have lost their disks: they end."""
        while _is_current(self._lock, self._layout.lock):  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(_LOOK_SECONDS)
        await self._fleet.remove_all()
        self._over.set()

    def _watch_idleness(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if not self._clients and self._fleet.empty:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._clients and self._fleet.empty:
            self._over.set()


def main() -> int:
    parser = argparse.ArgumentParser(prog="headwater.cloud.local.host", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    layout = Layout(parser.parse_args().directory.resolve())
    try:
        lock = _lock(layout)
    except OSError as error:
        sys.stderr.write(
            f"the local cloud cannot use {layout.root}: {error.strerror}; "
            "choose another state directory\n"
        )
        return 1
    return 0 if lock is None else _detach(layout, lock)


def _lock(layout: Layout) -> IO[bytes] | None:
    """Held until the process ends; None when another process holds it. Raises OSError."""
    while True:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock = layout.lock.open("ab")
        except FileNotFoundError:  # a host that ended just now has removed the directory
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        if _is_current(lock, layout.lock):
            lock.truncate(0)
            return lock
        lock.close()


def _is_current(lock: IO[bytes], path: Path) -> bool:
    """False when the file was removed by the one who held the lock before."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _detach(layout: Layout, lock: IO[bytes]) -> int:
    """Leave the host running in a session of its own; answers when it is ready, or failed."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        if told == b"ready\n":
            return 0
        sys.stderr.write(f"the local cloud does not start: {told.decode() or 'it ended at once'}\n")
        return 1
    os.close(reading)
    with os.fdopen(writing, "wb") as ready:
        os.setsid()
        os.umask(0o022)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        try:
            _redirect(layout.log)
            _allow_many_files()
            os.chdir("/")
            asyncio.run(Host(layout, lock).run(ready))
        except Exception as error:  # noqa: BLE001  # nobody else could tell the client
            _log.exception("host.failed")
            if not ready.closed:
                ready.write(str(error).encode())
        finally:
            _leave(layout, lock)
    return 0


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    with Path(os.devnull).open("r+b") as nothing, log.open("ab") as kept:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
        os.dup2(kept.fileno(), 2)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")


def _allow_many_files() -> None:
    """A machine takes a listener, its holder's descriptor, and several for each login."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _bound(control: Path) -> socket.socket:
    control.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(control) as address:
        listener.bind(address)
    control.chmod(0o600)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _leave(layout: Layout, lock: IO[bytes]) -> None:
    """Nothing stays behind but machines; the lock goes last, and the folders if they are empty."""
    if not _is_current(lock, layout.lock):
        return
    layout.control.unlink(missing_ok=True)
    if not layout.ids():
        with contextlib.suppress(OSError):
            layout.machines.rmdir()
        for folder in (layout.attached(""), layout.volumes):
            with contextlib.suppress(OSError):
                folder.rmdir()
        remove_tree(layout.template)
        layout.log.unlink(missing_ok=True)
    layout.lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.root.rmdir()


if __name__ == "__main__":
    sys.exit(main())
