"""The statuses of all deployments: written once per pass, told where they differ."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from headwater.planning.events import RunEnded, StatusChanged
from headwater.planning.history import ended, outcome, stamped
from headwater.planning.records import Run
from headwater.planning.status import DeploymentStatus, OutcomeStatus, Phase
from headwater.reconcile.executor import Executor, Outcome
from headwater.reconcile.history import History
from headwater.reconcile.wanted import Wanted

KEPT_OUTCOMES = 10
OUTCOMES = "outcomes"
_OUTCOMES = TypeAdapter(tuple[OutcomeStatus, ...])


@dataclass(slots=True)
class Publisher:
    wanted: Wanted
    executor: Executor
    statuses: dict[str, DeploymentStatus] = field(default_factory=dict)

    def close(self, status: DeploymentStatus, run: Run) -> DeploymentStatus:
        """A run ends when it comes to rest, and nothing but another run can change that."""
        if run.ended is None:
            now = self.executor.clock()
            if status.phase is not Phase.ABORTED or status.at_rest:  # What is being stopped runs.
                run = stamped(run, status.phase, now)
            if rests := status.at_rest and not status.may_go_on:
                run = replace(run, ended=now)
                self.history.add(ended(status, run, now), now)
            self.executor.ledger.set_run(status.name, run)
            if rests:
                self._tell_end(status, run)
        return replace(status, started=run.started, ended=run.decided or run.ended)

    @property
    def history(self) -> History:
        return History(self.executor.ledger)

    def _tell_end(self, status: DeploymentStatus, run: Run) -> None:
        self.executor.emit(
            RunEnded(
                deployment=status.name,
                revision=run.revision,
                result=outcome(status),
                seconds=((run.ended or run.started) - run.started).total_seconds(),
                message=run.abort,
            )
        )

    def tell(self, name: str, outcome: OutcomeStatus) -> None:
        """What became of something that was only begun in a pass."""
        previous = self.statuses.get(name)
        before = previous.outcomes if previous else self._kept(f"{OUTCOMES}/{name}")
        history = self._keep(name, (*before, outcome))
        if previous is not None:
            status = replace(previous, outcomes=history)
            self.statuses[name] = status
            self.executor.emit(StatusChanged(name, status))

    def publish(self, status: DeploymentStatus, outcomes: Iterable[Outcome] = ()) -> None:
        """Take over a status, with its history; emits StatusChanged where it differs."""
        previous = self.statuses.get(status.name)
        history = self._history(status.name, previous, outcomes)
        revision = self.wanted.catalog.revision
        applied = previous.applied_revision if previous else ""
        status = replace(
            status,
            outcomes=history,
            observed_revision=revision,
            applied_revision=revision if status.is_ready else applied,
            reports=self._reports(status.name),
        )
        if status != previous:
            self.statuses[status.name] = status
            self.executor.exchange.show(status)
            self.executor.emit(StatusChanged(status.name, status))

    def _history(
        self, name: str, previous: DeploymentStatus | None, outcomes: Iterable[Outcome]
    ) -> tuple[OutcomeStatus, ...]:
        """The last outcomes; they are kept over restarts."""
        before = previous.outcomes if previous else self._kept(f"{OUTCOMES}/{name}")
        told = self._told(outcomes)
        return self._keep(name, (*before, *told)) if told else before

    def _keep(self, name: str, outcomes: tuple[OutcomeStatus, ...]) -> tuple[OutcomeStatus, ...]:
        history = outcomes[-KEPT_OUTCOMES:]
        content = _OUTCOMES.dump_python(history, mode="json")
        self.executor.ledger.set_note(f"{OUTCOMES}/{name}", content)
        return history

    def _reports(self, name: str) -> int:
        run = self.executor.ledger.runs.get(name)
        return self.executor.tasks.reports.count(name, run.number) if run else 0

    def _kept(self, note: str) -> tuple[OutcomeStatus, ...]:
        content = self.executor.ledger.note(note)
        try:
            return () if content is None else _OUTCOMES.validate_python(content)
        except ValidationError:
            return ()

    def _told(self, outcomes: Iterable[Outcome]) -> list[OutcomeStatus]:
        now = self.executor.clock()
        return [
            OutcomeStatus(
                at=now,
                action=type(outcome.action).__name__.lower(),
                instance=outcome.action.key.instance,
                succeeded=outcome.error is None,
                message=str(outcome.error or outcome.action.reason),
            )
            for outcome in outcomes
        ]

    def forget(self, name: str) -> None:
        self.executor.ledger.set_note(f"{OUTCOMES}/{name}", None)
        if self.statuses.pop(name, None) is not None:
            self.executor.emit(StatusChanged(name, None))
