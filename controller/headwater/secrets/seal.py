"""Secrets that machines have set, sealed with a key in the state directory."""

import base64
import hashlib
import hmac
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet, InvalidToken

from headwater.errors import Stalled
from headwater.secrets.private import Unsafe, contents
from headwater.topology.secrets import SecretValue

KEY = "seal"
_SIZE = 32


class FernetSeal:
    """Satisfies the Seal port."""

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes."""
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(key, b"seal")))
        self._digest = _derived(key, b"digest")

    @classmethod
    def of(cls, directory: Path) -> "FernetSeal":
        """With the key of this directory, made at the first use. Raises Stalled."""
        file = directory / KEY
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not file.exists():
                _make(file)
            key = contents(file, directory, most=_SIZE + 1)
        except OSError as error:
            raise Stalled(f"cannot write {file}: {error.strerror}; make it writable") from error
        except Unsafe as error:
            raise Stalled(f"the key that seals secrets: {error}") from None
        if len(key) != _SIZE:
            words = f"{file} is not the key that seals secrets: restore it, or remove it"
            raise Stalled(f"{words} (outputs of type secret count as not set then)")
        return cls(key)

    def seal(self, secret: SecretValue) -> str:
        return self._fernet.encrypt(secret.reveal().encode()).decode()

    def open(self, sealed: str) -> SecretValue | None:
        """None for what another key has sealed."""
        try:
            return SecretValue(self._fernet.decrypt(sealed).decode())
        except InvalidToken:
            return None

    def digest(self, secret: SecretValue) -> str:
        """Equal for equal secrets, and of no use to anybody without the key."""
        return hmac.new(self._digest, secret.reveal().encode(), hashlib.sha256).hexdigest()


def _derived(key: bytes, use: bytes) -> bytes:
    return hmac.new(key, use, hashlib.sha256).digest()


def _make(file: Path) -> None:
    """Appears whole, and never replaces one that another process made meanwhile."""
    with NamedTemporaryFile(dir=file.parent, prefix=".key-") as draft:  # made with mode 0600
        draft.write(os.urandom(_SIZE))
        draft.flush()
        os.fsync(draft.fileno())
        try:
            file.hardlink_to(draft.name)
        except FileExistsError:
            return
