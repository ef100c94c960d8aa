"""What machines say, without the secrets of their deployments."""

from dataclasses import dataclass, field, replace

from headwater.reconcile.ports import Store
from headwater.reconcile.secrecy import Secrecy
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import (
    Ended,
    LineLost,
    MachineEvent,
    Output,
    Request,
    TaskEnded,
    Verb,
)

SPOKEN = {Verb.ABORT, Verb.DISPLAY}
"""Verbs whose values people see."""


@dataclass(slots=True)
class Transcript:
    """Output is kept masked. Its offsets are those of what was printed, not of what is kept.

    The end of a piece that may be the beginning of a secret waits for the next piece. It is not
    kept until then: when the line or this process ends, the agent tells it again.
    """

    store: Store
    secrecy: Secrecy
    _open: dict[tuple[MachineId, str], tuple[int, bytes]] = field(default_factory=dict)
    """Ends that wait, with their offsets."""

    def append(self, key: InstanceKey, output: Output) -> None:
        """Raises what the store raises; the piece is told again then."""
        machine, context = output.machine, output.context
        masks = self.secrecy.masks(key.deployment)
        if not masks:
            self.store.append_output(key, machine, context, output.offset, output.content)
            return
        offset, content = self._joined(key, output)
        shown, rest = masks.split(content)
        length = len(content) - len(rest)
        if length:
            self.store.append_output(key, machine, context, offset, shown, length=length)
        self._open[machine, context] = (offset + length, rest)

    def _joined(self, key: InstanceKey, output: Output) -> tuple[int, bytes]:
        """What is new in the piece, behind what waits for it."""
        offset, content = output.offset, output.content
        start, waiting = self._open.get((output.machine, output.context), (offset, b""))
        if offset > start + len(waiting):
            self._finish(key, output.machine, output.context)
        elif start <= offset:
            offset, content = start, waiting[: offset - start] + content
        known = self.store.output_size(key, output.machine, output.context) - offset
        return (offset + known, content[known:]) if known > 0 else (offset, content)

    def cleaned(self, key: InstanceKey, event: MachineEvent) -> MachineEvent:
        """The event as it may be remembered; the end of a context keeps what waits of its output.

        Raises what the store raises.
        """
        match event:
            case Ended(machine, context) | TaskEnded(machine, context):
                self._finish(key, machine, context)
                masks = self.secrecy.masks(key.deployment)
                return replace(event, words=masks.text(event.words)) if masks else event
            case LineLost(machine):  # on the next line it is told again
                for waiting in [waiting for waiting in self._open if waiting[0] == machine]:
                    del self._open[waiting]
        return event

    def _finish(self, key: InstanceKey, machine: MachineId, context: str) -> None:
        offset, rest = self._open.get((machine, context), (0, b""))
        if rest:
            shown = self.secrecy.masks(key.deployment).rest(rest)
            self.store.append_output(key, machine, context, offset, shown, length=len(rest))
        self._open.pop((machine, context), None)

    def asked(self, key: InstanceKey | None, request: Request) -> Request:
        """The question, with nothing in it that people must not see."""
        masks = self.secrecy.masks(key.deployment) if key else None
        if not masks or request.verb not in SPOKEN:
            return request
        return replace(request, value=masks.text(request.value))
