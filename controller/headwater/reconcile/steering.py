"""What people and recipes may do to a run: abort it, take that back, try again."""

from dataclasses import dataclass, replace

from headwater.planning.lifecycle import is_over
from headwater.reconcile.agenda import Priority
from headwater.reconcile.dispatch import Dispatch
from headwater.reconcile.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class Steering:
    reconciler: Reconciler
    dispatch: Dispatch

    def abort(self, name: str, reason: str, *, by_person: bool = False) -> None:
        """Stop the run and all that it runs; the first reason wins and holds."""
        run = self.reconciler.executor.ledger.runs.get(name)
        if run is None or run.abort or is_over(run):
            return
        survey = self.reconciler.survey
        situation = survey.situation(name, survey.desired(name), run)
        self.reconciler.abort(situation, reason, by_person=by_person)
        self.dispatch.add(name, Priority.PERSON)

    def renew(self, name: str, *, keep: bool = False) -> None:
        """A new run of the same: what failed is tried again, what succeeded stays.

        A test begins from nothing; with `keep` its machines stay whatever comes of it.
        """
        executor = self.reconciler.executor
        run = executor.ledger.runs.get(name)
        if run is None:
            return
        again = self.reconciler.survey.begin(name, run, run.digest)
        executor.ledger.set_run(name, replace(again, keep=keep))
        executor.exchange.stop_waiting(name, "")
        self.reconciler.survey.rollback.end(name)
        self.dispatch.add(name, Priority.PERSON)
