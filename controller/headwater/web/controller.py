"""What the web needs from the running loop."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Protocol

from headwater.planning.status import (
    ControllerStatus,
    Login,
    ParameterView,
    ReportView,
    RunView,
    StepView,
)
from headwater.topology.reports import ReportPlace

Render = Callable[[str], tuple[bytes, str]]
"""Accept header → body and content type of `/metrics`."""


class People(Protocol):
    """What a person may ask for; the answer says what follows. Every verb raises Refused."""

    def retry(self, name: str) -> str:
        """Try again what failed."""

    def test(self, name: str, *, keep: bool) -> int:
        """The number of the run to wait for: the one under way, or a new one."""

    def abort(self, name: str, reason: str) -> str:
        """Stop the deployment's run."""

    def approve(self, digest: str) -> str:
        """Let a plan through that the guard holds back."""

    def suspend(self, name: str, reason: str, by: str, until: str) -> str:
        """Leave the deployment as it is; `until` is ISO 8601 with a zone, or empty."""

    def resume(self, name: str) -> str: ...


class Controller(Protocol):
    """Called on the loop's thread; must not block."""

    @property
    def people(self) -> People: ...

    def alive(self) -> bool:
        """False when nothing has moved for longer than it ever should."""

    def status(self) -> ControllerStatus: ...

    def changes(self) -> AsyncGenerator[None, None]:
        """Yields after any change of the status; changes meanwhile merge into one."""

    def parameters(self, name: str) -> tuple[ParameterView, ...]:
        """The runtime parameters of a deployment that exists; secrets without their values."""

    def runs(self, name: str) -> tuple[RunView, ...]:
        """Those of a deployment, oldest first; also when it is gone, and none if it never was."""

    def every_run(self) -> tuple[RunView, ...]:
        """Those of all deployments, by name."""

    def steps(self, name: str, number: int) -> tuple[StepView, ...]:
        """What became of each step of that run, where that is still known."""

    def outputs(
        self,
        deployment: str,
        instance: str = "",
        *,
        follow: bool = False,
        history: bool = False,
        since: datetime | None = None,
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """Pieces of output and the instance (`wn.3`) that printed them; empty means every one."""

    def reports(self, name: str) -> tuple[ReportView, ...]:
        """What is kept, also of a deployment that is gone."""

    def report(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        """A report's bytes in pieces. Raises Refused where they cannot be had."""

    def login(self, name: str, instance: str) -> Login:
        """How a person reaches the instance. Raises Refused while there is no way."""
