"""What machines tell and ask, taken into the ledger. Satisfies `ports.Conversation`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from headwater.planning.events import HealthChanged, StepEnded
from headwater.planning.records import Health, Record, WorkState
from headwater.planning.status import OutcomeStatus
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.hostkeys import keep
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock, Listener, Store
from headwater.reconcile.returns import Returns
from headwater.reconcile.transcript import Transcript
from headwater.topology.keys import MachineId
from headwater.topology.progress import (
    Blocked,
    Checked,
    Connected,
    Ended,
    HealthState,
    HostKeyTold,
    LineLost,
    LineRefused,
    MachineEvent,
    Output,
    Reply,
    ReportPiece,
    Request,
    StepStarted,
    TaskEnded,
    Verb,
)


@dataclass(slots=True)
class Conversation:
    ledger: Ledger
    exchange: Exchange
    store: Store
    emit: Listener
    look_again: Callable[[str], None]
    """Called with a deployment about which something was learnt."""
    suspect: Callable[[], None]
    """Called when a line broke that stood: the machine may be gone."""
    abort: Callable[[str, str], None]
    """Called with a deployment and the reason."""
    renew: Callable[[str], None]
    """Called with a deployment whose abort is taken back."""
    clock: Clock
    returns: Returns
    tell: Callable[[str, OutcomeStatus], None]
    """Called with a deployment and what became of a task of its."""
    transcript: Transcript = field(init=False)

    def __post_init__(self) -> None:
        self.transcript = Transcript(self.store, self.exchange.secrecy)

    def on_event(self, event: MachineEvent) -> None:
        record = self.ledger.records.get(event.machine)
        if record is None:
            return
        event = self.transcript.cleaned(record.key, event)
        match event:
            case Output():
                self.transcript.append(record.key, event)
            case HostKeyTold(machine, key, proven):
                keep(self.ledger, machine, key, proven=proven)
            case Blocked(machine, questions):
                self.exchange.waits.block(machine, questions)
                self.look_again(record.key.deployment)
            case ReportPiece():
                self.returns.receive(event)
            case TaskEnded():
                self._task_ended(record, event)
            case _:
                self._learn(record, event)

    def _learn(
        self,
        record: Record,
        event: Connected | LineLost | LineRefused | StepStarted | Ended | Checked,
    ) -> None:
        match event:
            case Connected(machine):
                self.exchange.waits.unblock(machine)
                changed = replace(record, trouble="")
            case LineLost(_, reason):
                changed = replace(record, trouble=reason)
                if record.state is not WorkState.WAITING:
                    self.suspect()
            case LineRefused(_, reason):
                changed = replace(
                    record, state=WorkState.FAILED, reason="refused", words=reason, trouble=""
                )
            case StepStarted():
                changed = self._started(record, event)
            case Ended():
                changed = self._ended(record, event)
            case Checked():
                changed = self._checked(record, event)
        if changed != record:
            self.ledger.set_record(event.machine, changed)
            self.look_again(record.key.deployment)

    def _task_ended(self, record: Record, event: TaskEnded) -> None:
        if outcome := self.returns.end(event):
            self.tell(record.key.deployment, outcome)
            self.look_again(record.key.deployment)

    def _started(self, record: Record, event: StepStarted) -> Record:
        ended = record.state in {WorkState.SUCCEEDED, WorkState.FAILED}
        if event.context != record.context or ended:
            return record
        return replace(
            record,
            state=WorkState.RUNNING,
            begun=record.begun or self.clock(),
            step=event.step,
            position=event.position,
            trouble="",
        )

    def _ended(self, record: Record, event: Ended) -> Record:
        """Told again on every reconnection: only the first time counts."""
        if event.context != record.context or record.state in {
            WorkState.SUCCEEDED,
            WorkState.FAILED,
        }:
            return record
        self.emit(
            StepEnded(
                deployment=record.key.deployment,
                instance=record.key.instance,
                succeeded=event.succeeded,
                seconds=event.seconds,
                step=event.step,
                exit_code=event.exit_code,
                words=event.words,
            )
        )
        present = self.exchange.inputs_of(record.key)
        return replace(
            record,
            state=WorkState.SUCCEEDED if event.succeeded else WorkState.FAILED,
            step=event.step,
            exit_code=event.exit_code,
            reason=event.reason,
            words=event.words,
            seconds=event.seconds,
            trouble="",
            inputs={**present, **record.inputs},
            ended=self.exchange.clock(),
        )

    def _checked(self, record: Record, event: Checked) -> Record:
        """It may come before the end of its context: output is told at leisure."""
        if (event.context, event.check) != (record.context, record.check):
            return record
        before = record.health
        if before and (before.state, before.words) == (event.state, event.words):
            return record
        same = before is not None and before.state is event.state
        since = before.since if before and same else self.exchange.clock()
        held = event.state is HealthState.HEALTHY or (before is not None and before.held)
        if not same:
            told = HealthChanged(
                deployment=record.key.deployment,
                instance=record.key.instance,
                state=event.state.value,
                words=event.words,
            )
            self.emit(told)
        return replace(record, health=Health(event.state, since, event.words, held))

    async def on_request(self, request: Request) -> Reply:
        key = self.exchange.key_of(request.machine)
        request = self.transcript.asked(key, request)
        if key is not None and request.verb is Verb.ABORT:
            self.abort(key.deployment, f"{key.instance}: {request.value or '(unspecified)'}")
            return Reply(0)
        if key is not None and request.verb is Verb.CANCEL_ABORT:
            self.renew(key.deployment)
            return Reply(0)
        return await self.exchange.ask(request)

    def output_offset(self, machine: MachineId, context: str) -> int:
        record = self.ledger.records.get(machine)
        return self.store.output_size(record.key, machine, context) if record else 0

    def report_offset(self, machine: MachineId, task: str) -> int:
        return self.returns.offset(machine, task)
