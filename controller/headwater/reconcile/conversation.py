"""What machines tell and ask, taken into the ledger. Satisfies `ports.Conversation`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from headwater.planning.events import StepEnded
from headwater.planning.records import Record, WorkState
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.hostkeys import keep
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Listener, Store
from headwater.topology.keys import MachineId
from headwater.topology.progress import (
    Connected,
    Ended,
    HostKeyTold,
    LineLost,
    LineRefused,
    MachineEvent,
    Output,
    Reply,
    Request,
    StepStarted,
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

    def on_event(self, event: MachineEvent) -> None:
        if isinstance(event, HostKeyTold):
            keep(self.ledger, event.machine, event.key, proven=event.proven)
        else:
            self._on_event(event)

    def _on_event(self, event: MachineEvent) -> None:
        record = self.ledger.records.get(event.machine)
        if record is None:
            return
        match event:
            case Output(machine, context, offset, content):
                self.store.append_output(record.key, machine, context, offset, content)
                return
            case Connected():
                changed = replace(record, trouble="")
            case LineLost(_, reason):
                changed = replace(record, trouble=reason)
                if record.state is not WorkState.WAITING:
                    self.suspect()
            case LineRefused(_, reason):
                changed = replace(
                    record, state=WorkState.FAILED, reason="refused", words=reason, trouble=""
                )
            case StepStarted(_, context, _, step):
                changed = self._started(record, context, step)
            case Ended():
                changed = self._ended(record, event)
        if changed != record:
            self.ledger.set_record(event.machine, changed)
            self.look_again(record.key.deployment)

    def _started(self, record: Record, context: str, step: str) -> Record:
        if context != record.context or record.state in {WorkState.SUCCEEDED, WorkState.FAILED}:
            return record
        return replace(record, state=WorkState.RUNNING, step=step, trouble="")

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
        )

    async def on_request(self, request: Request) -> Reply:
        key = self.exchange.key_of(request.machine)
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
