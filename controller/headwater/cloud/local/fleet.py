"""All machines of one directory."""

import asyncio
import errno
import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncssh

from headwater.cloud.local.layout import Layout, remove_tree
from headwater.cloud.local.levels.machine import MachineLevel
from headwater.cloud.local.levels.process import ProcessLevel
from headwater.cloud.local.levels.sandbox import SandboxLevel
from headwater.cloud.local.levels.shape import Level, LevelUnavailableError
from headwater.cloud.local.probe import Prober
from headwater.cloud.local.record import CorruptRecordError, Record, load
from headwater.cloud.local.resident import Resident
from headwater.cloud.local.volumes import Shelf
from headwater.cloud.local.wire import HostError, failure

_log = logging.getLogger(__name__)

_SHOWN = ("id", "name", "level", "state", "created", "address", "port", "host_key", "metadata")


class Fleet:
    """The verbs of the host process; each raises HostError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        levels = (MachineLevel(layout), SandboxLevel(layout), ProcessLevel(layout))
        self._levels: Mapping[str, Level] = {level.name: level for level in levels}
        self._prober = Prober(self._levels, layout)
        self._residents: dict[str, Resident] = {}
        self._notes: list[str] = []
        self._creations: dict[str, asyncio.Task[Record]] = {}
        self.shelf = Shelf(layout)

    @property
    def empty(self) -> bool:
        return not self._residents

    async def recover(self) -> None:
        """Find again what an earlier host process of the directory has left."""
        found = [each for each in map(self._find, self._layout.ids()) if each is not None]
        await asyncio.gather(*(self._recover(each) for each in found))
        self.shelf.recover(self._residents)

    def close(self) -> None:
        for each in self._residents.values():
            each.close()

    async def probe(self) -> dict[str, str]:
        """Every level, best first, with the reason why it cannot be had; empty: it can."""
        with _TranslatedErrors("the levels cannot be tried"):
            return await self._prober.reasons()

    def listing(self) -> dict[str, Any]:
        """Every machine, and what a person should know about records that are not listed."""
        records = (each.record for each in self._residents.values())
        return {"nodes": [_shown(record) for record in records], "notes": self._notes}

    async def create(self, level: str, orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One answer per order, `{"node": ...}` or `{"error": ...}`; failures leave nothing."""
        with _TranslatedErrors("no machine can be made"):
            chosen = await self._prober.choose(level)
        creations = [self._creation(chosen, order) for order in orders]
        return [await _answer(creation) for creation in creations]

    async def start(self, id: str) -> dict[str, Any]:
        resident = self._resident(id)
        with _TranslatedErrors(f"machine {id} does not start"):
            await resident.start()
        return _shown(resident.record)

    async def stop(self, id: str) -> dict[str, Any]:
        resident = self._resident(id)
        with _TranslatedErrors(f"machine {id} does not stop"):
            await resident.stop()
        return _shown(resident.record)

    async def kill(self, id: str) -> dict[str, Any]:
        resident = self._resident(id)
        with _TranslatedErrors(f"machine {id} does not end"):
            await resident.kill()
        return _shown(resident.record)

    async def remove(self, id: str) -> None:
        resident = self._resident(id)
        with _TranslatedErrors(f"machine {id} cannot be removed"):
            await resident.remove()
            self.shelf.let_go(id)
        self._residents.pop(id, None)

    def make_volume(self, order: Mapping[str, Any]) -> dict[str, Any]:
        with _TranslatedErrors(f"volume {order['name']} cannot be made"):
            return self.shelf.make(order)

    def attach_volume(self, id: str, machine: str) -> dict[str, Any]:
        resident = self._resident(machine)
        device = self._levels[resident.record.level].device(resident.record, id)
        with _TranslatedErrors(f"volume {id} cannot be attached"):
            return self.shelf.attach(id, machine, device)

    def mark_volume(self, id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        with _TranslatedErrors(f"volume {id} cannot be marked"):
            return self.shelf.mark(id, metadata)

    async def delete_volume(self, id: str) -> None:
        with _TranslatedErrors(f"volume {id} cannot be deleted"):
            self.shelf.delete(id)

    async def remove_all(self) -> None:
        await asyncio.gather(*(self.remove(id) for id in list(self._residents)))

    def _resident(self, id: str) -> Resident:
        if id not in self._residents:
            raise HostError(404, f"there is no machine {id} in {self._layout.root}")
        return self._residents[id]

    def _creation(self, level: Level, order: Mapping[str, Any]) -> "asyncio.Task[Record]":
        """The one creation of the order's token, which may have ended long ago."""
        token = order["token"]
        for each in self._residents.values():
            if each.record.token == token and token not in self._creations:
                return asyncio.create_task(_known(each.record))
        if token not in self._creations:
            self._creations[token] = task = asyncio.create_task(self._create(level, order))
            task.add_done_callback(lambda _: self._creations.pop(token))
        return self._creations[token]

    async def _create(self, level: Level, order: Mapping[str, Any]) -> Record:
        record = _new_record(level, order)
        resident = self._admit(record, level)
        try:
            with _TranslatedErrors(f"machine {record.name} cannot be made"):
                await resident.create()
        except BaseException:
            self._residents.pop(record.id)
            self.shelf.let_go(record.id)
            raise
        return resident.record

    def _admit(self, record: Record, level: Level) -> Resident:
        resident = Resident(record, level, self._layout, self._addresses)
        self._residents[record.id] = resident
        return resident

    def _addresses(self) -> set[str]:
        return {each.record.address for each in self._residents.values()}

    def _find(self, id: str) -> Resident | None:
        path = self._layout.record(id)
        aside = path.with_suffix(".corrupt")
        try:
            record = load(path)
            return self._admit(record, self._levels[record.level])
        except FileNotFoundError:
            if not aside.exists():  # its making or its removal was interrupted
                remove_tree(self._layout.machine(id))
                return None
        except (CorruptRecordError, KeyError) as error:
            path.rename(aside)
            _log.warning("record.corrupt", extra={"file": str(aside), "error": str(error)})
        self._notes.append(f"machine {id} is not listed: its record is corrupt, kept as {aside}")
        return None

    async def _recover(self, resident: Resident) -> None:
        record = resident.record
        try:
            if record.state == "running":
                await resident.resume()
            elif record.state != "stopped":
                await resident.remove()
                del self._residents[record.id]
        except (OSError, LevelUnavailableError) as error:
            self._notes.append(f"machine {record.id} could not be served again: {error}")


async def _known(record: Record) -> Record:
    return record


async def _answer(creation: "asyncio.Task[Record]") -> dict[str, Any]:
    try:
        return {"node": _shown(await asyncio.shield(creation))}
    except HostError as error:
        return failure(error)


def _shown(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _SHOWN}


def _new_record(level: Level, order: Mapping[str, Any]) -> Record:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return Record(
        id=f"hw-{secrets.token_hex(4)}",
        name=order["name"],
        token=order["token"],
        level=level.name,
        state="pending",
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        private_key=key.export_private_key().decode(),
        host_key=key.export_public_key().decode().strip(),
        authorized_keys=order["authorized_key"],
        metadata=order["metadata"],
    )


class _TranslatedErrors:
    """Errors of this host, told to a client in the terms of `HostError`."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                text = f"{self._what}: the disk is full ({error}); free some space"
                raise HostError(507, text) from error
            case LevelUnavailableError():
                raise HostError(503, f"{self._what}: {error}") from error
            case OSError() | TimeoutError():
                raise HostError(500, f"{self._what}: {error}") from error
