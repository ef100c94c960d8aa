"""The secrets that manifests name: read before each pass, from where the controller has them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from headwater.errors import HeadwaterError
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.ports import Secrets
from headwater.topology.desired import Desired


@dataclass(slots=True)
class Supply:
    secrets: Secrets
    exchange: Exchange
    _versions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the secrets of each deployment were when they were read last."""

    def provide(self, desired: Desired) -> tuple[str, ...]:
        """Hand the secrets to the exchange; one line for each that cannot be had.

        Then nothing is handed over: who waits for one goes on waiting.
        """
        if not desired.secrets:
            return ()
        self._versions[desired.name] = self._version(desired)
        found = {}
        wrong = []
        for name, encrypted in desired.secrets.items():
            try:
                found[name] = self.secrets.read(name, encrypted)
            except HeadwaterError as error:
                wrong.append(str(error))
        if not wrong:
            self.exchange.provide(desired.name, found)
        return tuple(wrong)

    def changed(self, deployments: Iterable[Desired]) -> set[str]:
        """Those whose secrets may be others now, or may be had at last."""
        return {
            desired.name
            for desired in deployments
            if desired.secrets and self._versions.get(desired.name) != self._version(desired)
        }

    def _version(self, desired: Desired) -> tuple[str, ...]:
        return tuple(self.secrets.version(name, file) for name, file in desired.secrets.items())
