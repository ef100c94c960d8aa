"""The tasks of one machine whose end has not been heard: told on every line, in order."""

from collections.abc import Callable

from headwater.remote import wire
from headwater.remote.conversation import Conversation
from headwater.topology.context import Task
from headwater.topology.keys import MachineId
from headwater.topology.progress import TaskEnded
from headwater_agent.protocol import ProtocolError


class Tasks:
    """`tell` sends a line to the agent, or drops it while there is no session."""

    def __init__(
        self,
        machine: MachineId,
        conversation: Conversation,
        tell: Callable[[bytes], None],
        waiting: dict[str, Task],
    ) -> None:
        self.waiting = waiting
        self._machine = machine
        self._conversation = conversation
        self._tell = tell

    def tell_all(self) -> None:
        """Raises Transient as `Conversation.on_event` does."""
        for task in list(self.waiting.values()):
            self.tell(task)

    def tell(self, task: Task) -> None:
        """Raises Transient as above."""
        have = self._conversation.output_offset(self._machine, task.id)
        have_report = self._conversation.report_offset(self._machine, task.id)
        try:
            line = wire.task_line(task, have, have_report)
        except ProtocolError as error:
            words = f"the recipes are too large: {error}"
            self.end(
                TaskEnded(
                    self._machine, task.id, succeeded=False, reason="unstartable", words=words
                )
            )
        else:
            self._tell(line)

    def end(self, ended: TaskEnded) -> None:
        """Only what could be kept is not asked for again. Raises Transient."""
        self._conversation.on_event(ended)
        self.waiting.pop(ended.task, None)
        self._tell(wire.heard_line(ended.task))
