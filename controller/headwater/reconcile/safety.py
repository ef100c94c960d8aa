"""What people have said about safety: approvals and suspensions. It survives restarts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from headwater.planning.planner import Plan
from headwater.planning.records import Run
from headwater.planning.situation import Fleet, Situation
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock
from headwater.topology.desired import Desired

APPROVALS, SUSPENSION, REMOVED = "approvals", "suspension", "removed"
KEPT_APPROVALS = 200


@dataclass(frozen=True, slots=True)
class Suspension:
    reason: str
    by: str
    until: datetime | None = None


_SUSPENSION = TypeAdapter(Suspension)


class Safety:
    def __init__(self, ledger: Ledger, clock: Clock, version: str) -> None:
        """`version` is this program's: the first plans of another one are looked at twice."""
        self._ledger = ledger
        self._clock = clock
        self._version = version

    def approve(self, digests: Iterable[str]) -> None:
        """Let these plans through, now or when they come up."""
        known = [*self._approvals(), *digests]
        self._ledger.set_note(APPROVALS, list(dict.fromkeys(known))[-KEPT_APPROVALS:])

    def _approvals(self) -> list[str]:
        note = self._ledger.note(APPROVALS)
        return [str(digest) for digest in note] if isinstance(note, list) else []

    def suspend(self, deployment: str, suspension: Suspension) -> None:
        content = _SUSPENSION.dump_python(suspension, mode="json")
        self._ledger.set_note(f"{SUSPENSION}/{deployment}", content)

    def resume(self, deployment: str) -> bool:
        """False when it was not suspended."""
        was = self.suspension(deployment) is not None
        self._ledger.set_note(f"{SUSPENSION}/{deployment}", None)
        return was

    def suspension(self, deployment: str) -> Suspension | None:
        """The one that holds now; it ends by itself at its time."""
        note = self._ledger.note(f"{SUSPENSION}/{deployment}")
        if note is None:
            return None
        try:
            suspension = _SUSPENSION.validate_python(note, strict=False)
        except ValidationError:
            return None
        ended = suspension.until is not None and suspension.until <= self._clock()
        return None if ended else suspension

    def removed(self, every: Iterable[str]) -> None:
        """All that is removed now; what was not before went with one revision, together."""
        names = sorted(n for n in every if self._ledger.note(f"{REMOVED}/{n}") is None)
        for name in names:
            self._ledger.set_note(f"{REMOVED}/{name}", names)

    def came_back(self, names: Iterable[str]) -> None:
        for name in names:
            self._ledger.set_note(f"{REMOVED}/{name}", None)

    def weigh(self, situation: Situation, fleet: Fleet) -> Situation:
        """The situation with everything that the guard looks at."""
        name = situation.deployment
        note = self._ledger.note(f"{REMOVED}/{name}")
        together = frozenset(map(str, note)) if isinstance(note, list) else frozenset({name})
        return replace(
            situation,
            fleet=replace(fleet, removed=together),
            approvals=frozenset(self._approvals()),
            upgraded=situation.run.version not in {"", self._version},
            suspended=describe(self.suspension(name)),
        )

    def remember(self, run: Run, desired: Desired | None, plan: Plan) -> Run:
        """The run with what must outlive its manifest, and with what was let through."""
        if desired is not None:
            orphan = desired.deletion_policy == "orphan"
            run = replace(run, protect=desired.protect, orphan=orphan)
        if plan.blocked:
            return run
        approved = run.approved | {plan.approved} if plan.approved else run.approved
        return replace(run, approved=approved, version=self._version)


def describe(suspension: Suspension | None) -> str:
    """Reason, name and end in one line; empty for None."""
    if suspension is None:
        return ""
    end = f", until {suspension.until:%Y-%m-%d %H:%M}" if suspension.until else ""
    return f"{suspension.reason} (by {suspension.by}{end})"
