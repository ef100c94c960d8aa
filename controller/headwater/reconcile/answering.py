"""What each revision is answered: pending, then exactly one success or failure per context."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from headwater.errors import HeadwaterError, Transient
from headwater.planning.status import CommitState, CommitStatus, DeploymentStatus
from headwater.reconcile.backoff import delay
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Answers, Clock

logger = logging.getLogger("headwater.answers")

AGGREGATE = "headwater"
NOTE = "answers"


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer as the ledger keeps it, for a controller that starts anew."""

    status: CommitStatus
    said: bool


_KEPT = TypeAdapter(_Kept)


class Answering:
    """Contexts: `headwater` for the revision, `headwater/<deployment>` for what it touches."""

    def __init__(
        self,
        answers: Answers,
        ledger: Ledger,
        clock: Clock,
        describe: Callable[[DeploymentStatus], str],
    ) -> None:
        self._answers = answers
        self._ledger = ledger
        self._clock = clock
        self._describe = describe
        self._revision = ""
        self._current: dict[str, CommitStatus] = {}
        """Of the newest revision, by context."""
        self._broken: tuple[str, ...] = ()
        self._outbox: dict[tuple[str, str], CommitStatus] = {}
        """Newest wins, by revision and context."""
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._restore()

    def _restore(self) -> None:
        revision = self._ledger.note(NOTE)
        self._revision = revision if isinstance(revision, str) else ""
        for key, content in self._ledger.notes(f"{NOTE}/"):
            try:
                kept = _KEPT.validate_python(content)
            except ValidationError:
                logger.warning("answer.unreadable", extra={"key": key})
                continue
            if kept.status.revision == self._revision:
                self._current[kept.status.context] = kept.status
            if not kept.said:
                self._post(kept.status)

    def begin(self, revision: str, touched: Iterable[str], diagnostics: Iterable[str]) -> None:
        """A revision is being brought about; what an older one left open is closed."""
        if revision != self._revision:
            self._supersede(revision)
        if AGGREGATE not in self._current:
            self._put(AGGREGATE, CommitState.PENDING, "reconciling")
        for name in sorted(touched):
            if f"{AGGREGATE}/{name}" not in self._current:
                self._put(f"{AGGREGATE}/{name}", CommitState.PENDING, "reconciling")
        self._broken = tuple(diagnostics)

    def _supersede(self, revision: str) -> None:
        for context in list(self._current):
            if self._is_pending(context):
                self._put(context, CommitState.FAILURE, f"superseded by {revision[:10]}")
        for status in self._current.values():
            if (status.revision, status.context) not in self._outbox:
                self._ledger.set_note(_key(status), None)
        self._ledger.set_note(NOTE, revision)
        self._revision, self._current = revision, {}

    def heard(self, name: str, status: DeploymentStatus | None) -> None:
        """A deployment's status after a pass; None when it is gone."""
        context = f"{AGGREGATE}/{name}"
        if not self._is_pending(context):
            return
        if status is None:
            self._put(context, CommitState.SUCCESS, "removed")
        elif status.observed_revision != self._revision:
            return
        elif status.verdict or status.is_ready:  # What ends of itself is answered before it goes.
            failed = status.verdict not in {"", "passed"}
            state = CommitState.FAILURE if failed else CommitState.SUCCESS
            self._put(context, state, self._describe(status))
        elif status.held_up:
            self._wait(context, status.held_up)
        elif status.suspended:
            self._wait(context, f"suspended: {status.suspended}")
        elif status.is_stalled and status.at_rest:
            self._put(context, CommitState.FAILURE, self._describe(status))

    def close(self, statuses: Mapping[str, DeploymentStatus]) -> None:
        """Everything is at rest: the whole revision is answered, once all that it touched is."""
        if not self._is_pending(AGGREGATE):
            return
        mine = [context for context in self._current if context != AGGREGATE]
        for name in [context.removeprefix(f"{AGGREGATE}/") for context in mine]:
            self.heard(name, statuses.get(name))
        if any(self._is_pending(context) for context in mine):
            return
        ready = sum(status.is_ready for status in statuses.values())
        counts = f"{ready}/{len(statuses)} deployments ready"
        failed = [name for name, status in sorted(statuses.items()) if status.is_stalled]
        if failed or self._broken:
            first = self._describe(statuses[failed[0]]) if failed else self._broken[0]
            where = f"{failed[0]}: " if failed else ""
            self._put(AGGREGATE, CommitState.FAILURE, f"{counts}; {where}{first}")
        else:
            self._put(AGGREGATE, CommitState.SUCCESS, counts)

    def _is_pending(self, context: str) -> bool:
        status = self._current.get(context)
        return status is not None and status.state is CommitState.PENDING

    def _wait(self, context: str, why: str) -> None:
        """Still pending, and a person has to say yes."""
        if self._current[context].description != why[:140]:
            self._put(context, CommitState.PENDING, why)
            if self._is_pending(AGGREGATE):
                name = context.rpartition("/")[2]
                self._put(AGGREGATE, CommitState.PENDING, f"{name}: {why}")

    def _put(self, context: str, state: CommitState, description: str) -> None:
        if self._revision == "":
            return
        status = CommitStatus(self._revision, context, state, description[:140], self._clock())
        self._keep(status, said=False)
        self._current[context] = status
        self._post(status)

    def _keep(self, status: CommitStatus, *, said: bool) -> None:
        if said and status.revision != self._revision:
            self._ledger.set_note(_key(status), None)
        else:
            kept = _KEPT.dump_python(_Kept(status, said), mode="json")
            self._ledger.set_note(_key(status), kept)

    def _post(self, status: CommitStatus) -> None:
        self._outbox[status.revision, status.context] = status
        self._empty.clear()
        self._filled.set()

    async def deliver(self) -> None:
        """Write what is to be said, newest wins; runs until cancelled."""
        attempt, rng = 0, random.Random()  # noqa: S311  # jitter, no secret
        while True:
            await self._filled.wait()
            for place in list(self._outbox):
                status = self._outbox[place]
                try:
                    await self._say(status)
                    self._tick_off(place, status)
                except Transient as error:
                    attempt += 1
                    logger.warning("answer.delayed", extra={"reason": str(error)})
                    await asyncio.sleep(delay(attempt, rng, cap=60.0))
                    break
                attempt = 0
            if not self._outbox:
                self._filled.clear()
                self._empty.set()

    async def _say(self, status: CommitStatus) -> None:
        """Raises Transient; what will never be taken is told in the log, once."""
        try:
            await self._answers.answer(status)
        except Transient:
            raise
        except HeadwaterError as error:
            logger.error("answer.refused", extra={"reason": str(error)})  # noqa: TRY400

    def _tick_off(self, place: tuple[str, str], status: CommitStatus) -> None:
        """It has been said; a newer one may have come meanwhile."""
        if self._outbox[place] is status:
            self._keep(status, said=True)
            del self._outbox[place]

    async def flush(self) -> None:
        """Wait until everything has been said."""
        await self._empty.wait()


def _key(status: CommitStatus) -> str:
    return f"{NOTE}/{status.revision}/{status.context}"
