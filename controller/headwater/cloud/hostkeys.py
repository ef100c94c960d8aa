"""One-time host keys: derived, so that nothing of them is kept and a repeated call says the same.

The private half goes out in user data, which any process on the machine may read. It proves the
machine once, on first contact, and is replaced there.
"""

import base64
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headwater.errors import Stalled

FILE = "one-time"
_SIZE = 32
_KIND = b"ssh-ed25519"
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class HostKey:
    """An SSH host key in OpenSSH form."""

    private: str
    public: str

    def __repr__(self) -> str:
        return f"HostKey({self.public})"


class HostKeys:
    """The keys of one controller: its seed, and the token of a call, make the key of that call."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._public: dict[str, str] = {}

    def of(self, token: str) -> HostKey:
        secret = hmac.digest(self._seed, b"host key of " + token.encode(), hashlib.sha256)
        public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        return HostKey(_private(secret, public), _public(public))

    def public(self, token: str) -> str:
        if token not in self._public:
            self._public[token] = self.of(token).public
        return self._public[token]


def host_keys(directory: Path) -> HostKeys:
    """By the seed in the directory, which is made when missing. Raises Stalled."""
    file = directory / FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make(file)
        seed = file.read_bytes()
    except OSError as error:
        raise Stalled(f"{file} cannot be used: {error}; make it readable, or remove it") from error
    if len(seed) != _SIZE:
        raise Stalled(f"{file} has {len(seed)} bytes instead of {_SIZE}: remove it")
    return HostKeys(seed)


def _make(file: Path) -> None:
    """Appears whole, and never replaces one that another process made meanwhile."""
    with NamedTemporaryFile(dir=file.parent, prefix=".one-time-") as draft:  # of mode 0600
        draft.write(os.urandom(_SIZE))
        draft.flush()
        os.fsync(draft.fileno())
        try:
            file.hardlink_to(draft.name)
        except FileExistsError:
            return


def _public(raw: bytes) -> str:
    return f"{_KIND.decode()} {base64.b64encode(_blob(raw)).decode()}"


def _blob(raw: bytes) -> bytes:
    return _text(_KIND) + _text(raw)


def _private(secret: bytes, public: bytes) -> str:
    """In OpenSSH's own format, the only one of Ed25519 that OpenSSH before 9.6 reads.

    Always the same: the libraries' exporters put chance into it.
    """
    check = hashlib.sha256(b"check" + public).digest()[:4]
    inner = check + check + _blob(public) + _text(secret + public) + _text(b"")
    inner += bytes(range(1, 1 + -len(inner) % _BLOCK))
    whole = b"openssh-key-v1\0" + _text(b"none") + _text(b"none") + _text(b"")
    whole += struct.pack(">I", 1) + _text(_blob(public)) + _text(inner)
    encoded = base64.b64encode(whole).decode()
    lines = [encoded[at : at + 70] for at in range(0, len(encoded), 70)]
    begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    return "\n".join([begin, *lines, end, ""])


def _text(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
