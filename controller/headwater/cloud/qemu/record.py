"""What is known of a machine, in one file in its folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECORD = "machine.json"


class CorruptRecordError(Exception):
    """A record that cannot be understood; the text names the file."""


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    name: str
    token: str
    """Orders with the same token mean the same machine."""
    number: int
    """Its place in the network that the machines share."""
    port: int
    """Of this host, on 127.0.0.1: it leads to the machine's SSH server."""
    cpus: int
    memory: int
    """MiB."""
    disk: int
    """GiB; 0 is the image's own."""
    image: str
    created: str
    """ISO 8601, UTC."""
    state: str = "pending"
    """`pending` while it is made, then `running` or `stopped`: what was asked for."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def save(folder: Path, record: Record) -> None:
    """Replace the file at once, or leave the old one. Raises OSError."""
    scratch = folder / f"{RECORD}.new"
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(asdict(record), indent=1))
    scratch.replace(folder / RECORD)


def load(folder: Path) -> Record:
    """Raises CorruptRecordError; FileNotFoundError where there is no machine."""
    file = folder / RECORD
    try:
        record = Record(**json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise CorruptRecordError(f"{file}: not a machine's record ({error})") from error
    numbers = (record.number, record.port, record.cpus, record.memory, record.disk)
    whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    if record.id != folder.name or not whole or not isinstance(record.metadata, dict):
        raise CorruptRecordError(f"{file}: not the record of the machine {folder.name}")
    return record
