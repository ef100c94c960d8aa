"""One machine as the host process keeps it."""

import asyncio
import signal
from collections.abc import Callable, Collection

from headwater.cloud.local import processes
from headwater.cloud.local.layout import Layout, remove_tree
from headwater.cloud.local.levels.shape import Level, Place
from headwater.cloud.local.record import Record, save
from headwater.cloud.local.sshd import Door, authorized_keys

_STOP_SECONDS = 3.0
"""For programs to end by themselves when the machine is shut down."""
_LOOK_SECONDS = 0.02


class Resident:
    """One verb at a time; what its record says is on disk before a verb ends."""

    def __init__(
        self, record: Record, level: Level, layout: Layout, taken: Callable[[], Collection[str]]
    ) -> None:
        self.record = record
        self._level = level
        self._layout = layout
        self._taken = taken
        self._door: Door | None = None
        self._verb = asyncio.Lock()
        self._removed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self) -> None:
        """From nothing to answering. Raises OSError or LevelUnavailableError; nothing is left."""
        async with self._verb:
            try:
                await asyncio.to_thread(self._lay)
                await self._power_on()
            except BaseException:
                await self._vanish()
                raise

    async def start(self) -> None:
        """Boot the file system as it is; no effect on a running machine."""
        async with self._verb:
            if self.record.state != "running" and not self._removed:
                await self._power_on()

    async def resume(self) -> None:
        """Serve again a machine that outlived its host process, or note that it did not."""
        async with self._verb:
            now = processes.boot_id()
            if self.record.boot == now and await asyncio.to_thread(self._level.alive, self.record):
                place = self._level.reserve(self.record, self._taken())
                await self._serve(self.record.at(place.address, place.port), place)
            else:
                await self._power_off()

    async def stop(self) -> None:
        """SIGTERM to all that runs, 3 s to follow it, then the power is cut."""
        async with self._verb:
            if self._runs:
                await self._terminate()
                await self._power_off()

    async def kill(self) -> None:
        """The power is cut: nobody is asked, the file system stays as it is."""
        async with self._verb:
            if self._runs:
                await self._power_off()

    async def remove(self) -> None:
        """End it and all that belonged to it."""
        async with self._verb:
            self.close()
            await self._vanish()

    def close(self) -> None:
        """Answer no more. What runs in the machine goes on."""
        if self._door is not None:
            self._door.close()
            self._door = None

    @property
    def _runs(self) -> bool:
        return self.record.state == "running" and not self._removed

    def _lay(self) -> None:
        self._layout.machine(self.record.id).mkdir(parents=True)
        self._save(self.record)
        self._level.lay(self.record)
        keys = self._layout.home(self.record.id) / ".ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700)
        keys.touch(mode=0o600)
        keys.write_text(f"{self.record.authorized_keys}\n")

    async def _power_on(self) -> None:
        place = self._level.reserve(self.record, self._taken())
        record = self.record.at(place.address, place.port)
        self.record = record  # the address is taken from here on
        try:
            record = record.started(await asyncio.to_thread(self._level.boot, record))
        except BaseException:
            place.give_up()
            raise
        self.record = record
        try:
            await self._serve(record, place)
        except BaseException:
            place.give_up()
            await self._power_off()
            raise

    async def _serve(self, record: Record, place: Place) -> None:
        listener = await asyncio.to_thread(self._level.listener, record, place)
        self._save(record)
        door = Door(lambda argv: self._level.command(self.record, argv), self._keys)
        await door.open(listener, record.private_key)
        self._door = door
        if (holder := record.holder) is not None:
            processes.when_gone(holder.outer, lambda: self._notice(record))

    def _notice(self, record: Record) -> None:
        """Its holder ended without our doing: somebody killed it, or its first process did."""
        if self.record.holder == record.holder and self._runs:
            task = asyncio.get_running_loop().create_task(self.kill())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _terminate(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_SECONDS
        for pid in await asyncio.to_thread(self._level.pids, self.record):
            processes.send(pid, signal.SIGTERM)
        while loop.time() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            if not await asyncio.to_thread(self._level.pids, self.record):
                return

    async def _power_off(self) -> None:
        self.close()
        await asyncio.to_thread(self._level.cut, self.record)
        self._save(self.record.stopped())

    async def _vanish(self) -> None:
        self._removed = True
        await asyncio.to_thread(self._level.cut, self.record)
        await asyncio.to_thread(self._level.clear, self.record)
        await asyncio.to_thread(remove_tree, self._layout.machine(self.record.id))

    def _save(self, record: Record) -> None:
        save(self._layout.record(record.id), record)
        self.record = record

    def _keys(self) -> set[bytes]:
        file = self._layout.home(self.record.id) / ".ssh/authorized_keys"
        return authorized_keys(self.record.authorized_keys, file)
