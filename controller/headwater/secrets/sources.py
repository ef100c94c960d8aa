"""Secrets by name: the controller's own directory, then age-encrypted files of the repository."""

from dataclasses import dataclass, field
from pathlib import Path

from headwater.errors import Stalled
from headwater.manifests.resolved import Encrypted
from headwater.manifests.secrets import SUFFIX
from headwater.manifests.values import LONGEST_VALUE, ParameterType, WrongValue, canonical
from headwater.secrets.age import Age
from headwater.secrets.private import Unsafe, contents, stamp
from headwater.topology.secrets import SecretValue


@dataclass(slots=True)
class Sources:
    """Satisfies the Secrets port. Each version of a secret is read, and decrypted, once.

    A value is UTF-8 text of at most 64 KiB; one line end at the end of a file belongs to the file,
    not to the secret.
    """

    directory: Path
    """`<directory>/<name>`; nobody but its owner, or a group, may read what is in it."""
    age: Age
    _read: dict[str, tuple[str, SecretValue]] = field(default_factory=dict)
    """By name, with the version."""

    def read(self, name: str, encrypted: Encrypted | None) -> SecretValue:
        """Raises Stalled where it cannot be had: says which file, and what to do next."""
        version = self.version(name, encrypted)
        known = self._read.get(name)
        if known is None or known[0] != version:
            known = (version, self._fresh(name, encrypted))
            self._read[name] = known
        return known[1]

    def version(self, name: str, encrypted: Encrypted | None) -> str:
        own = stamp(self.directory / name)
        if own or encrypted is None:
            return own
        return f"{encrypted.path} {encrypted.oid} {self.age.version}"

    def check(self, name: str, encrypted: Encrypted | None) -> str:
        """Why it can certainly not be had; empty where only reading it would tell more."""
        path = self.directory / name
        try:
            if stamp(path):
                contents(path, self.directory, most=0)
            elif encrypted is None:
                raise self._missing(name)
            else:
                self.age.identities()
        except Unsafe as error:
            return f"secret '{name}': {error}"
        except Stalled as error:
            return str(error)
        return ""

    def _fresh(self, name: str, encrypted: Encrypted | None) -> SecretValue:
        path = self.directory / name
        if not stamp(path):
            if encrypted is None:
                raise self._missing(name)
            where = f"{encrypted.path} in the repository"
            return _text(name, where, self.age.decrypt(name, encrypted))
        try:
            return _text(name, str(path), contents(path, self.directory, most=LONGEST_VALUE + 2))
        except Unsafe as error:
            raise Stalled(f"secret '{name}': {error}") from None

    def _missing(self, name: str) -> Stalled:
        return Stalled(
            f"secret '{name}' is neither in {self.directory} nor in the repository: write it to"
            f" {self.directory / name} (mode 600), or commit {name}{SUFFIX} beside the manifest"
        )


def _text(name: str, where: str, content: bytes) -> SecretValue:
    """None of the errors quotes the content."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        words = f"secret '{name}': {where} is binary: encode it, with base64 for example"
        raise Stalled(words) from None
    try:
        value = text.removesuffix("\n").removesuffix("\r")
        return SecretValue(canonical(ParameterType.SECRET, value))
    except WrongValue as wrong:
        raise Stalled(f"secret '{name}': {where} {wrong}") from None
