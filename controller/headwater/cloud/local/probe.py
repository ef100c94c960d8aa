"""Which levels this host can give: found out by making a machine, using it, and removing it."""

import asyncio
import subprocess
from collections.abc import Mapping

from headwater.cloud.local.layout import Layout, remove_tree
from headwater.cloud.local.levels.shape import Level, LevelUnavailableError
from headwater.cloud.local.record import Record
from headwater.cloud.local.wire import HostError

BEST_FIRST = ("machine", "sandbox", "process")
_TRIAL_SECONDS = 20
_TRIAL = 'test "$(id -u)" = 0 || test -n "$HEADWATER_ROOT"; echo x >"$HEADWATER_ROOT/etc/x"'


class Prober:
    """Asks the host once per level and remembers the answer."""

    def __init__(self, levels: Mapping[str, Level], layout: Layout) -> None:
        self._levels = levels
        self._layout = layout
        self._reasons: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def reason(self, name: str) -> str:
        """Why the level cannot be had here; empty when it can. Raises OSError (disk full)."""
        async with self._one_at_a_time:
            if name not in self._reasons:
                self._reasons[name] = await asyncio.to_thread(self._try, self._levels[name])
        return self._reasons[name]

    async def reasons(self) -> dict[str, str]:
        return {name: await self.reason(name) for name in BEST_FIRST}

    async def choose(self, wanted: str) -> Level:
        """The level asked for, or the best one for `auto`. Raises HostError naming why not."""
        if wanted != "auto" and wanted not in self._levels:
            names = ", ".join(("auto", *BEST_FIRST))
            raise HostError(400, f"there is no level {wanted!r}: choose one of {names}")
        missing = {}
        for name in BEST_FIRST if wanted == "auto" else (wanted,):
            reason = await self.reason(name)
            if not reason:
                return self._levels[name]
            missing[name] = reason
        reasons = "; ".join(f"level {name}: {reason}" for name, reason in missing.items())
        raise HostError(400, f"not possible on this host: {reasons}")

    def _try(self, level: Level) -> str:
        """A whole life of a machine. Blocks."""
        record = _trial_record(level)
        try:
            return self._live(level, record)
        except LevelUnavailableError as error:
            return str(error)
        finally:
            remove_tree(self._layout.machine(record.id))

    def _live(self, level: Level, record: Record) -> str:
        place = level.reserve(record, ())
        try:
            record = record.at(place.address, place.port)
            level.lay(record)
            record = record.started(level.boot(record))
            level.listener(record, place).close()
            return self._use(level, record)
        finally:
            place.give_up()
            level.cut(record)
            level.clear(record)

    def _use(self, level: Level, record: Record) -> str:
        command = level.command(record, ["/bin/sh", "-ec", _TRIAL])
        try:
            ended = subprocess.run(  # noqa: S603  # our own words
                command.argv,
                env=command.environment,
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"a program could not be started: {error}"
        if ended.returncode:
            return " ".join(ended.stderr.decode(errors="replace").split()) or "programs fail"
        return ""


def _trial_record(level: Level) -> Record:
    return Record(
        id=f"probe-{level.name}",
        name="probe",
        token="",
        level=level.name,
        state="pending",
        created="",
        private_key="",
        host_key="",
        authorized_keys="",
    )
