"""A store that forgets with its process; otherwise it keeps every promise of the port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from headwater.errors import Stalled
from headwater.topology.keys import InstanceKey, MachineId

if TYPE_CHECKING:
    from headwater.topology.reports import ReportPlace


class Disk:
    """What several stores share, as if they named the same directory."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.outputs: dict[tuple[InstanceKey, MachineId, str], tuple[int, bytes]] = {}
        self.reports: dict[ReportPlace, bytes] = {}
        self.whole: set[ReportPlace] = set()
        self.holder: int | None = None


class MemoryStore:
    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()

    def load(self) -> dict[str, str]:
        return dict(self.disk.documents)

    def save(self, key: str, document: str | None) -> None:
        if document is None:
            self.disk.documents.pop(key, None)
        else:
            self.disk.documents[key] = document

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
        end, kept = self.disk.outputs.get((key, machine, context), (0, b""))
        news = content[max(0, end - offset) :]
        if (new := offset + (len(content) if length is None else length)) > end:
            self.disk.outputs[key, machine, context] = (new, kept + news)

    def output_size(self, key: InstanceKey, machine: MachineId, context: str) -> int:
        return self.disk.outputs.get((key, machine, context), (0, b""))[0]

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        if self.disk.holder is not None:
            raise Stalled(f"a controller (process {self.disk.holder}) already holds this store")
        self.disk.holder = id(self)
        try:
            yield
        finally:
            self.disk.holder = None
