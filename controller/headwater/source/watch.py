"""Hints that the branch may have moved: from the file system where it is ours, and by polling."""

import asyncio
import logging
import os
import random
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from headwater.errors import HeadwaterError
from headwater.source.repositories import git_directory

log = logging.getLogger(__name__)

QUIET = 0.05
"""Seconds without a further event after which a hint is given: a push is several events."""
LONGEST = 0.5
"""Seconds after which a hint is given although events keep coming."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks for a repository that has vanished."""

# Without reads and modifications: our own reads of the repository would be hints without end.
_EVENTS: list[type[FileSystemEvent]] = [
    FileMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]


class Watch:
    """Of a local repository, or (`directory` None) of nothing: then polling alone.

    Polls every `interval` seconds, more or less a tenth: inotify says nothing of what another
    host did on a network file system, and dies with the directory that it watches.
    """

    def __init__(self, directory: Path | None, interval: float) -> None:
        self._directory = directory
        self._interval = interval

    async def changes(self) -> AsyncIterator[None]:
        """The first hint comes at once, when the watch stands: nothing is missed before it.

        Never ends by itself; close the iterator to stop the watch.
        """
        loop = asyncio.get_running_loop()
        sight = _Sight(loop)
        poll = 0.0
        try:
            while True:
                if await asyncio.to_thread(sight.look_at, self._directory) or loop.time() >= poll:
                    poll = loop.time() + self._interval * random.uniform(0.9, 1.1)  # noqa: S311
                    yield
                left = poll - loop.time()
                is_blind = self._directory is not None and not sight.is_open
                if await sight.touched(min(left, _LOOK_AGAIN) if is_blind else left):
                    yield
        finally:
            await asyncio.shield(asyncio.to_thread(sight.close))


class _Sight(FileSystemEventHandler):
    """The two narrow watches on one repository: all of it would be a firehose."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._observer: BaseObserver | None = None
        self._seen: tuple[int, ...] = ()
        self._prefix = ""

    @property
    def is_open(self) -> bool:
        return self._observer is not None

    def look_at(self, directory: Path | None) -> bool:
        """Open the watches when the directory is another one than before. True: they are new."""
        git = _git_directory(directory)
        seen = _identity(git) if git else ()
        if seen == self._seen and self._is_alive():
            return False
        self.close()
        if not git or not seen:
            return False
        self._seen, self._prefix = seen, f"{git}/"
        self._open(git)
        return self.is_open

    def _open(self, git: Path) -> None:
        # Directories made in a row may be registered twice: watchdog warns, and no harm is done.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        try:
            observer = Observer()
            observer.start()
        except OSError as e:
            log.warning("source.watch_failed", extra={"reason": str(e)})
            return
        try:
            observer.schedule(self, str(git), event_filter=_EVENTS)
            observer.schedule(self, str(git / "refs"), recursive=True, event_filter=_EVENTS)
        except OSError as e:
            log.warning("source.watch_failed", extra={"reason": str(e)})
            _stop(observer)
        else:
            self._observer = observer

    def _is_alive(self) -> bool:
        return self._observer is None or all(e.is_alive() for e in self._observer.emitters)

    def close(self) -> None:
        if self._observer is not None:
            _stop(self._observer)
        self._observer, self._seen = None, ()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """In the observer's thread."""
        path = os.fsdecode(event.dest_path or event.src_path)
        if _concerns(path.removeprefix(self._prefix)):
            with suppress(RuntimeError):  # the loop has ended before us
                self._loop.call_soon_threadsafe(self._event.set)

    async def touched(self, within: float) -> bool:
        """Wait for an event, then for quiet. False when none came within so many seconds."""
        try:
            await asyncio.wait_for(self._event.wait(), max(within, 0))
        except TimeoutError:
            return False
        end = self._loop.time() + LONGEST
        while self._event.is_set():
            self._event.clear()
            await asyncio.sleep(QUIET)
            if self._loop.time() >= end:
                break
        self._event.clear()
        return True


def _concerns(name: str) -> bool:
    """A change of a branch, or one that may be: never of a lock, nor of the notes we write."""
    if name.endswith(".lock") or name.startswith("refs/notes"):
        return False
    return name.startswith("refs") or name in {"HEAD", "packed-refs"}


def _git_directory(directory: Path | None) -> Path | None:
    try:
        return git_directory(directory) if directory else None
    except HeadwaterError:
        return None


def _identity(git: Path) -> tuple[int, ...]:
    try:
        return tuple(x for p in (git, git / "refs") for x in (p.stat().st_dev, p.stat().st_ino))
    except OSError:
        return ()


def _stop(observer: BaseObserver) -> None:
    observer.stop()
    observer.join()
