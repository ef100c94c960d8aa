"""When instances were replaced for their health: what makes the next replacement wait."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from headwater.planning.actions import Action
from headwater.planning.health import MOST, replaced
from headwater.planning.situation import Situation
from headwater.reconcile.ledger import Ledger
from headwater.topology.keys import InstanceKey

NOTE = "replaced"
_TIMES = TypeAdapter(dict[str, tuple[datetime, ...]])


def replacements(ledger: Ledger, deployment: str) -> Mapping[InstanceKey, tuple[datetime, ...]]:
    """The last ones of each instance, oldest first."""
    times: dict[InstanceKey, tuple[datetime, ...]] = {}
    for name, told in _kept(ledger, deployment).items():
        node, _, index = name.rpartition(".")
        times[InstanceKey(deployment, node, int(index))] = told
    return times


def note_replacements(ledger: Ledger, situation: Situation, actions: Iterable[Action]) -> None:
    """Durable before a cloud is asked: a crash does not make them more frequent."""
    keys = replaced(actions, situation)
    if not keys:
        return
    known = _kept(ledger, situation.deployment)
    for key in keys:
        known[key.instance] = (*known.get(key.instance, ()), situation.now)[-MOST:]
    note = f"{NOTE}/{situation.deployment}"
    ledger.set_note(note, _TIMES.dump_python(known, mode="json"))


def forget_replacements(ledger: Ledger, deployment: str) -> None:
    ledger.set_note(f"{NOTE}/{deployment}", None)


def _kept(ledger: Ledger, deployment: str) -> dict[str, tuple[datetime, ...]]:
    note = ledger.note(f"{NOTE}/{deployment}")
    try:
        return {} if note is None else _TIMES.validate_python(note, strict=False)
    except ValidationError:
        return {}
