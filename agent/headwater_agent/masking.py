"""Secrets found in what was printed, and replaced by `***`. No I/O; the controller shares it.

Besides the secret itself its lines are looked for, and the forms in which tools print it: quoted
by a shell, JSON or a URL, in base64 at any place in its three bytes. What is shorter than SHORTEST
characters is not looked for: it would be found in everything.
"""

import base64
import json
from urllib.parse import quote, quote_plus

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

    Places = Iterable[tuple[int, int]]

SHORTEST = 6
MASK = b"***"
BASE64_LINE = 76
"""Characters after which base64(1) and MIME begin a new line."""
_PREFIX = 8


class Masks:
    """What to look for; `longest` bytes at most may straddle two pieces."""

    def __init__(self, secrets: "Iterable[str]") -> None:
        found = {form for secret in secrets for form in _forms(secret)}
        long = sorted((f for f in found if len(f) >= SHORTEST), key=lambda f: (-len(f), f))
        self._forms = tuple(long)
        self.longest = len(long[0]) if long else 0

    def __bool__(self) -> bool:
        return bool(self._forms)

    def split(self, content: bytes) -> "tuple[bytes, bytes]":
        """What may be shown of it, masked; and its end as it is, which may go on as a secret."""
        found = self._found(content)
        end = self._open_end(content)
        end = next((start for start, stop in found if start < end < stop), end)
        end = max(end, len(content) - 2 * self.longest)  # one that never ends is not waited for
        return _masked(content[:end], found), content[end:]

    def text(self, text: str) -> str:
        """A text that may have been cut anywhere: a piece of a secret at its ends counts, too."""
        content = text.encode("utf-8", "replace")
        ends = [(0, self._open_begin(content)), (self._open_end(content), len(content))]
        cut = [(start, stop) for start, stop in ends if stop - start >= SHORTEST]
        return _masked(content, self._found(content) + cut).decode("utf-8", "replace")

    def contains(self, text: str) -> bool:
        return bool(self._found(text.encode("utf-8", "replace")))

    def rest(self, content: bytes) -> bytes:
        """What `split` kept back, and nothing follows."""
        start = self._open_end(content)
        cut = [(start, len(content))] if len(content) - start >= SHORTEST else []
        return _masked(content, self._found(content) + cut)

    def _found(self, content: bytes) -> "list[tuple[int, int]]":
        """Places of whole forms, overlapping ones as one, in order."""
        every = sorted(
            (start, start + len(form)) for form in self._forms for start in _places(form, content)
        )
        joined: "list[tuple[int, int]]" = []
        for start, stop in every:
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        return joined

    def _open_end(self, content: bytes) -> int:
        """Where the longest end begins that is the beginning of a form; or the length."""
        return min([len(content)] + [_open_end(form, content) for form in self._forms])

    def _open_begin(self, content: bytes) -> int:
        """How much of the beginning is the end of a form."""
        turned = content[::-1]
        return max([0] + [len(turned) - _open_end(f[::-1], turned) for f in self._forms])


def _forms(secret: str) -> "Iterator[bytes]":
    if len(secret) < SHORTEST:
        return
    for line in {secret} | set(secret.splitlines()):
        for form in (line, line.strip(), _on_one_line(line)):
            yield _bytes(form)
        for quoted in ("'\\''", "'\"'\"'"):  # bash -x, and others
            yield _bytes(line.replace("'", quoted))
        for ascii_only in (False, True):
            yield _bytes(json.dumps(line, ensure_ascii=ascii_only)[1:-1])
        for escape in (quote, quote_plus):
            yield escape(_bytes(line), safe="").encode("ascii")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from _base64(_bytes(secret), encode)
    whole = base64.b64encode(_bytes(secret))
    for start in range(0, len(whole), BASE64_LINE):
        yield whole[start : start + BASE64_LINE].rstrip(b"=")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _base64(secret: bytes, encode: "Callable[[bytes], bytes]") -> "Iterator[bytes]":
    """As it stands within something longer: without what its neighbours change."""
    for before in range(3):
        whole = encode(bytes(before) + secret).rstrip(b"=")
        own = whole[-(-before * 8 // 6) :]
        yield own if (before + len(secret)) % 3 == 0 else own[:-1]


def _on_one_line(text: str) -> str:
    """As a status shows what was printed."""
    return "".join(c if c.isprintable() else " " for c in text)


def _places(form: bytes, content: bytes) -> "Iterator[int]":
    start = content.find(form)
    while start >= 0:
        yield start
        start = content.find(form, start + 1)


def _open_end(form: bytes, content: bytes) -> int:
    """Where the end of `content` begins that is a proper beginning of `form`; or its length."""
    start = max(0, len(content) - len(form) + 1)
    begin = form[:_PREFIX]
    while True:
        start = content.find(begin, start)
        if start < 0:
            break
        if form.startswith(content[start:]):
            return start
        start += 1
    last = range(max(0, len(content) - min(len(form), _PREFIX) + 1), len(content))
    return next((at for at in last if form.startswith(content[at:])), len(content))


def _masked(content: bytes, places: "Places") -> bytes:
    """Places may overlap, and end behind the content."""
    pieces: "list[bytes]" = []
    done = 0
    for start, stop in sorted(places):
        if start < len(content) and stop > done:
            if start > done or not pieces:
                pieces += [content[done:start], MASK]
            done = stop
    return b"".join(pieces) + content[done:]
