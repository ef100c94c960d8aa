"""What the exchange does with secrets: who has them, how they are kept, what hides them."""

import logging
from collections.abc import Mapping

from headwater.errors import Stalled
from headwater.manifests.values import ParameterType, WrongValue, canonical
from headwater.reconcile.ports import Seal
from headwater.topology.secrets import Sealed, SecretValue, Value
from headwater_agent.masking import Masks

logger = logging.getLogger("headwater.secrets")

_NOTHING = Masks(())


class Secrecy:
    """By deployment. Without a seal (in a preview) nothing is kept, and nothing sealed opened."""

    def __init__(self, seal: Seal | None = None) -> None:
        self._seal = seal
        self._provided: dict[str, Mapping[str, SecretValue]] = {}
        self._known: dict[str, set[SecretValue]] = {}
        """All that were ever seen: a recipe may still hold what has been renewed since."""
        self._masks: dict[str, Masks] = {}
        self._lost: set[Sealed] = set()
        """Told once that they cannot be opened."""

    def provide(self, deployment: str, secrets: Mapping[str, SecretValue]) -> bool:
        """The secrets that its manifest names. True where one is new or another than before."""
        if self._provided.get(deployment, {}) == secrets:
            return False
        self._provided[deployment] = secrets
        for secret in secrets.values():
            self.learn(deployment, secret)
        return True

    def provided(self, deployment: str, name: str) -> SecretValue | None:
        return self._provided.get(deployment, {}).get(name)

    def learn(self, deployment: str, secret: SecretValue) -> None:
        """Hide it from now on."""
        known = self._known.setdefault(deployment, set())
        if secret not in known:
            known.add(secret)
            self._masks.pop(deployment, None)

    def forget(self, deployment: str) -> None:
        self._provided.pop(deployment, None)
        self._known.pop(deployment, None)
        self._masks.pop(deployment, None)

    def masks(self, deployment: str) -> Masks:
        """What hides the deployment's secrets; it is false where there are none."""
        if deployment not in self._known:
            return _NOTHING
        if deployment not in self._masks:
            self._masks[deployment] = Masks(secret.reveal() for secret in self._known[deployment])
        return self._masks[deployment]

    def taken(self, deployment: str, type: ParameterType, text: str) -> Value:
        """The value that a machine sets. Raises WrongValue.

        A secret that is set where everybody sees it is refused rather than masked: what reads it
        would go on with a value that is wrong.
        """
        value = canonical(type, text)
        if type is ParameterType.SECRET:
            secret = SecretValue(value)
            self.learn(deployment, secret)
            return secret
        if self.masks(deployment).contains(value):
            raise WrongValue('would show a secret: declare the output with type = "secret"')
        return value

    def kept(self, value: Value) -> str | Sealed:
        """As it may lie in the ledger."""
        if isinstance(value, str):
            return value
        if self._seal is None:
            raise Stalled("there is no key to keep a secret with")
        return Sealed(self._seal.seal(value))

    def opened(self, deployment: str, kept: str | Sealed) -> Value | None:
        """None for what was sealed with a key that is lost: it counts as not set."""
        if isinstance(kept, str) or self._seal is None:
            return kept if isinstance(kept, str) else None
        secret = self._seal.open(kept.sealed)
        if secret is not None:
            self.learn(deployment, secret)
        elif kept not in self._lost:
            self._lost.add(kept)
            logger.warning("secret.unreadable", extra={"deployment": deployment})
        return secret

    def noted(self, values: Mapping[str, Value]) -> dict[str, str]:
        """What is remembered of inputs that were told, to see whether they change."""
        noted = {name: value for name, value in values.items() if isinstance(value, str)}
        if self._seal is not None:
            for name, value in values.items():
                if isinstance(value, SecretValue):
                    noted[name] = self._seal.digest(value)
        return noted
