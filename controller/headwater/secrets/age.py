"""age-encrypted files (the extra `age`): decrypted in memory, with the controller's identity."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headwater.errors import Stalled
from headwater.manifests.resolved import Encrypted
from headwater.secrets.private import Unsafe, contents, stamp

_LARGEST = 64 * 1024


@dataclass(slots=True)
class Age:
    identity: Path | None
    """`age-keygen`'s file, or a private key of OpenSSH without a passphrase."""
    _known: tuple[str, list[Any]] = field(default=("", []))

    @property
    def version(self) -> str:
        return stamp(self.identity) if self.identity else ""

    def decrypt(self, name: str, encrypted: Encrypted) -> bytes:
        """Raises Stalled, naming the file and what to do next."""
        identities = self.identities()
        import pyrage  # noqa: PLC0415  # there by now

        try:
            content: bytes = pyrage.decrypt(base64.b64decode(encrypted.content), identities)
        except pyrage.DecryptError as error:
            raise Stalled(
                f"secret '{name}': {encrypted.path} cannot be decrypted with {self.identity}:"
                f" {error}; encrypt it for this controller's recipient (age -r ...)"
            ) from None
        return content

    def identities(self) -> list[Any]:
        """Raises Stalled without the extra, without an identity, or with one of no use."""
        try:
            import pyrage  # noqa: F401, PLC0415  # an extra
        except ImportError:
            words = "secrets in the repository need the extra age: pip install 'headwater[age]'"
            raise Stalled(words) from None
        if self.identity is None:
            raise Stalled(
                "secrets in the repository need an identity: name its file by the setting"
                " ageIdentity or HEADWATER_AGE_IDENTITY (age-keygen -o FILE makes one)"
            )
        version = self.version
        if not version or self._known[0] != version:
            self._known = (version, _identities(self.identity))
        return self._known[1]


def _identities(file: Path) -> list[Any]:
    """None of the errors quotes the file."""
    from pyrage import IdentityError, ssh, x25519  # noqa: PLC0415  # an extra

    try:
        content = contents(file, most=_LARGEST)
        if b"-----BEGIN" in content:
            return [ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        identities = [x25519.Identity.from_str(key) for key in keys]
    except Unsafe as error:
        raise Stalled(f"age identity: {error}") from None
    except (IdentityError, UnicodeDecodeError):
        identities = []
    if not identities:
        raise Stalled(
            f"age identity: {file} holds no key that can be used: make one with age-keygen, or"
            " name a private key of OpenSSH without a passphrase"
        )
    return identities
