"""Secrets found in what was printed, and replaced by `***`.

Besides the secret itself its lines are looked for, and the forms in which tools print it: quoted
by a shell, JSON or a URL, in base64 at any place in its three bytes. What is shorter than SHORTEST
characters is not looked for: it would be found in everything.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from headwater.topology.secrets import SecretValue

SHORTEST = 6
MASK = b"***"
BASE64_LINE = 76
"""Characters after which base64(1) and MIME begin a new line."""
_PREFIX = 8


class Masks:
    """What to look for; `longest` bytes at most may straddle two pieces."""

    def __init__(self, secrets: Iterable[SecretValue]) -> None:
        found = {form for secret in secrets for form in _forms(secret.reveal())}
        long = sorted((f for f in found if len(f) >= SHORTEST), key=lambda f: (-len(f), f))
        self._forms = tuple(long)
        self.longest = len(long[0]) if long else 0

    def __bool__(self) -> bool:
        return bool(self._forms)

    def split(self, content: bytes) -> tuple[bytes, bytes]:
        """What may be shown of it, masked; and its end as it is, which may go on as a secret."""
        found = self._found(content)
        end = self._open_end(content)
        end = next((start for start, stop in found if start < end < stop), end)
        end = max(end, len(content) - 2 * self.longest)  # one that never ends is not waited for
        return _masked(content[:end], found), content[end:]

    def text(self, text: str) -> str:
        """A text that may have been cut anywhere: a piece of a secret at its ends counts, too."""
        content = text.encode(errors="replace")
        ends = [(0, self._open_begin(content)), (self._open_end(content), len(content))]
        cut = [(start, stop) for start, stop in ends if stop - start >= SHORTEST]
        return _masked(content, [*self._found(content), *cut]).decode(errors="replace")

    def contains(self, text: str) -> bool:
        return bool(self._found(text.encode(errors="replace")))

    def rest(self, content: bytes) -> bytes:
        """What `split` kept back, and nothing follows."""
        start = self._open_end(content)
        cut = [(start, len(content))] if len(content) - start >= SHORTEST else []
        return _masked(content, [*self._found(content), *cut])

    def _found(self, content: bytes) -> list[tuple[int, int]]:
        """Places of whole forms, overlapping ones as one, in order."""
        every = sorted(
            (start, start + len(form)) for form in self._forms for start in _places(form, content)
        )
        joined: list[tuple[int, int]] = []
        for start, stop in every:
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        return joined

    def _open_end(self, content: bytes) -> int:
        """Where the longest end begins that is the beginning of a form; or the length."""
        return min((_open_end(form, content) for form in self._forms), default=len(content))

    def _open_begin(self, content: bytes) -> int:
        """How much of the beginning is the end of a form."""
        turned = content[::-1]
        ends = (len(turned) - _open_end(form[::-1], turned) for form in self._forms)
        return max(ends, default=0)


def _forms(secret: str) -> Iterator[bytes]:
    if len(secret) < SHORTEST:
        return
    for line in {secret, *secret.splitlines()}:
        for form in (line, line.strip(), _on_one_line(line)):
            yield form.encode()
        for quoted in ("'\\''", "'\"'\"'"):  # bash -x, and others
            yield line.replace("'", quoted).encode()
        for ascii_only in (False, True):
            yield json.dumps(line, ensure_ascii=ascii_only)[1:-1].encode()
        yield from (quote(line, safe="").encode(), quote_plus(line).encode())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from _base64(secret.encode(), encode)
    whole = base64.b64encode(secret.encode())
    for start in range(0, len(whole), BASE64_LINE):
        yield whole[start : start + BASE64_LINE].rstrip(b"=")


def _base64(secret: bytes, encode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """As it stands within something longer: without what its neighbours change."""
    for before in range(3):
        whole = encode(bytes(before) + secret).rstrip(b"=")
        own = whole[-(-before * 8 // 6) :]
        yield own if (before + len(secret)) % 3 == 0 else own[:-1]


def _on_one_line(text: str) -> str:
    """As a status shows what was printed."""
    return "".join(c if c.isprintable() else " " for c in text)


def _places(form: bytes, content: bytes) -> Iterator[int]:
    start = content.find(form)
    while start >= 0:
        yield start
        start = content.find(form, start + 1)


def _open_end(form: bytes, content: bytes) -> int:
    """Where the end of `content` begins that is a proper beginning of `form`; or its length."""
    start = max(0, len(content) - len(form) + 1)
    begin = form[:_PREFIX]
    while (start := content.find(begin, start)) >= 0:
        if form.startswith(content[start:]):
            return start
        start += 1
    last = range(max(0, len(content) - min(len(form), _PREFIX) + 1), len(content))
    return next((at for at in last if form.startswith(content[at:])), len(content))


def _masked(content: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    """Places may overlap, and end behind the content."""
    pieces: list[bytes] = []
    done = 0
    for start, stop in sorted(places):
        if start < len(content) and stop > done:
            if start > done or not pieces:
                pieces += [content[done:start], MASK]
            done = stop
    return b"".join([*pieces, content[done:]])
