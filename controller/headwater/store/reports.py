"""Reports of machines: appended to while they come, and whole afterwards.

    <reports>/<deployment>/<run>/<node.N>_report_<time>.tgz           a whole one
                                 <node.N>_report_<time>.tgz.part      one that is coming
                                 <node.N>_report_<time>.tgz.spoiled   why one will not be kept
                                 <node.N>_report_<time>.tgz.stored    its bytes; it has gone to
                                                                      the object store

The directory tells all that there is, also of the reports that an object store holds.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Protocol
from urllib.parse import quote

from headwater.errors import HeadwaterError, Refused
from headwater.planning.status import ReportView
from headwater.store.directory import prepared, unwritable
from headwater.topology.reports import ReportPlace

logger = logging.getLogger("headwater.reports")

LIMIT = 300 * 2**20
"""Bytes of one report: more than an honest agent ever sends."""
RUNS = 20
"""Runs of a deployment whose reports are kept."""
_PIECE = 256 * 1024
_PART, _SPOILED, _STORED, _FETCHED = ".part", ".spoiled", ".stored", ".fetched"
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
"""Seconds until an object store that failed is tried again."""


class Objects(Protocol):
    """Where whole reports go, if not into the directory. Each raises HeadwaterError only."""

    async def put(self, name: str, file: Path) -> None:
        """Replaces what is there."""

    async def get(self, name: str, file: Path) -> None:
        """Raises Refused where there is none."""

    async def remove(self, name: str) -> None:
        """Succeeds also when there is none."""


class Reports:
    """Used on one thread. A machine is not believed: names, places and limits are ours."""

    def __init__(self, directory: Path, objects: Objects | None = None) -> None:
        self.directory = directory
        self._objects = objects
        self._news = asyncio.Event()
        self._known: dict[str, tuple[ReportView, ...]] = {}

    def append(self, place: ReportPlace, offset: int, content: bytes) -> None:
        """Keep `content`, which begins at `offset`; what is known is skipped.

        A gap, or more than the limit, spoils the report: none of it will be kept. Raises Transient
        while the disk is full, Stalled where the directory cannot be written to.
        """
        if _is_settled(path := self._path(place)):
            return
        size = _bytes(part := _beside(path, _PART))
        if offset > size:
            self._spoil(path, f"{offset - size} bytes of it are missing")
        elif offset + len(content) > LIMIT:
            self._spoil(path, f"it has more than {LIMIT // 2**20} MiB")
        elif news := content[size - offset :]:
            try:
                prepared(path.parent)
                with part.open("ab") as file:
                    file.write(news)
            except OSError as error:
                raise unwritable(part, error) from error

    def size(self, place: ReportPlace) -> int:
        """The offset of the first byte that is not kept yet; far behind a spoiled one's end."""
        path = self._path(place)
        if _beside(path, _SPOILED).exists():
            return LIMIT
        stored = _beside(path, _STORED)
        whole = int(stored.read_text()) if stored.exists() else _bytes(path)
        return whole or _bytes(_beside(path, _PART))

    def close(self, place: ReportPlace) -> tuple[int, str]:
        """It is whole: its bytes (0: nothing came), or why none is kept. Again changes nothing."""
        path = self._path(place)
        if (spoiled := _beside(path, _SPOILED)).exists():
            return 0, spoiled.read_text(encoding="utf-8")
        with suppress(FileNotFoundError):
            try:
                _beside(path, _PART).rename(path)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise unwritable(path, error) from error
            self._known.pop(place.deployment, None)
            self._news.set()
            if self._objects is None:
                for run in self._surplus(path.parent.parent):
                    shutil.rmtree(run, ignore_errors=True)
        return self.size(place), ""

    def views(self, deployment: str) -> tuple[ReportView, ...]:
        """Oldest run first, in it by time."""
        if deployment not in self._known:
            folder = self.directory / _segment(deployment)
            views = [view for run in _runs(folder) for view in _views(deployment, run)]
            self._known[deployment] = tuple(views)
        return self._known[deployment]

    def count(self, deployment: str, run: int) -> int:
        return sum(view.run == run for view in self.views(deployment))

    def last_run(self, deployment: str) -> int:
        """The last one of which there is something; 0 where nothing is kept."""
        return max((int(r.name) for r in _runs(self.directory / _segment(deployment))), default=0)

    async def read(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        """Its bytes in pieces. Raises Refused where it is not kept, or not where we can look."""
        path = self._path(place)
        if path.exists():
            for piece in _pieces(path):
                yield piece
            return
        if not _beside(path, _STORED).exists():
            raise Refused(f"{place.deployment}, run {place.run}: no report {place.file} is kept")
        if self._objects is None:
            raise Refused(f"{place.file} went to an object store: name it in `reports` again")
        fetched = path.with_name(f"{path.name}.{token_hex(4)}{_FETCHED}")
        try:
            await self._objects.get(_name(path), fetched)
            for piece in _pieces(fetched):
                yield piece
        finally:
            fetched.unlink(missing_ok=True)

    async def deliver(self) -> None:
        """Bring whole reports to the object store, for ever; nothing to do without one."""
        pause = _FIRST_PAUSE
        while (objects := self._objects) is not None:
            self._news.clear()
            try:
                for path in self._undelivered():
                    await objects.put(_name(path), path)
                    _beside(path, _STORED).write_text(str(_bytes(path)), encoding="ascii")
                    path.unlink()
                for folder in _folders(self.directory):
                    for run in self._surplus(folder):
                        await self._remove(run, objects)
            except (HeadwaterError, OSError) as error:
                logger.warning("report.delayed", extra={"reason": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                await self._news.wait()

    def _undelivered(self) -> list[Path]:
        runs = (run for folder in _folders(self.directory) for run in _runs(folder))
        return [path for run in runs for path in _ending(run, ".tgz")]

    async def _remove(self, run: Path, objects: Objects) -> None:
        for stored in _ending(run, _STORED):
            await objects.remove(_name(stored.with_suffix("")))
            stored.unlink()
        shutil.rmtree(run, ignore_errors=True)
        self._known.clear()

    def _surplus(self, folder: Path) -> list[Path]:
        return _runs(folder)[:-RUNS]

    def _spoil(self, path: Path, why: str) -> None:
        try:
            prepared(path.parent)
            _beside(path, _SPOILED).write_text(why, encoding="utf-8")
            _beside(path, _PART).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error

    def _path(self, place: ReportPlace) -> Path:
        return self.directory / _segment(place.deployment) / str(place.run) / place.file


def _segment(name: str) -> str:
    """One step of a path, whatever the name."""
    return quote(name, safe="").replace(".", "%2E") or "%"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _name(path: Path) -> str:
    """Of the object: `<deployment>/<run>/<file>`."""
    return "/".join(path.parts[-3:])


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_settled(path: Path) -> bool:
    return any(p.exists() for p in (path, _beside(path, _SPOILED), _beside(path, _STORED)))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _folders(directory: Path) -> list[Path]:
    return sorted(p for p in directory.iterdir() if p.is_dir()) if directory.is_dir() else []


def _runs(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted((p for p in _folders(folder) if p.name.isdecimal()), key=lambda p: int(p.name))


def _ending(run: Path, suffix: str) -> list[Path]:
    return sorted(path for path in run.iterdir() if path.name.endswith(suffix))


def _views(deployment: str, run: Path) -> list[ReportView]:
    found = {}
    for path in run.iterdir():
        with suppress(ValueError):
            place = ReportPlace(deployment, int(run.name), path.name.removesuffix(_STORED))
            size = int(path.read_text()) if path.name.endswith(_STORED) else _bytes(path)
            view = ReportView(place.run, place.instance, place.file, size, place.at)
            found[place.file] = view
    return sorted(found.values(), key=lambda view: (view.at, view.instance))
