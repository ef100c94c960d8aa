"""The statuses of all deployments: written once per pass, told where they differ."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headwater.planning.events import RunEnded, StatusChanged
from headwater.planning.records import Run
from headwater.planning.status import DeploymentStatus, OutcomeStatus
from headwater.reconcile.executor import Executor, Outcome
from headwater.reconcile.wanted import Wanted

KEPT_OUTCOMES = 10


@dataclass(slots=True)
class Publisher:
    wanted: Wanted
    executor: Executor
    statuses: dict[str, DeploymentStatus] = field(default_factory=dict)

    def close(self, status: DeploymentStatus, run: Run) -> DeploymentStatus:
        """A run ends when it comes to rest: Ready, or Stalled with nothing running any more."""
        if run.ended is None and status.at_rest:
            run = replace(run, ended=self.executor.clock())
            self.executor.ledger.set_run(status.name, run)
            self.executor.emit(
                RunEnded(
                    deployment=status.name,
                    revision=run.revision,
                    result="success" if status.is_ready else "failure",
                    seconds=((run.ended or run.started) - run.started).total_seconds(),
                    message=run.abort,
                )
            )
        return replace(status, started=run.started, ended=run.ended)

    def publish(self, status: DeploymentStatus, outcomes: Iterable[Outcome] = ()) -> None:
        """Take over a status, with its history; emits StatusChanged where it differs."""
        previous = self.statuses.get(status.name)
        history = (*(previous.outcomes if previous else ()), *self._told(outcomes))
        revision = self.wanted.catalog.revision
        applied = previous.applied_revision if previous else ""
        status = replace(
            status,
            outcomes=history[-KEPT_OUTCOMES:],
            observed_revision=revision,
            applied_revision=revision if status.is_ready else applied,
        )
        if status != previous:
            self.statuses[status.name] = status
            self.executor.exchange.show(status)
            self.executor.emit(StatusChanged(status.name, status))

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
        if self.statuses.pop(name, None) is not None:
            self.executor.emit(StatusChanged(name, None))
