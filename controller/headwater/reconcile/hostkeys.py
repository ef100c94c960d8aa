"""Which host keys are believed of a machine whose first one came with its creation data."""

from dataclasses import dataclass

from headwater.reconcile.ledger import HOST_KEY, Ledger
from headwater.topology.keys import MachineId
from headwater.topology.machines import Machine


@dataclass(frozen=True, slots=True)
class Believed:
    host_key: str
    """Empty before the first contact."""
    one_time: str = ""
    """Believed too, until the machine has answered with the other one."""


def believed(ledger: Ledger, machine: Machine) -> Believed:
    told = machine.host_key or ""
    if not machine.one_time:
        return Believed(told)
    note = ledger.note(f"{HOST_KEY}/{machine.id}")
    if not isinstance(note, dict):
        return Believed("", told)
    return Believed(str(note.get("key", "")), "" if note.get("proven") is True else told)


def keep(ledger: Ledger, machine: MachineId, key: str, *, proven: bool) -> None:
    """Durable when it returns: the machine uses the key after that. Raises Transient."""
    record = ledger.records.get(machine)
    if record is not None:
        told = {"key": key, "proven": proven, "deployment": record.key.deployment}
        ledger.set_note(f"{HOST_KEY}/{machine}", told)


def forget(ledger: Ledger, machine: MachineId) -> None:
    """It was ended. One that is only missing may come back, and is known by its key then."""
    ledger.set_note(f"{HOST_KEY}/{machine}", None)
