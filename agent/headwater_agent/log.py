"""The output of a context, bounded: its first bytes are kept, of the rest only the last words."""

import os
import re

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from headwater_agent.masking import Masks

LIMIT = 4 * 1024 * 1024
"""Bytes kept of one context's output."""
MARK = b"\n... output truncated after 4 MiB ...\n"
TAIL = 4096
WORDS = 400


class Log:
    """Appends what one step prints."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._tail = b""
        self._open = b""
        """The end of what was printed, where a secret may have begun."""

    def print(self, content: bytes, masks: "Masks | None") -> None:
        """The same, without what the masks hide; a secret may come in pieces."""
        if masks is not None:
            content, self._open = masks.split(self._open + content)
        self.append(content)

    def finish(self, masks: "Masks | None") -> None:
        """Nothing follows for now."""
        if masks is not None:
            content, self._open = masks.rest(self._open), b""
            self.append(content)

    def append(self, content: bytes) -> None:
        """Past the limit only remembers the tail. A full disk costs output, never the step."""
        self._tail = (self._tail + content)[-TAIL:]
        try:
            left = LIMIT - os.fstat(self._file).st_size
            if len(content) <= left:
                os.write(self._file, content)
            elif left >= 0:
                os.write(self._file, content[:left] + MARK)
        except OSError:
            pass

    @property
    def last_words(self) -> str:
        return last_words(self._tail)


def last_words(tail: bytes) -> str:
    """The last line with something in it."""
    for line in reversed(tail.splitlines()):
        words = _readable(line)
        if words:
            return words
    return ""


def read(path: str, offset: int, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _readable(line: bytes) -> str:
    """Without terminal sequences and control characters, cut to what a status can show."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", line.decode("utf-8", "replace"))
    return "".join(c if c.isprintable() else " " for c in text).strip()[:WORDS]
