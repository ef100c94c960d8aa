"""What machines give back of their tasks: reports, piece by piece, and how each task ended."""

from dataclasses import dataclass, replace

from headwater.planning.asking import explain
from headwater.planning.events import TaskFinished
from headwater.planning.records import TaskRecord, WorkState
from headwater.planning.status import OutcomeStatus
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock, Listener, Reports
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import ReportPiece, TaskEnded
from headwater.topology.reports import ReportPlace


@dataclass(frozen=True, slots=True)
class Returns:
    """A report is whole before its task counts as ended: after a kill in between, again."""

    ledger: Ledger
    reports: Reports
    clock: Clock
    emit: Listener

    def offset(self, machine: MachineId, task: str) -> int:
        place = self._place(machine, self._find(machine, task))
        return self.reports.size(place) if place else 0

    def receive(self, piece: ReportPiece) -> None:
        """Nothing that was not asked for is kept."""
        asked = self._find(piece.machine, piece.task)
        place = self._place(piece.machine, asked)
        if place and asked and not asked.has_ended:
            self.reports.append(place, piece.offset, piece.content)

    def end(self, event: TaskEnded) -> OutcomeStatus | None:
        """What became of a task, the first time that it is told."""
        known, asked = self.ledger.tasks.get(event.machine), self._find(event.machine, event.task)
        if known is None or asked is None or asked.has_ended:
            return None
        place = self._place(event.machine, asked)
        size, spoiled = self.reports.close(place) if place else (0, "")
        ended = replace(
            asked,
            state=WorkState.SUCCEEDED if event.succeeded and not spoiled else WorkState.FAILED,
            step=event.step,
            exit_code=event.exit_code,
            reason="uncollected" if spoiled else event.reason,
            words=spoiled or event.words,
        )
        every = tuple(ended if task is asked else task for task in known.asked)
        self.ledger.set_tasks(event.machine, replace(known, asked=every))
        self._tell(known.key, ended, event.seconds, size)
        return OutcomeStatus(
            at=self.clock(),
            action=ended.kind.value,
            instance=known.key.instance,
            succeeded=ended.state is WorkState.SUCCEEDED,
            message=explain(ended) if ended.state is WorkState.FAILED else ended.words,
        )

    def _tell(self, key: InstanceKey, ended: TaskRecord, seconds: float, size: int) -> None:
        self.emit(
            TaskFinished(
                deployment=key.deployment,
                instance=key.instance,
                kind=ended.kind.value,
                succeeded=ended.state is WorkState.SUCCEEDED,
                seconds=seconds,
                exit_code=ended.exit_code,
                words=ended.words,
                report=ended.file if size else "",
                size=size,
            )
        )

    def _find(self, machine: MachineId, id: str) -> TaskRecord | None:
        known = self.ledger.tasks.get(machine)
        return next((task for task in known.asked if task.id == id), None) if known else None

    def _place(self, machine: MachineId, task: TaskRecord | None) -> ReportPlace | None:
        if task is None or not task.file:
            return None
        return ReportPlace(self.ledger.tasks[machine].key.deployment, task.run, task.file)
