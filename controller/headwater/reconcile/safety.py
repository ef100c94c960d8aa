"""What people have said about safety: approvals and suspensions. It survives restarts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from headwater.planning.actions import Create
from headwater.planning.guard import VANISHED
from headwater.planning.planner import Plan
from headwater.planning.records import Run
from headwater.planning.situation import Fleet, Situation
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock
from headwater.topology.desired import Desired

APPROVALS, SUSPENSION, REMOVED, SHRINKS = "approvals", "suspension", "removed", "shrinks"
KEPT_APPROVALS = 200


@dataclass(frozen=True, slots=True)
class Suspension:
    reason: str
    by: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Deployments that went with one revision."""

    revision: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Loss:
    """Instances that one revision takes away from deployments that it keeps."""

    revision: str
    instances: int


_SUSPENSION = TypeAdapter(Suspension)
_GROUP = TypeAdapter(_Group)
_LOSS = TypeAdapter(_Loss)


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

    def spend(self, plan: Plan) -> None:
        """An approval is for once: the same decisions another time are asked for again.

        Called when the run knows what was approved, which is what its next steps go by.
        """
        if not plan.approval:
            return
        left = [digest for digest in self._approvals() if digest != plan.approval]
        self._ledger.set_note(APPROVALS, left)
        if VANISHED in plan.approved:
            made = [action for action in plan.actions if isinstance(action, Create)]
            gone = [(action.key, action.incarnation - 1) for action in made if not action.replaces]
            self._ledger.end(plan.deployment, gone)

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
            suspension = _SUSPENSION.validate_python(note)
        except ValidationError:
            return Suspension("what was said of it cannot be read any more", "headwater")
        ended = suspension.until is not None and suspension.until <= self._clock()
        return None if ended else suspension

    def ends_in(self, deployment: str) -> float | None:
        """Seconds until the suspension ends by itself; None where it does not."""
        suspension = self.suspension(deployment)
        if suspension is None or suspension.until is None:
            return None
        return max(0.1, (suspension.until - self._clock()).total_seconds())

    def removed(self, every: Iterable[str], revision: str) -> None:
        """All that is removed now. What goes with one revision is one group until it is gone."""
        groups = {name: self._group(name) for name in every}
        new = {name for name, group in groups.items() if group is None}
        if not new:
            return
        joined = {name: g for name, g in groups.items() if g and g.revision == revision}
        names = new.union(*(group.names for group in joined.values()))
        content = {"revision": revision, "names": sorted(names)}
        for name in new | joined.keys():
            self._ledger.set_note(f"{REMOVED}/{name}", content)

    def _group(self, name: str) -> _Group | None:
        try:
            return _GROUP.validate_python(self._ledger.note(f"{REMOVED}/{name}"))
        except ValidationError:
            return None

    def came_back(self, names: Iterable[str]) -> None:
        for name in names:
            self._ledger.set_note(f"{REMOVED}/{name}", None)

    def shrinks(self, revision: str, instances: int) -> None:
        """What a revision takes away counts as a whole, also when some of it has gone."""
        before = self._loss()
        if before.revision == revision:
            instances = max(instances, before.instances)
        lost = {"revision": revision, "instances": instances} if instances else None
        self._ledger.set_note(SHRINKS, lost)

    def _loss(self) -> _Loss:
        try:
            return _LOSS.validate_python(self._ledger.note(SHRINKS))
        except ValidationError:
            return _Loss("", 0)

    def weigh(self, situation: Situation, fleet: Fleet) -> Situation:
        """The situation with everything that the guard looks at."""
        name = situation.deployment
        group = self._group(name)
        together = group.names if group else fleet.removed or frozenset({name})
        return replace(
            situation,
            fleet=replace(fleet, removed=together, lost=self._loss().instances),
            approvals=frozenset(self._approvals()),
            upgraded=situation.run.version not in {"", self._version},
            suspended=describe(self.suspension(name)),
        )

    def remember(self, run: Run, desired: Desired | None, plan: Plan) -> Run:
        """The run with what must outlive its manifest, and with what was let through.

        An upgrade is over with the first plan that leaves nothing for later.
        """
        if desired is not None:
            orphan = desired.deletion_policy == "orphan"
            run = replace(
                run, protect=desired.protect, orphan=orphan, depends_on=desired.depends_on
            )
        whole = not (plan.blocked or plan.held or run.abort)
        version = self._version if whole or not run.version else run.version
        used = {plan.approval} if plan.approval else set()
        return replace(
            run,
            approved=run.approved | plan.approved,
            approvals=run.approvals | used,
            version=version,
        )


def describe(suspension: Suspension | None) -> str:
    """Reason, name and end in one line; empty for None."""
    if suspension is None:
        return ""
    end = f", until {suspension.until:%Y-%m-%d %H:%M}" if suspension.until else ""
    return f"{suspension.reason} (by {suspension.by}{end})"
