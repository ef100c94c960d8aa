"""Whom the lines report to."""

from typing import Protocol

from headwater.topology.keys import MachineId
from headwater.topology.progress import MachineEvent, Reply, Request


class Conversation(Protocol):
    """What the lines call back, on the loop's thread."""

    def on_event(self, event: MachineEvent) -> None:
        """Must not block. Raises Transient for what cannot be kept now; it is told again."""

    async def on_request(self, request: Request) -> Reply:
        """Cancelled when the machine has given up, or its line is lost; it then asks again.

        Raises Transient for what cannot be kept now; it is asked again.
        """

    def output_offset(self, machine: MachineId, context: str) -> int:
        """How much of the output of the context, or of the task, is already kept."""

    def report_offset(self, machine: MachineId, task: str) -> int:
        """How much of the task's report is already kept."""
