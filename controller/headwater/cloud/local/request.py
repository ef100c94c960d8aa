"""What a client asks of the proxy. Pure."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

_HOP_BY_HOP = {
    *("host", "connection", "keep-alive", "proxy-connection", "proxy-authorization"),
    *("te", "trailer", "upgrade"),
}
"""For this connection alone (RFC 9110 7.6.1), or said anew."""
_WORDS_LIMIT = 200


class Refusal(Exception):
    """A request that is answered with this status code and these words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code

    def answer(self) -> bytes:
        """The words stand in the status line as well: it is what package programs print."""
        line = " ".join(str(self).encode("ascii", "replace").decode().split())[:_WORDS_LIMIT]
        body = f"{self.code} {HTTPStatus(self.code).phrase}: {line}\n"
        head = [f"HTTP/1.1 {self.code} {line}", "Content-Type: text/plain", "Connection: close"]
        return _joined([*head, f"Content-Length: {len(body)}"]) + body.encode()


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    scheme: str
    """Of the host's proxy that would be in charge: a tunnel is https."""
    host: str
    port: int
    path: str = ""
    headers: tuple[str, ...] = ()
    """As they came, but for those that are not to be passed on."""
    length: int = 0
    """Bytes of the body."""

    @property
    def is_tunnel(self) -> bool:
        return self.method == "CONNECT"

    def head(self, *, to_proxy: bool, more: tuple[str, ...] = ()) -> bytes:
        """What is said to the destination, or to a proxy on the way. `more` are headers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = f"{host}:{self.port}"
        if self.is_tunnel:
            return _joined([f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *more])
        authority = authority.removesuffix(":80")
        target = f"http://{authority}{self.path}" if to_proxy else self.path
        first = [f"{self.method} {target} HTTP/1.1", f"Host: {authority}"]
        return _joined([*first, *self.headers, *more, "Via: 1.1 headwater", "Connection: close"])


def parse(head: bytes) -> Request:
    """Raises Refusal."""
    first, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if not method.isalpha() or not target or not version.startswith("HTTP/1."):
        raise Refusal(400, "no HTTP/1 request")
    if method == "CONNECT":
        split = _split(f"//{target}")
        if split.port is None:
            raise Refusal(400, "CONNECT needs a host and a port")
        return Request(method, "https", str(split.hostname), split.port)
    split = _split(target)
    path = split._replace(scheme="", netloc="", fragment="", path=split.path or "/").geturl()
    fields = [_field(header) for header in headers]
    dropped = _HOP_BY_HOP | {
        each.strip().lower()
        for name, value in fields
        if name in {"connection", "proxy-connection"}
        for each in value.split(",")
    }
    kept = (line for line, (name, _) in zip(headers, fields, strict=True) if name not in dropped)
    port = 80 if split.port is None else split.port
    return Request(
        method, "http", str(split.hostname), port, path, tuple(kept), _length(dict(fields))
    )


def _split(target: str) -> SplitResult:
    try:
        split = urlsplit(target)
        if split.hostname and split.port != 0 and split.scheme in {"", "http"}:
            return split
    except ValueError as error:
        raise Refusal(400, f"no address: {error}") from error
    if split.scheme not in {"", "http"}:
        raise Refusal(501, f"{split.scheme}:// does not lead out: use http:// or https://")
    raise Refusal(400, "this is a proxy: ask it for http://HOST/PATH, or to CONNECT HOST:PORT")


def _field(header: str) -> tuple[str, str]:
    name, colon, value = header.partition(":")
    if not colon or not name or name != name.strip():
        raise Refusal(400, "no header")
    return name.lower(), value.strip()


def _length(fields: dict[str, str]) -> int:
    if "transfer-encoding" in fields:
        raise Refusal(411, "a body needs its Content-Length")
    length = fields.get("content-length", "0")
    if not length.isdecimal():
        raise Refusal(400, "no Content-Length")
    return int(length)


def _joined(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
