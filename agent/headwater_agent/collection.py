"""Packs a report directory into a gzipped tar, in a process of its own.

The archive depends on nothing but the directory. What is left out is named in it.
"""

import os
import stat

from headwater_agent.journal import DRAFT

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterator

LIMIT = 256 * 1024 * 1024
"""Bytes of content at most: the smallest files come first."""
MOST = 100000
"""Files, links and directories that are looked at."""
LEFT_OUT = b"LEFT_OUT.txt"
WORDS = 380
READABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""A pipe that has taken a file's place must not be waited for."""


class Collection:
    """What a runner runs as the last step of a task that collects."""

    def __init__(self, directory: str, archive: str) -> None:
        self._directory = directory
        self._archive = archive

    def become(self) -> None:
        """Make the archive, whole or not at all. Does not return."""
        draft = self._archive + DRAFT
        try:
            words, code = _pack(os.fsencode(self._directory), draft), 0
            os.rename(draft, self._archive)
        except Exception as error:  # noqa: BLE001  # this is all of the process
            if os.path.exists(draft):
                os.unlink(draft)
            words, code = getattr(error, "strerror", None) or repr(error), 1
        os.write(1, words.encode("utf-8", "replace"))
        os._exit(code)

    def why_not(self, error: OSError) -> str:
        return str(error)


class Entry:
    """Something in the directory, by its path from there on."""

    def __init__(self, path: bytes, found: os.stat_result) -> None:
        self.path = path
        self.found = found
        self.is_file = stat.S_ISREG(found.st_mode)


class Content:
    """Of a file that may shrink or fail: the archive says already how long it is."""

    def __init__(self, file: "BinaryIO") -> None:
        self._file = file
        self.trouble = ""

    def read(self, size: int) -> bytes:
        content = b""
        if not self.trouble:
            try:
                content = self._file.read(size)
            except OSError as error:
                self.trouble = str(error.strerror)
        if len(content) < size:
            self.trouble = self.trouble or "it became shorter meanwhile"
        return content + bytes(size - len(content))


class LeftOut:
    def __init__(self) -> None:
        self._lines: "list[str]" = []

    def add(self, path: bytes, why: str) -> None:
        self._lines.append("%s (%s)" % (_readable(path), why))

    @property
    def text(self) -> bytes:
        return "".join(line + "\n" for line in self._lines).encode("utf-8")

    @property
    def words(self) -> str:
        """Empty where nothing was left out."""
        return ("left out: " + ", ".join(self._lines) if self._lines else "")[:WORDS]


def _pack(directory: bytes, draft: str) -> str:
    """What was left out, in words. Raises OSError."""
    # Slow to import, and of no use to the daemon.
    import gzip  # noqa: PLC0415
    import tarfile  # noqa: PLC0415

    left_out = LeftOut()
    entries = _fitting(_packable(directory, left_out), left_out)
    with open(draft, "wb") as file:
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            archive = tarfile.open(  # noqa: SIM115  # an error ends the process
                fileobj=packed,
                mode="w",
                format=tarfile.GNU_FORMAT,
                encoding="utf-8",
                errors="surrogateescape",
            )
            for entry in entries:
                _add(archive, directory, entry, left_out)
            _add_left_out(archive, left_out)
            archive.close()
        file.flush()
        os.fsync(file.fileno())
    return left_out.words


def _packable(directory: bytes, left_out: LeftOut) -> "list[Entry]":
    """Raises OSError where the directory itself cannot be read; it may be missing."""
    base = os.path.realpath(directory)
    entries: "list[Entry]" = []
    for entry in _below(base, left_out):
        if len(entries) == MOST:
            left_out.add(b"*", "there are more than %d files" % MOST)
            break
        why = "the name is taken" if entry.path == LEFT_OUT else _why_not(base, entry)
        if why:
            left_out.add(entry.path, why)
        else:
            entries.append(entry)
    return entries


def _below(base: bytes, left_out: LeftOut) -> "Iterator[Entry]":
    """Everything, links not followed."""
    waiting = [b""]
    while waiting:
        place = waiting.pop()
        try:
            names = sorted(os.listdir(os.path.join(base, place)))
        except FileNotFoundError:
            continue  # it has just vanished
        except OSError as error:
            if not place:
                raise
            left_out.add(place, str(error.strerror))
            continue
        for name in names:
            path = os.path.join(place, name)
            try:
                entry = Entry(path, os.lstat(os.path.join(base, path)))
            except FileNotFoundError:
                continue
            except OSError as error:
                left_out.add(path, str(error.strerror))
                continue
            yield entry
            if stat.S_ISDIR(entry.found.st_mode):
                waiting.append(path)


def _why_not(base: bytes, entry: Entry) -> str:
    """Why it must not go into the archive; empty where it may."""
    mode = entry.found.st_mode
    if stat.S_ISLNK(mode):
        return "" if _stays(base, entry.path) else "a link that leaves the directory"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "not a file"


def _stays(base: bytes, path: bytes) -> bool:
    """A link's words and where it leads are both below the base."""
    try:
        words = os.readlink(os.path.join(base, path))
    except OSError:
        return False
    plain = os.path.normpath(os.path.join(os.path.dirname(path), words))
    leads = os.path.realpath(os.path.join(base, path))
    climbs = plain.startswith((b"/", b"../")) or plain == b".."
    return not climbs and (leads + b"/").startswith(base + b"/")


def _fitting(entries: "list[Entry]", left_out: LeftOut) -> "list[Entry]":
    """In the order of their paths."""
    room = LIMIT
    fitting = []
    for entry in sorted(entries, key=lambda e: (e.found.st_size * e.is_file, e.path)):
        if entry.is_file and entry.found.st_size > room:
            left_out.add(entry.path, "%d bytes" % entry.found.st_size)
            continue
        room -= entry.found.st_size * entry.is_file
        fitting.append(entry)
    return sorted(fitting, key=lambda e: e.path)


def _add(archive: "Any", base: bytes, entry: Entry, left_out: LeftOut) -> None:
    """Raises OSError for the archive's own troubles only."""
    info = archive.tarinfo(entry.path.decode("utf-8", "surrogateescape"))
    info.mode = entry.found.st_mode & 0o777
    info.mtime = int(entry.found.st_mtime)
    path = os.path.join(base, entry.path)
    file: "BinaryIO | None" = None
    try:
        if entry.is_file:
            file = open(os.open(path, READABLE), "rb")  # noqa: SIM115  # closed below
            # No more than was decided upon, however fast it grows.
            info.size = min(os.fstat(file.fileno()).st_size, entry.found.st_size)
        elif stat.S_ISLNK(entry.found.st_mode):
            info.type = b"2"
            info.linkname = os.readlink(path).decode("utf-8", "surrogateescape")
        else:
            info.type = b"5"
    except OSError as error:
        left_out.add(entry.path, str(error.strerror))
        return
    if file is None:
        archive.addfile(info)
        return
    with file:
        content = Content(file)
        archive.addfile(info, content)
    if content.trouble:
        left_out.add(entry.path, "the rest of it: " + content.trouble)


def _add_left_out(archive: "Any", left_out: LeftOut) -> None:
    if left_out.text:
        import io  # noqa: PLC0415

        info = archive.tarinfo(LEFT_OUT.decode("ascii"))
        info.size, info.mode = len(left_out.text), 0o644
        archive.addfile(info, io.BytesIO(left_out.text))


def _readable(path: bytes) -> str:
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
