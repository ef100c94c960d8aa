"""Documents in SQLite, and the outputs beside them: the store of one controller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headwater.store.database import Database
from headwater.store.lock import Holder, announce, held
from headwater.store.outputs import Outputs
from headwater.topology.keys import InstanceKey, MachineId

_JOURNAL, _IDENTITIES = "headwater.db", "identities.db"
_APART = "host-key/"
"""Keys of what no look at the clouds brings back: a journal that is lost does not take it along."""


class SqliteStore:
    """Used from one thread. Opened by the first use; nothing happens before."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outputs = Outputs(directory / "logs")
        self._journal = Database(directory / _JOURNAL)
        self._identities = Database(directory / _IDENTITIES)
        self._holder: Holder | None = None

    def load(self) -> dict[str, str]:
        """Every key and its document (JSON text)."""
        apart = self._identities.load() if self._identities.path.exists() else {}
        return self._journal.load() | apart

    def save(self, key: str, document: str | None) -> None:
        """None removes. It survives this process when it returns; a power cut may undo the newest.

        Raises Transient while the disk is full, Stalled where the directory cannot be written to.
        """
        database = self._identities if key.startswith(_APART) else self._journal
        database.save(key, document)

    def append_output(
        self,
        key: InstanceKey,
        machine: MachineId,
        context: str,
        offset: int,
        content: bytes,
        *,
        length: int | None = None,
    ) -> None:
        """Keep `content`, which stands for `length` bytes from `offset` of the context's output."""
        self.outputs.append(key, machine, context, offset, content, length=length)

    def output_size(self, key: InstanceKey, machine: MachineId, context: str) -> int:
        """The offset of the first byte that is not kept yet."""
        return self.outputs.size(key, machine, context)

    def announce(self, socket: Path, listen: str) -> None:
        """Tell clients where the controller that holds the directory answers."""
        if self._holder is None:
            raise RuntimeError("announce() is for the holder of the state directory")
        self._holder = replace(self._holder, socket=str(socket.absolute()), listen=listen)
        announce(self.directory, self._holder)

    def close(self) -> None:
        self._journal.close()
        self._identities.close()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Held by one live controller at a time; raises Stalled naming the other's process."""
        with held(self.directory, datetime.now(UTC)) as holder:
            self._holder = holder
            try:
                yield
            finally:
                self._holder = None
                self.close()
