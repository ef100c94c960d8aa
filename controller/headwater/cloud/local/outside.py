"""The ways from this host to the outside, for what goes there on behalf of machines."""

import asyncio
import base64
import ipaddress
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from headwater.cloud.local.request import Refusal

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

CLOSED: Sequence[IpNetwork] = (
    *map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")),
    *map(ipaddress.IPv6Network, ("::/128", "::1/128", "fe80::/10", "ff00::/8")),
)
"""What listens here trusts this host's own programs; link-local is where clouds keep secrets."""

_CONNECT_SECONDS = 10.0
_APT_SECONDS = 10.0
_APT_DIRECT = ("", "DIRECT", "false")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A proxy of the host's own, reached by plain HTTP."""

    host: str
    port: int
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """An open connection to the destination, or to the upstream that leads there."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: Upstream | None


class Outside:
    def __init__(self, proxies: Mapping[str, str], closed: Sequence[IpNetwork] = CLOSED) -> None:
        """`proxies` are URLs by scheme, and names that need none by `no`, as urllib has them."""
        self._proxies = dict(proxies)
        self._closed = closed

    async def open(self, scheme: str, host: str, port: int) -> Way:
        """Raises Refusal."""
        upstream = self._upstream(scheme, host)
        through = (upstream.host, upstream.port) if upstream else (host, port)
        closed = () if upstream else self._closed
        try:
            reader, writer = await _connect(*through, closed)
        except TimeoutError as error:
            raise Refusal(504, f"{through[0]}:{through[1]} does not answer this host") from error
        except (OSError, UnicodeError) as error:
            reason = _reason(error)
            raise Refusal(502, f"this host cannot reach {through[0]}: {reason}") from error
        return Way(reader, writer, upstream)

    def _upstream(self, scheme: str, host: str) -> Upstream | None:
        url = self._proxies.get(scheme) or self._proxies.get("all")
        if not url or proxy_bypass(host, self._proxies):
            return None
        try:
            split = urlsplit(url if "://" in url else f"http://{url}")
            if split.scheme == "http" and split.hostname:
                return Upstream(split.hostname, split.port or 80, _credentials(split))
        except ValueError:
            pass
        raise Refusal(502, f"this host's own proxy for {scheme} is not an http:// URL")


def proxies_of_host() -> dict[str, str]:
    """What the environment says, completed by what apt is told here; apt's exceptions are not."""
    return _proxies_of_apt() | getproxies()


def _proxies_of_apt() -> dict[str, str]:
    asked = ("HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy")
    try:
        said = subprocess.run(  # noqa: S603  # fixed words
            ["apt-config", "shell", *asked],  # noqa: S607  # the host's own, where it has one
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_APT_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    assigned = (line.partition("=") for line in said.splitlines())
    found = {name.lower(): url.strip("'") for name, _, url in assigned}
    proxies = {"https": found.get("http", "")} | found
    return {scheme: url for scheme, url in proxies.items() if url not in _APT_DIRECT}


async def _connect(
    host: str, port: int, closed: Sequence[IpNetwork]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The first of the host's addresses that answers. Raises OSError, or Refusal if closed.

    What was looked up is what is connected to: a name cannot lead elsewhere the second time.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_SECONDS):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    open_ones = [each for each in addresses if not _within(each, closed)]
    if not open_ones:
        raise Refusal(403, f"{host} is local to this host and closed to machines")
    for address in open_ones[:-1]:
        try:
            return await _open(address, port)
        except OSError:
            continue
    return await _open(open_ones[-1], port)


async def _open(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.open_connection(address, port)


def _reason(error: OSError | UnicodeError) -> str:
    """What went wrong: asyncio names the call alone; a name that is not known has no errno."""
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else str(error)


def _within(address: str, networks: Sequence[IpNetwork]) -> bool:
    parsed = ipaddress.ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in each for each in networks if each.version == parsed.version)


def _credentials(split: SplitResult) -> tuple[str, ...]:
    if split.username is None:
        return ()
    pair = f"{unquote(split.username)}:{unquote(split.password or '')}"
    return (f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}",)
