"""Where a repository is, and how it is spoken to."""

import os
import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from headwater.errors import Stalled

_SCP = re.compile(r"(?:[^/@:]+@)?(?P<host>[^/@:]+):(?!//)")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Way(Enum):
    LOCAL = "local"
    HTTP = "http"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class Address:
    way: Way
    url: str
    """As Git takes it; may hold a password: print `shown`."""
    directory: Path | None = None
    """Where the repository lies; for local ones only."""

    @property
    def shown(self) -> str:
        return without_password(self.url)


@dataclass(frozen=True, slots=True)
class SshLogin:
    """How to log in over ssh. Without them: the user's own keys, agent and known_hosts."""

    key: Path | None = None
    known_hosts: Path | None = None


def without_password(url: str) -> str:
    """The URL as people may see it: no user information over http, no password elsewhere."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url
    kept = f"{user.partition(':')[0]}@{host}" if parts.scheme == "ssh" else host
    return urlunsplit(parts._replace(netloc=kept))


def parse_address(url: str | Path) -> Address:
    """Tell a local path, file://, https://, ssh:// and `user@host:path` apart.

    Raises Stalled for anything else, and for what a program could read as an option.
    """
    url = str(url)
    if not url or url.startswith("-") or any(ord(c) < ord(" ") for c in url):
        raise Stalled(f"{url!r} is no repository: give a path or a file, https or ssh URL")
    scheme, separator, _ = url.partition("://")
    if not separator:
        scp = None if _DRIVE.match(url) else _SCP.match(url)
        return _ssh(url, scp["host"]) if scp else _local(Path(url))
    match scheme.lower():
        case "file":
            return _local(Path(unquote(urlsplit(url).path)))
        case "https":
            return Address(Way.HTTP, url)
        case "http" if _is_loopback(urlsplit(url).hostname or ""):
            return Address(Way.HTTP, url)
        case "http" | "git":
            raise Stalled(
                f"{without_password(url)}: {scheme}:// can be changed on its way, and manifests are"
                " programs: use https or ssh"
            )
        case "ssh" | "git+ssh" | "ssh+git":
            return _ssh(url, urlsplit(url).hostname or "")
    raise Stalled(f"{without_password(url)}: {scheme}:// is not spoken: use file, https or ssh")


def _local(path: Path) -> Address:
    directory = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  # pathlib's raises
    return Address(Way.LOCAL, str(directory), directory)


def _ssh(url: str, host: str) -> Address:
    user = url.split("://", 1)[-1].split("@", 1)[0]
    if not host or host.startswith("-") or user.startswith("-"):
        raise Stalled(f"{without_password(url)}: no host name in this ssh address")
    return Address(Way.SSH, url)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
