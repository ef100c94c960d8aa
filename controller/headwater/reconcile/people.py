"""What people may ask of the running controller; each answer says what follows."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from headwater.errors import Refused
from headwater.planning.health import GIVEN_UP
from headwater.planning.lifecycle import is_over
from headwater.reconcile.agenda import Priority
from headwater.reconcile.safety import Suspension, describe
from headwater.reconcile.steering import Steering

_DIGEST = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class People:
    """Every verb raises Refused, with the reason, where it cannot be."""

    steering: Steering

    def retry(self, name: str) -> str:
        """A new run: what failed is tried again, what has ended comes back, the rest stays."""
        run = self.steering.reconciler.executor.ledger.runs.get(self._known(name))
        over = run is not None and (run.abort or is_over(run))
        if run is None or (not over and run.ended is None):
            raise Refused(f"{name} is still under way; nothing to retry")
        status = self.steering.reconciler.statuses[name]
        stalled = status.condition("Stalled")
        given_up = stalled is not None and stalled.reason == GIVEN_UP
        if not (over or status.failed or given_up):
            return f"{name} has not failed; nothing to retry"
        self.steering.renew(name)
        return f"{name}: trying again"

    def test(self, name: str, *, keep: bool) -> int:
        """The number of the run to wait for: the one under way, or a new one of the same."""
        ledger = self.steering.reconciler.executor.ledger
        run = ledger.runs.get(self._known(name))
        if run is None:
            raise Refused(f"{name} has not been looked at yet; try again in a moment")
        if run.abort or is_over(run) or run.ended is not None:
            self.steering.renew(name, keep=keep)
        elif keep:
            ledger.set_run(name, replace(run, keep=True))
        return ledger.runs[name].number

    def abort(self, name: str, reason: str) -> str:
        """The first reason wins."""
        run = self.steering.reconciler.executor.ledger.runs.get(self._known(name))
        if run is None:
            raise Refused(f"{name} has no run to abort")
        if run.abort:
            return f"{name} is aborted already: {run.abort}"
        if is_over(run):
            raise Refused(f"{name} is over; nothing to abort")
        self.steering.abort(name, reason or "aborted by a person", by_person=True)
        return f"{name}: aborted; a new commit or `headwater retry {name}` goes on"

    def approve(self, digest: str) -> str:
        """Let the plan of this digest through, now or when it comes up."""
        if not _DIGEST.fullmatch(digest):
            raise Refused(f"{digest!r} is no digest of a plan; `headwater plan` shows them")
        reconciler = self.steering.reconciler
        reconciler.safety.approve([digest])
        held = [
            name
            for name, status in reconciler.statuses.items()
            if any(digest in line for line in status.diagnostics)
        ]
        for name in held:
            self.steering.dispatch.add(name, Priority.PERSON)
        waiting = f"{', '.join(held)} goes on" if held else "no plan waits for it at present"
        return f"{digest} is approved; {waiting}"

    def suspend(self, name: str, reason: str, by: str, until: str) -> str:
        """Nothing is created, changed or deleted until it ends (ISO 8601 with a zone)."""
        suspension = _suspension(reason, by, until)
        now = self.steering.reconciler.executor.clock()
        if suspension.until is not None and suspension.until <= now:
            raise Refused(f"{until} has passed: say when the suspension is to end")
        self.steering.reconciler.safety.suspend(self._known(name), suspension)
        self.steering.dispatch.add(name, Priority.PERSON)
        return f"{name} is suspended: {describe(suspension)}"

    def resume(self, name: str) -> str:
        if not self.steering.reconciler.safety.resume(self._known(name)):
            return f"{name} was not suspended"
        self.steering.dispatch.add(name, Priority.PERSON)
        return f"{name} goes on"

    def _known(self, name: str) -> str:
        statuses = self.steering.reconciler.statuses
        if name not in statuses:
            known = ", ".join(sorted(statuses)[:10]) or "none yet"
            raise Refused(f"there is no deployment {name}; known: {known}")
        return name


def _suspension(reason: str, by: str, until: str) -> Suspension:
    if not reason or not by:
        raise Refused("a suspension has a reason and a name")
    try:
        end = datetime.fromisoformat(until) if until else None
    except ValueError:
        end = None
    if until and (end is None or end.tzinfo is None):
        raise Refused(f"{until!r} is no time with a zone, such as 2026-12-01T08:00+01:00")
    return Suspension(reason, by, end)
