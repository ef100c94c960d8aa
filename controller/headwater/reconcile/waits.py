"""The gets that wait for a value at present, and the machines that do nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.parameters import InstanceValue
from headwater.topology.progress import Request


@dataclass(slots=True, eq=False)
class Waiting:
    """One get. It looks again whenever `changed` is set."""

    request: Request
    asker: InstanceKey
    address: InstanceValue
    until: datetime | None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: str = ""
    """Why it will never be answered; empty while it may be."""

    def refuse(self, why: str) -> None:
        self.refusal = why
        self.changed.set()


class Waits:
    def __init__(self) -> None:
        self._waiting: dict[str, set[Waiting]] = {}
        self.only: dict[MachineId, frozenset[int]] = {}
        """Until one of these questions is answered, nothing of the machine's step goes on."""

    @contextmanager
    def begun(self, waiting: Waiting) -> Iterator[None]:
        """It waits as long as the block lasts."""
        deployment = waiting.asker.deployment
        every = self._waiting.setdefault(deployment, set())
        every.add(waiting)
        try:
            yield
        finally:
            every.discard(waiting)
            if not every and self._waiting.get(deployment) is every:
                del self._waiting[deployment]

    def of(self, deployment: str) -> list[Waiting]:
        return list(self._waiting.get(deployment, ()))

    def block(self, machine: MachineId, questions: frozenset[int]) -> None:
        self.only[machine] = questions

    def unblock(self, machine: MachineId) -> None:
        """Nothing is known of what its step does: a new line tells it again."""
        self.only.pop(machine, None)
