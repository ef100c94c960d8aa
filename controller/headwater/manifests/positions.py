"""Where things stand in a TOML document: tomllib does not tell.

The scanner trusts its input: a document that tomllib has read. It costs several times what the
reading costs, so it runs only when there is an error to place.
"""

import re
import tomllib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

Key = str | int

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+"{3,5}'
    r"|'''(?:[^']|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
)
_SCALAR = re.compile(r"[^,\]}#\n]++")


@dataclass(slots=True)
class Place:
    """A value, or the table header or key that began it; offsets count code points from 0."""

    offset: int
    parts: "dict[Key, Place]" = field(default_factory=dict)

    def at(self, key: Key, offset: int) -> "Place":
        """The part under this key; begun at `offset` if it is new."""
        return self.parts.setdefault(key, Place(offset))


def scan(text: str) -> Place:
    """The places of every key and every item of a document that tomllib accepts."""
    return _Scanner(text).document()


def locate(root: Place, path: Iterable[Key]) -> Place:
    """The place of the path; what is not in the document is skipped.

    Validators name more than documents hold: the tags of unions, and keys that are missing.
    """
    place = root
    for key in path:
        place = place.parts.get(key, place)
    return place


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both count from 1, in code points."""
    before = text.rfind("\n", 0, offset)
    return text.count("\n", 0, offset) + 1, offset - before


class Lines:
    """Lines and columns of one text, as `line_and_column` tells them, at less cost for many."""

    def __init__(self, text: str) -> None:
        self._ends = array("L", (match.start() for match in re.finditer("\n", text)))

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_left(self._ends, offset)
        return line + 1, offset - (self._ends[line - 1] if line else -1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Place:
        root = table = Place(0)
        while self._skip(_BLANK) < len(self._text):
            if self._take("["):
                table = self._header(root)
            else:
                self._pair(table)
        return root

    def _header(self, root: Place) -> Place:
        is_item = self._take("[")
        *path, (last, offset) = self._key()
        self._at += 2 if is_item else 1
        table = root
        for key, start in path:
            table = _newest(table.at(key, start))
        if is_item:
            items = table.at(last, offset)
            return items.at(len(items.parts), offset)
        table = table.at(last, offset)
        table.offset = offset  # an earlier [x.y] has begun this [x] by the way
        return table

    def _pair(self, table: Place) -> None:
        *path, (last, offset) = self._key()
        for key, start in path:
            table = table.at(key, start)
        self._at += 1  # =
        self._skip(_SPACE)
        self._value(table.at(last, offset))

    def _key(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            start = self._skip(_SPACE)
            if match := _BARE.match(self._text, start):
                name = match[0]
            else:
                match = self._match(_STRING)
                name = next(iter(tomllib.loads(f"{match[0]}=0")))
            parts.append((name, start))
            self._at = match.end()
            self._skip(_SPACE)
            if not self._take("."):
                return parts

    def _value(self, place: Place) -> None:
        """Recurses once per nesting; tomllib took two calls for it, and did not overflow."""
        if self._take("["):
            while not self._take("]", after=_BLANK):
                self._value(place.at(len(place.parts), self._at))
                self._take(",", after=_BLANK)
        elif self._take("{"):
            while not self._take("}", after=_BLANK):
                *path, (last, offset) = self._key()
                table = place
                for key, start in path:
                    table = table.at(key, start)
                self._at += 1  # =
                self._skip(_SPACE)
                self._value(table.at(last, offset))
                self._take(",", after=_BLANK)
        else:
            match = _STRING.match(self._text, self._at) or self._match(_SCALAR)
            self._at = match.end()

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._at = self._match(pattern).end()
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        assert match, f"not a document that tomllib accepts, at {self._at}"  # noqa: S101  # see scan
        return match

    def _take(self, mark: str, after: re.Pattern[str] | None = None) -> bool:
        if after:
            self._skip(after)
        if taken := self._text.startswith(mark, self._at):
            self._at += len(mark)
        return taken


def _newest(place: Place) -> Place:
    """A header that passes an array of tables means its last one."""
    while (last := len(place.parts) - 1) in place.parts:
        place = place.parts[last]
    return place
