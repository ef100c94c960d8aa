"""Secrets in memory; the key that seals them is the real one's."""

from headwater.errors import Stalled
from headwater.manifests.resolved import Encrypted
from headwater.secrets.seal import FernetSeal
from headwater.topology.secrets import SecretValue

SEAL = FernetSeal(bytes(range(32)))


class FakeSecrets:
    """What `own` has comes first; `encrypted` is by path."""

    def __init__(self, **own: str) -> None:
        self.own: dict[str, str] = own
        self.encrypted: dict[str, str] = {}
        self.reads = 0

    def read(self, name: str, encrypted: Encrypted | None) -> SecretValue:
        self.reads += 1
        text = self.own.get(name)
        if text is None and encrypted is not None:
            text = self.encrypted.get(encrypted.path)
        if text is None:
            raise Stalled(f"secret '{name}' is nowhere: write it")
        return SecretValue(text)

    def version(self, name: str, encrypted: Encrypted | None) -> str:
        if name in self.own or encrypted is None:
            return str(hash(self.own.get(name)))
        return f"{encrypted.path} {encrypted.oid} {encrypted.path in self.encrypted}"
