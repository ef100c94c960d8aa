"""Which volumes are known to be ours, and which creations have had no answer.

A note of the ledger for each deployment. It outlives the deployment as long as one of its volumes
does: a retained volume is counted until it comes back or is deleted.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from headwater.reconcile.ledger import Ledger
from headwater.topology.keys import InstanceKey
from headwater.topology.volumes import VolumeId, VolumeKey

NOTE = "volumes"


@dataclass(frozen=True)
class Claim:
    cloud: str
    id: str = ""
    """At its cloud; empty before the first creation has been answered."""
    since: datetime | None = None
    """When a creation was begun that has had no answer."""
    number: int = 1
    """Counts the volumes of this key: a deleted one must not answer for the next."""

    @property
    def is_open(self) -> bool:
        """Its volume exists, or may."""
        return bool(self.id) or self.since is not None


_CLAIMS = TypeAdapter(dict[str, Claim])


def claims(ledger: Ledger, deployment: str) -> Mapping[VolumeKey, Claim]:
    return _read(deployment, ledger.note(f"{NOTE}/{deployment}"))


def every_claim(ledger: Ledger) -> Iterator[tuple[VolumeKey, Claim]]:
    for note, content in ledger.notes(f"{NOTE}/"):
        yield from _read(note.removeprefix(f"{NOTE}/"), content).items()


def known(ledger: Ledger) -> Iterator[tuple[VolumeId, VolumeKey]]:
    """Those that exist."""
    for key, claim in every_claim(ledger):
        if claim.id:
            yield VolumeId(claim.cloud, claim.id), key


def claim(ledger: Ledger, key: VolumeKey, content: Claim | None) -> None:
    """Durable when it returns. None: it is forgotten."""
    deployment = key.instance.deployment
    kept = dict(claims(ledger, deployment))
    if content is None:
        kept.pop(key, None)
    else:
        kept[key] = content
    named = {each.label: value for each, value in sorted(kept.items())}
    written = _CLAIMS.dump_python(named, mode="json")
    ledger.set_note(f"{NOTE}/{deployment}", written or None)


def forget_closed(ledger: Ledger, deployment: str) -> None:
    """The deployment is gone: only what exists is still known."""
    for key, content in claims(ledger, deployment).items():
        if not content.id:
            claim(ledger, key, None)


def _read(deployment: str, note: object) -> dict[VolumeKey, Claim]:
    try:
        found = {} if note is None else _CLAIMS.validate_python(note, strict=False)
        return {_key(deployment, label): content for label, content in found.items()}
    except (ValidationError, ValueError):
        return {}


def _key(deployment: str, label: str) -> VolumeKey:
    """Raises ValueError."""
    instance, _, name = label.partition("/")
    node, _, index = instance.rpartition(".")
    return VolumeKey(InstanceKey(deployment, node, int(index)), name)
