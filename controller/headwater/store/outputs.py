"""What recipes printed: one file per contextualisation of a machine, read while it grows.

    <logs>/<deployment>/<node.index>/<machine>.<context>.log

The end of a file is the offset up to which its output is kept. Where the two differ, because some
bytes never came, were masked, or the file is full, the difference stands in `<file>.skew`. Behind
it stands the size for which it holds once something was masked: what is longer was being appended
when its writer was killed, and is cut off, to be told again from a place that is known.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from headwater.planning.asking import PREFIX
from headwater.store.directory import prepared, unwritable
from headwater.topology.keys import InstanceKey, MachineId

LIMIT = 8 * 2**20
"""Bytes kept per file."""
HISTORY = 10
"""Files kept per instance."""
_PIECE = 64 * 1024
_FULL = b"\n[the output goes on, but no more of it is kept]\n"
_NAME_LIMIT = 200


@dataclass(eq=False, slots=True)
class _Reader:
    """One who follows: which files have news for it."""

    deployment: Path
    instance: str
    news: dict[Path, None] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Outputs:
    """Appended to and read on one thread; readers are told of news, they do not poll."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._readers: set[_Reader] = set()

    def append(
        self,
        key: InstanceKey,
        machine: MachineId,
        context: str,
        offset: int,
        content: bytes,
        *,
        length: int | None = None,
    ) -> None:
        """Keep `content`, which begins at `offset`: what is known is skipped, a gap is marked.

        It stands for `length` bytes of what was printed: its own where that is left out.

        Raises Transient while the disk is full, Stalled where the directory cannot be written to.
        """
        path = self._path(key, machine, context)
        try:
            size, skew, accounted = _standing(path)
            accounted |= length is not None
            end = size + skew
            length = len(content) if length is None else length
            if (known := max(0, end - offset)) >= length:
                return
            if size == 0:
                self._begin(path)
            gap = (
                b"\n[%d bytes of output are missing here]\n" % (offset - end)
                if offset > end
                else b""
            )
            size += _write(path, size, gap + content[known:])
            if (new := offset + length - size) != skew or accounted:
                _account(path, f"{new} {size}" if accounted else str(new))
        except OSError as error:
            raise unwritable(path, error) from error
        self._tell(path)

    def size(self, key: InstanceKey, machine: MachineId, context: str) -> int:
        """The offset of the first byte that is not kept yet."""
        path = self._path(key, machine, context)
        size, skew, _ = _standing(path)
        return size + skew

    async def read(
        self,
        deployment: str,
        instance: str = "",
        *,
        follow: bool = False,
        history: bool = False,
        since: datetime | None = None,
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """Pieces of output with the instance (`wn.3`) that printed them; empty means every one.

        The present contextualisation of each, or with `history` all that is kept, oldest first;
        with `follow` also what is printed from now on, without an end. Files to which nothing
        was added `since` then are left out.
        """
        reader = _Reader(self.directory / _segment(deployment), instance)
        self._readers.add(reader)
        try:
            present = _present(reader, history=history)
            reader.news = dict.fromkeys(path for path in present if _is_newer(path, since))
            positions: dict[Path, int] = {}
            while reader.news or follow:
                for path in tuple(reader.news):
                    while piece := _piece(path, positions.get(path, 0)):
                        positions[path] = positions.get(path, 0) + len(piece)
                        yield path.parent.name, piece
                    del reader.news[path]
                if follow:
                    await reader.wake.wait()
                    reader.wake.clear()
        finally:
            self._readers.discard(reader)

    def _begin(self, path: Path) -> None:
        folder = prepared(path.parent)
        for old in sorted(_by_age(folder), key=_is_context)[: -(HISTORY - 1)]:
            old.unlink(missing_ok=True)
            _skew_path(old).unlink(missing_ok=True)

    def _tell(self, path: Path) -> None:
        for reader in self._readers:
            if path.parent.parent == reader.deployment and reader.instance in (
                "",
                path.parent.name,
            ):
                reader.news[path] = None
                reader.wake.set()

    def _path(self, key: InstanceKey, machine: MachineId, context: str) -> Path:
        name = f"{_segment(str(machine))}.{_segment(context)}"
        if len(name) > _NAME_LIMIT:
            name = sha256(name.encode()).hexdigest()
        return self.directory / _segment(key.deployment) / _segment(key.instance) / f"{name}.log"


def _segment(name: str) -> str:
    """One step of a path, whatever the name: it never leads elsewhere."""
    return quote(name, safe="") if name.strip(".") else "%2E" * len(name) or "%"


def _skew_path(path: Path) -> Path:
    return path.with_suffix(".skew")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _standing(path: Path) -> tuple[int, int, bool]:
    """Its size, its skew, and whether every append is accounted for."""
    size = _size(path)
    try:
        skew, *accounted = map(int, _skew_path(path).read_text(encoding="ascii").split())
    except (FileNotFoundError, ValueError):
        return size, 0, False
    for known in accounted:
        if known < size:
            os.truncate(path, known)
            size = known
    return size, skew, bool(accounted)


def _account(path: Path, words: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(words, encoding="ascii")
    draft.replace(_skew_path(path))


def _write(path: Path, size: int, content: bytes) -> int:
    """How many bytes were written: a full file takes none, and says so once."""
    if len(content) > (room := LIMIT - size):
        content = content[:room] + _FULL if room > 0 else b""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        return file.write(content)


def _piece(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(_PIECE)
    except FileNotFoundError:
        return b""


def _present(reader: _Reader, *, history: bool) -> list[Path]:
    """The files to begin with, instance by instance."""
    if not reader.deployment.is_dir():
        return []
    folders = sorted(reader.deployment.iterdir(), key=_natural)
    chosen = (f for f in folders if reader.instance in ("", f.name))
    return [path for f in chosen for path in (_by_age(f) if history else _last(_by_age(f)))]


def _last(files: list[Path]) -> list[Path]:
    """From the last context on: what its tasks printed comes after it."""
    begin = max((n for n, path in enumerate(files) if _is_context(path)), default=0)
    return files[begin:]


def _is_context(path: Path) -> bool:
    return f".{PREFIX}" not in path.name


def _is_newer(path: Path, since: datetime | None) -> bool:
    return since is None or path.stat().st_mtime >= since.timestamp()


def _by_age(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)


def _natural(folder: Path) -> tuple[str, int]:
    """`wn.2` comes before `wn.10`."""
    node, _, index = folder.name.rpartition(".")
    return node, int(index) if index.isdigit() else 0
