"""The lines to all machines: what the loop knows as `Machines`."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from headwater.remote import wire
from headwater.remote.bundle import bundle
from headwater.remote.conversation import Conversation
from headwater.remote.keys import login_key
from headwater.remote.line import Line, Terms
from headwater.topology.context import Context, Host, Target, Task
from headwater.topology.keys import MachineId
from headwater_agent.protocol import ProtocolError

logger = logging.getLogger("headwater.remote")

GATHER = 0.05
"""Seconds in which changes of a hosts file become one message."""


class Lines:
    """Satisfies the `Machines` port. Every method is called on the loop's thread.

    `run` owns all tasks: lines are made while it runs, and none is left when it is cancelled.
    """

    def __init__(
        self,
        key_directory: Path,
        conversation: Conversation,
        *,
        logins_at_a_time: int = 16,
        login_delay: float = 5.0,
    ) -> None:
        """Raises Stalled when the login key cannot be made or read."""
        self._terms = Terms(
            key=login_key(key_directory),
            bundle=bundle(),
            conversation=conversation,
            logins=asyncio.Semaphore(logins_at_a_time),
            login_delay=login_delay,
        )
        self._lines: dict[MachineId, Line] = {}
        self._tasks: dict[Line, asyncio.Task[None]] = {}
        self._hosts = self._terms.hosts
        self._changed: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        # It tells of every connection at INFO.
        logging.getLogger("asyncssh").setLevel(logging.WARNING)

    @property
    def public_key(self) -> str:
        """The login key that new machines must accept, in OpenSSH form."""
        return self._terms.key.public

    @property
    def private_key_file(self) -> Path:
        """What the `ssh` program takes as identity."""
        return self._terms.key.file

    async def run(self) -> None:
        """Keep the lines until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for line in self._lines.values():
                    self._start(line)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def contextualise(self, target: Target, context: Context) -> None:
        """Keep a line to the machine and have its agent run the context, once.

        A line that was refused is tried again only with another target or another context.
        """
        line = self._lines.get(target.machine)
        if line is not None and line.target == target and not line.refused:
            line.turn_to(context)
        elif line is None or line.target != target or line.context.id != context.id:
            self.forget(target.machine)
            line = Line(target, context, self._terms, line.tasks.waiting if line else None)
            line.tell_hosts(self._hosts.get(target.key.deployment, b""))
            self._lines[target.machine] = line
            self._start(line)

    def tell_hosts(self, deployment: str, hosts: Sequence[Host]) -> None:
        """The hosts file of every machine of the deployment, now and on later lines."""
        try:
            line = wire.hosts_line(hosts)
        except ProtocolError as error:  # some 10,000 hosts
            extra = {"deployment": deployment, "reason": str(error)}
            logger.error("hosts.refused", extra=extra)  # noqa: TRY400  # no bug: no traceback
            return
        if line == self._hosts.get(deployment):
            return
        self._hosts[deployment] = line
        if not self._changed:
            asyncio.get_running_loop().call_later(GATHER, self._tell_changed_hosts)
        self._changed.add(deployment)

    def run_task(self, machine: MachineId, task: Task) -> None:
        """Have the agent run the task, once; needs the line that `contextualise` makes.

        Returns at once. It is asked for on every new line until its end has been heard, or the
        machine is forgotten; called again, the agent tells its end again.
        """
        line = self._lines.get(machine)
        if line is not None:
            line.run_task(task)

    def stop_steps(self, machine: MachineId, reason: str) -> None:
        """Stop what runs there: SIGTERM, SIGKILL after 5 s; the context ends as `aborted`.

        So does a task, but never one that collects.
        """
        line = self._lines.get(machine)
        if line is not None:
            line.stop(reason)

    def forget(self, machine: MachineId) -> None:
        """Close the line; the machine is not ours to talk to any more."""
        line = self._lines.pop(machine, None)
        task = self._tasks.pop(line, None) if line is not None else None
        if task is not None:
            task.cancel()

    def _start(self, line: Line) -> None:
        if self._group is not None and line not in self._tasks:
            self._tasks[line] = self._group.create_task(line.keep())

    def _tell_changed_hosts(self) -> None:
        changed, self._changed = self._changed, set()
        for line in self._lines.values():
            deployment = line.target.key.deployment
            if deployment in changed:
                line.tell_hosts(self._hosts[deployment])
