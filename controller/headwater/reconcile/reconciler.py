"""One pass over one deployment: situation, plan, actions, status."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headwater.errors import HeadwaterError, Stalled, Throttled
from headwater.planning.actions import Create
from headwater.planning.decision import next_step
from headwater.planning.events import PassEnded
from headwater.planning.failure import deadline, failure, tolerated
from headwater.planning.guard import still_approved
from headwater.planning.health import looks
from headwater.planning.history import removed
from headwater.planning.judgement import judged
from headwater.planning.lifecycle import aged, deadlines, is_over
from headwater.planning.patience import limits as patience
from headwater.planning.planner import Plan, in_doubt
from headwater.planning.records import WorkState
from headwater.planning.seats import seats
from headwater.planning.situation import DOUBT, Situation
from headwater.planning.status import DeploymentStatus
from headwater.planning.steps import steps
from headwater.planning.tasks import next_deadline
from headwater.planning.verdict import assess, invalid, rolled_back
from headwater.reconcile.claims import forget_closed
from headwater.reconcile.executor import Executor, Outcome
from headwater.reconcile.hopes import end_futile
from headwater.reconcile.lines import Lines
from headwater.reconcile.publisher import Publisher
from headwater.reconcile.repetition import Repetition
from headwater.reconcile.replacements import forget_replacements, note_replacements
from headwater.reconcile.safety import Safety
from headwater.reconcile.survey import Survey
from headwater.reconcile.wanted import Wanted

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
    survey: Survey
    lines: Lines
    publisher: Publisher
    repetition: Repetition = field(default_factory=Repetition)

    @property
    def wanted(self) -> Wanted:
        return self.survey.wanted

    @property
    def executor(self) -> Executor:
        return self.survey.executor

    @property
    def safety(self) -> Safety:
        return self.survey.safety

    @property
    def statuses(self) -> dict[str, DeploymentStatus]:
        return self.publisher.statuses

    async def reconcile(self, name: str) -> Next:
        """One step towards what the newest revision asks of the deployment."""
        began = time.monotonic()
        desired = self.survey.desired(name)
        if desired is None and not self.wanted.is_removed(name):
            return self._unknown(name)
        if self.survey.has_only_volumes(name):
            return Next("unchanged")
        if self.survey.is_first_sight(name):
            return Next("waiting", LIMBO_DELAY)
        run = self.survey.run(name, desired)
        situation = self._aged(self.survey.situation(name, desired, run))
        run = situation.run
        if not (run.abort or is_over(run)) and (reason := failure(situation)):
            situation = self.abort(situation, reason)
        if self.lines.attend(situation) | self._lose(situation):
            situation = self.survey.situation(name, desired, situation.run)
        situation = self.executor.tasks.notice(situation)
        self.executor.tasks.resume(situation)
        end_futile(situation, self.executor.exchange)
        current = next_step(situation)
        run = replace(situation.run, approved=still_approved(situation))
        run = self.safety.remember(run, desired, current)
        situation = self.survey.remember(situation, run)
        self.safety.spend(current)
        note_replacements(self.executor.ledger, situation, current.actions)
        outcomes = await self.executor.execute(current, situation.run)
        following = self._judge(situation, current, outcomes)
        if event := self.repetition.seen(current, following.result):
            self.executor.emit(event)
            following = Next("failed", failed=True)
        self.executor.emit(
            PassEnded(
                deployment=name,
                result=following.result,
                actions=len(current.actions) + len(current.tasks),
                seconds=time.monotonic() - began,
            )
        )
        return following

    def _aged(self, situation: Situation) -> Situation:
        """What has an end of its own comes to it."""
        run = aged(situation)
        return situation if run is situation.run else self.survey.remember(situation, run)

    def _judged(self, situation: Situation, rest: Plan) -> Situation:
        """A test that has ended has its verdict, once; what was done is told before it goes."""
        run = judged(situation, assess(situation, rest))
        if run is situation.run:
            return situation
        history = self.publisher.history
        history.keep_steps(situation.deployment, run.number, steps(situation))
        return self.survey.remember(situation, run)

    def abort(self, situation: Situation, reason: str, *, by_person: bool = False) -> Situation:
        """The first reason wins; what runs is stopped, and who waits is told."""
        now = self.executor.clock()
        run = replace(situation.run, abort=reason, aborted=now, by_person=by_person)
        situation = self.survey.remember(situation, run)
        self.executor.exchange.stop_waiting(situation.deployment, reason)
        for machine, record in situation.records.items():
            if record.state in {WorkState.WAITING, WorkState.RUNNING}:
                self.executor.machines.stop_steps(machine, reason)
        return situation

    def _lose(self, situation: Situation) -> bool:
        """Nobody waits for what has failed and may; True when that is news."""
        return self.executor.exchange.lose(situation.deployment, tolerated(situation))

    def _judge(self, before: Situation, done: Plan, outcomes: list[Outcome]) -> Next:
        """The status after the actions, told once; and when to look again."""
        name = before.deployment
        errors = [outcome.error for outcome in outcomes if outcome.error]
        situation, rest = before, done
        run = self.executor.ledger.runs.get(name, before.run)
        if outcomes or done.tasks or run != before.run:  # People and recipes may have steered.
            situation = self.survey.situation(name, before.desired, run)
            situation = self.executor.tasks.notice(situation)
            rest = next_step(situation)
        if situation.is_gone and not errors:
            if not self.wanted.is_removed(name):  # A newer revision asks for it again.
                return Next("changed", 0.0)
            self._forget(situation)
            return Next("removed")
        if (ended := self._refused(situation, outcomes)) is not situation:
            situation, rest = ended, next_step(ended)
        before_verdict, situation = situation, self._judged(situation, rest)
        if situation is not before_verdict:
            rest = next_step(situation)
        self._publish(situation, rest, outcomes)
        if self._goes_back(situation) or (situation is not before_verdict and rest.actions):
            return Next("changed", 0.0)
        if situation.suspended:
            return Next("waiting", self.safety.ends_in(name))
        if not situation.run.abort:  # Then what was refused for good is done without.
            errors = [error for error in errors if not isinstance(error, Stalled)]
        return _next(situation, done, rest, errors)

    def _refused(self, situation: Situation, outcomes: Iterable[Outcome]) -> Situation:
        """What a cloud will never do fails the run, or is one instance less."""
        stalled = [outcome for outcome in outcomes if isinstance(outcome.error, Stalled)]
        if not stalled or situation.run.abort or is_over(situation.run):
            return situation
        refused = {
            outcome.action.key.instance: str(outcome.error)
            for outcome in stalled
            if isinstance(outcome.action, Create)
        }
        run = replace(situation.run, refused={**situation.run.refused, **refused})
        situation = self.survey.remember(situation, run)
        others = [o for o in stalled if not isinstance(o.action, Create)]
        reason = next((f"{o.action.key.instance}: {o.error}" for o in others), "")
        reason = reason or failure(situation)
        return self.abort(situation, reason) if reason else situation

    def _publish(self, situation: Situation, rest: Plan, outcomes: Iterable[Outcome]) -> None:
        name = situation.deployment
        status = assess(situation, rest)
        if why := self.wanted.failed.get(name):
            status = invalid(name, why, status)
        elif status.is_ready:
            self.survey.rollback.succeeded(name, self.wanted.catalog.revision)
            if back := self.survey.rollback.back(name):
                status = rolled_back(status, back.reason, back.revision)
        run = situation.run
        if run.ended is None and not is_over(run) and status.at_rest:
            self.publisher.history.keep_steps(name, run.number, steps(situation))
        status = self.publisher.close(status, run)
        self.executor.tasks.notice(replace(situation, run=self.executor.ledger.runs[name]))
        self.publisher.publish(status, outcomes)

    def _goes_back(self, situation: Situation) -> bool:
        """The run has failed, and the manifest asks to go back to the last good revision."""
        run, status = situation.run, self.statuses.get(situation.deployment)
        if not run.abort or run.by_person or status is None or not status.at_rest:
            return False
        return self.survey.rollback.failed(situation.deployment, run.abort) is not None

    def _unknown(self, name: str) -> Next:
        """Wrong from the first look on, or perhaps removed: nothing is touched."""
        why = self.wanted.failed.get(name) or (
            "its manifest is not in this revision, but not every file could be read: kept",
        )
        self.publisher.publish(invalid(name, why, self.statuses.get(name)))
        return Next("waiting")

    def _forget(self, situation: Situation) -> None:
        name, run = situation.deployment, situation.run
        now = self.executor.clock()
        self.publisher.history.add(removed(name, run, now), now)
        self.executor.exchange.forget(name)
        self.safety.came_back([name])
        self.survey.rollback.forget(name)
        forget_replacements(self.executor.ledger, name)
        self.lines.forget(name)
        self.publisher.forget(name)
        # Machines that a listing lacked come back to the same safety.
        self.executor.ledger.forget_deployment(name, keep_run=run.protect or run.orphan)
        self.executor.tasks.memory.forget(name)
        forget_closed(self.executor.ledger, name)


def _next(situation: Situation, done: Plan, rest: Plan, errors: list[HeadwaterError]) -> Next:
    if errors:
        throttled = [error for error in errors if isinstance(error, Throttled)]
        again = max((error.retry_after for error in throttled), default=None)
        return Next("failed", again, failed=again is None)
    if rest.tasks or (done.actions and rest.actions):
        return Next("changed", 0.0)
    if situation.limbo:
        return Next("waiting", LIMBO_DELAY)
    if rest.short:
        return Next("waiting", ROOM_DELAY)
    limits = [limit for s in seats(situation).values() if (limit := deadline(s, situation))]
    limits = [limit for limit in limits if limit > situation.now]
    doubts = situation.doubts.items()
    limits += looks(situation)
    limits += [since + DOUBT for key, since in doubts if in_doubt(key, situation)]
    limits += patience(situation)
    if situation.run.abort or is_over(situation.run):
        limits = []
    limits += deadlines(situation)
    if (late := next_deadline(situation)) is not None:
        limits.append(late)
    left = (min(limits) - situation.now).total_seconds() if limits else 0.0
    again = max(0.0, left) if limits else None
    result = "changed" if done.actions or done.tasks else "waiting" if rest.held else "unchanged"
    return Next(result, again)
