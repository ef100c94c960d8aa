"""What the embedded cloud knows about a machine, kept in one file per machine."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from headwater.cloud.local.processes import boot_id

State = Literal["pending", "running", "stopped", "error"]


@dataclass(frozen=True, slots=True)
class Holder:
    """The two processes that keep a machine's namespaces; killing the outer one ends all in it."""

    outer: int
    outer_started: int
    """Clock ticks since boot: together with the id, it names a process for good."""
    init: int
    init_started: int


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    name: str
    token: str
    """Orders with the same token mean the same machine."""
    level: str
    state: State
    created: str
    """ISO 8601, UTC."""
    private_key: str
    """The machine's host key, OpenSSH form."""
    host_key: str
    """Its public half: what `known_hosts` holds after the address."""
    authorized_keys: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    port: int = 0
    boot: str = ""
    """The boot of this host in which the machine was started; it does not survive another one."""
    holder: Holder | None = None
    """Levels without namespaces have none."""

    def at(self, address: str, port: int) -> "Record":
        return replace(self, address=address, port=port)

    def started(self, holder: Holder | None) -> "Record":
        return replace(self, state="running", holder=holder, boot=boot_id())

    def stopped(self) -> "Record":
        return replace(self, state="stopped", holder=None)


class CorruptRecordError(Exception):
    """A record file that cannot be understood; the text names the file and says why."""


def save(path: Path, record: Record) -> None:
    """Replace the file at once, or leave the old one. Raises OSError (disk full, read-only)."""
    scratch = path.with_suffix(".new")
    try:
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(asdict(record), indent=1))
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def load(path: Path) -> Record:
    """Raises CorruptRecordError; FileNotFoundError when there is none."""
    try:
        document = json.loads(path.read_text())
        if document["holder"] is not None:
            document["holder"] = Holder(**document["holder"])
        record = Record(**document)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecordError(f"{path}: not a machine's record ({error})") from error
    if record.id != path.parent.name or not all(map(_plausible, fields(record), _values(record))):
        raise CorruptRecordError(f"{path}: not the record of the machine {path.parent.name}")
    return record


def _values(record: Record) -> list[Any]:
    return [getattr(record, each.name) for each in fields(record)]


def _plausible(of: Any, value: Any) -> bool:
    expected: dict[str, Any] = {"metadata": dict, "port": int, "holder": Holder | None}
    return isinstance(value, expected.get(of.name, str))
