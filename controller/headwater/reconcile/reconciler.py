"""One pass over one deployment: situation, plan, actions, status."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headwater.errors import HeadwaterError, Stalled, Throttled
from headwater.planning.events import PassEnded, RunEnded, StatusChanged
from headwater.planning.guard import guard
from headwater.planning.planner import Plan, plan
from headwater.planning.problems import problems
from headwater.planning.quota import room
from headwater.planning.records import Run, WorkState, next_run
from headwater.planning.seats import seats
from headwater.planning.situation import Fleet, Situation
from headwater.planning.status import DeploymentStatus, OutcomeStatus
from headwater.planning.verdict import assess, deadline, failure, invalid
from headwater.reconcile.executor import Executor, Outcome
from headwater.reconcile.lines import Lines
from headwater.reconcile.safety import Safety
from headwater.reconcile.wanted import Wanted
from headwater.topology.desired import Desired

KEPT_OUTCOMES = 10
LIMBO_DELAY = 1.0
ROOM_DELAY = 30.0
"""Seconds until a cloud that was full is looked at again."""


@dataclass(frozen=True, slots=True)
class Next:
    """What a pass came to, and when to look again without being asked (seconds)."""

    result: str
    again: float | None = None
    failed: bool = False
    """The delay is the backoff's to choose."""


@dataclass(slots=True)
class Reconciler:
    wanted: Wanted
    executor: Executor
    lines: Lines
    safety: Safety
    statuses: dict[str, DeploymentStatus] = field(default_factory=dict)

    async def reconcile(self, name: str) -> Next:
        """One step towards what the newest revision asks of the deployment."""
        began = time.monotonic()
        desired = self.wanted.desired(name)
        if desired is None and not self.wanted.is_removed(name):
            return self._unknown(name)
        run = self._run(name, desired)
        situation = self.situation(name, desired, run)
        if not run.abort and (reason := failure(situation)):
            situation = self.abort(situation, reason)
        if self.lines.attend(situation):
            situation = self.situation(name, desired, situation.run)
        current = self.decide(situation)
        run = self.safety.remember(situation.run, desired, current)
        self.executor.ledger.set_run(name, run)
        situation = replace(situation, run=run)
        outcomes = await self.executor.execute(current, situation.run)
        following = self._judge(situation, current, outcomes)
        self.executor.emit(
            PassEnded(name, following.result, len(current.actions), time.monotonic() - began)
        )
        return following

    def decide(self, situation: Situation) -> Plan:
        return guard(situation, plan(situation))

    def _run(self, name: str, desired: Desired | None) -> Run:
        """The present run; a new one begins when what is wanted differs."""
        ledger, catalog = self.executor.ledger, self.wanted.catalog
        run = ledger.runs.get(name)
        digest = desired.digest if desired else ""
        if run is None or (run.digest != digest and name not in catalog.failed):
            run = next_run(run, catalog.revision, digest, self.executor.clock())
            ledger.set_run(name, run)
            self.executor.exchange.stop_waiting(name, "")
        return run

    def situation(self, name: str, desired: Desired | None, run: Run) -> Situation:
        executor = self.executor
        observer, ledger = executor.observer, executor.ledger
        machines = observer.machines(name)
        if desired is not None:
            executor.exchange.want(desired)
        clouds = desired.clouds if desired else {machine.id.cloud for machine in machines}
        situation = Situation(
            deployment=name,
            desired=desired,
            machines=machines,
            run=run,
            now=executor.clock(),
            incomplete=observer.incomplete(clouds),
            limbo=observer.limbo(name),
            records={
                machine.id: ledger.records[machine.id]
                for machine in machines
                if machine.id in ledger.records
            },
            inputs=executor.exchange.inputs(name),
            incarnations=ledger.incarnations(name),
            problems=problems(desired, executor.clouds.capabilities) if desired else (),
            room=room(self.wanted.catalog, observer.count),
        )
        fleet = Fleet(observer.total, len(self.wanted.names))
        return self.safety.weigh(situation, fleet)

    def abort(self, situation: Situation, reason: str) -> Situation:
        """The first reason wins; what runs is stopped, and who waits is told."""
        run = replace(situation.run, abort=reason)
        self.executor.ledger.set_run(situation.deployment, run)
        self.executor.exchange.stop_waiting(situation.deployment, reason)
        for machine, record in situation.records.items():
            if record.state in {WorkState.WAITING, WorkState.RUNNING}:
                self.executor.machines.stop_steps(machine, reason)
        return replace(situation, run=run)

    def _judge(self, before: Situation, done: Plan, outcomes: list[Outcome]) -> Next:
        """The status after the actions, told once; and when to look again."""
        name = before.deployment
        errors = [outcome.error for outcome in outcomes if outcome.error]
        situation, rest = before, done
        run = self.executor.ledger.runs.get(name, before.run)
        if outcomes or run != before.run:  # People and recipes may have steered meanwhile.
            situation = self.situation(name, before.desired, run)
            rest = self.decide(situation)
        if situation.desired is None and not situation.machines and not errors:
            self._forget(name)
            return Next("removed")
        terminal = next((o for o in outcomes if isinstance(o.error, Stalled)), None)
        if terminal and not situation.run.abort:
            situation = self.abort(situation, f"{terminal.action.key.instance}: {terminal.error}")
            rest = self.decide(situation)
        status = assess(situation, rest)
        if why := self.wanted.failed.get(name):
            status = invalid(name, why, status)
        self.publish(self._close(status, situation.run), outcomes)
        return _next(situation, done, rest, errors)

    def _close(self, status: DeploymentStatus, run: Run) -> DeploymentStatus:
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
        """One write of the status per pass, told only where it differs."""
        previous = self.statuses.get(status.name)
        now = self.executor.clock()
        done = [
            OutcomeStatus(
                at=now,
                action=type(outcome.action).__name__.lower(),
                instance=outcome.action.key.instance,
                succeeded=outcome.error is None,
                message=str(outcome.error or outcome.action.reason),
            )
            for outcome in outcomes
        ]
        history = (*(previous.outcomes if previous else ()), *done)[-KEPT_OUTCOMES:]
        revision = self.wanted.catalog.revision
        applied = previous.applied_revision if previous else ""
        status = replace(
            status,
            outcomes=history,
            observed_revision=revision,
            applied_revision=revision if status.is_ready else applied,
        )
        if status != previous:
            self.statuses[status.name] = status
            self.executor.exchange.show(status)
            self.executor.emit(StatusChanged(status.name, status))

    def _unknown(self, name: str) -> Next:
        """Wrong from the first look on, or perhaps removed: nothing is touched."""
        why = self.wanted.failed.get(name) or (
            "its manifest is not in this revision, but not every file could be read: kept",
        )
        self.publish(invalid(name, why, self.statuses.get(name)))
        return Next("waiting")

    def _forget(self, name: str) -> None:
        self.executor.exchange.forget(name)
        self.safety.came_back([name])
        self.executor.ledger.forget_deployment(name)
        self.lines.forget(name)
        if self.statuses.pop(name, None) is not None:
            self.executor.emit(StatusChanged(name, None))


def _next(situation: Situation, done: Plan, rest: Plan, errors: list[HeadwaterError]) -> Next:
    if errors:
        throttled = [error for error in errors if isinstance(error, Throttled)]
        again = max((error.retry_after for error in throttled), default=None)
        return Next("failed", again, failed=again is None)
    if done.actions and rest.actions:
        return Next("changed", 0.0)
    if situation.limbo:
        return Next("waiting", LIMBO_DELAY)
    if rest.short:
        return Next("waiting", ROOM_DELAY)
    limits = [limit for s in seats(situation).values() if (limit := deadline(s, situation))]
    left = (min(limits) - situation.now).total_seconds() if limits else 0.0
    again = max(0.0, left) if limits and not situation.run.abort else None
    result = "changed" if done.actions else "waiting" if rest.held else "unchanged"
    return Next(result, again)
