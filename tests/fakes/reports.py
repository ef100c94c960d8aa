"""Reports in memory, and an object store in memory: they keep every promise of their ports."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.errors import Refused
from headwater.planning.status import ReportView
from headwater.topology.reports import ReportPlace

if TYPE_CHECKING:
    from fakes.store import Disk
    from headwater.errors import HeadwaterError


class MemoryReports:
    """Satisfies the Reports port. It has room for `limit` bytes each, and keeps `runs` runs."""

    def __init__(self, disk: "Disk", limit: int = 300 * 2**20, runs: int = 20) -> None:
        self.disk = disk
        self.limit = limit
        self.runs = runs
        self.spoiled: dict[ReportPlace, str] = {}

    def append(self, place: ReportPlace, offset: int, content: bytes) -> None:
        have = self.disk.reports.get(place, b"")
        if place in self.spoiled or place in self.disk.whole:
            return
        if offset > len(have):
            self.spoiled[place] = f"{offset - len(have)} bytes of it are missing"
        elif offset + len(content) > self.limit:
            self.spoiled[place] = f"it has more than {self.limit // 2**20} MiB"
        else:
            self.disk.reports[place] = have + content[len(have) - offset :]

    def size(self, place: ReportPlace) -> int:
        return self.limit if place in self.spoiled else len(self.disk.reports.get(place, b""))

    def close(self, place: ReportPlace) -> tuple[int, str]:
        if place in self.spoiled:
            self.disk.reports.pop(place, None)
            return 0, self.spoiled[place]
        if place in self.disk.reports:
            self.disk.whole.add(place)
        mine = [p for p in self.disk.whole if p.deployment == place.deployment]
        kept = sorted({p.run for p in mine})[-self.runs :]
        for old in [p for p in mine if p.run not in kept]:
            self.disk.whole.discard(old)
            del self.disk.reports[old]
        return self.size(place), ""

    def views(self, deployment: str) -> tuple[ReportView, ...]:
        mine = [place for place in self.disk.whole if place.deployment == deployment]
        return tuple(
            ReportView(p.run, p.instance, p.file, self.size(p), p.at)
            for p in sorted(mine, key=lambda p: (p.run, p.at, p.instance))
        )

    def count(self, deployment: str, run: int) -> int:
        return sum(view.run == run for view in self.views(deployment))

    def last_run(self, deployment: str) -> int:
        return max((view.run for view in self.views(deployment)), default=0)

    async def read(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        if place not in self.disk.whole:
            raise Refused(f"no report {place.file} is kept")
        yield self.disk.reports[place]

    async def deliver(self) -> None:
        pass


class MemoryObjects:
    """Satisfies the Objects port. `failures` are raised, one per call, first to last."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.failures: list[HeadwaterError] = []

    def _enter(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def put(self, name: str, file: Path) -> None:
        self._enter()
        self.content[name] = file.read_bytes()  # noqa: ASYNC240  # in memory, as far as tests go

    async def get(self, name: str, file: Path) -> None:
        self._enter()
        if name not in self.content:
            raise Refused(f"there is no {name}")
        file.write_bytes(self.content[name])  # noqa: ASYNC240  # the same

    async def remove(self, name: str) -> None:
        self._enter()
        self.content.pop(name, None)
