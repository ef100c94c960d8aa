"""A controller that holds state, for whoever talks to one; every change is told."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

from fakes.reports import MemoryReports
from fakes.store import Disk
from headwater.errors import Refused
from headwater.planning.status import (
    CloudStatus,
    Condition,
    ControllerStatus,
    DeploymentStatus,
    InstanceStatus,
    Login,
    ParameterView,
    Phase,
    ReportView,
    RunView,
    StepView,
    VolumeCount,
)
from headwater.store.outputs import Outputs
from headwater.topology.reports import ReportPlace

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
END = datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC)

READY = (Condition("Ready", status=True, reason="Converged"),)
BUSY = (
    Condition("Ready", status=False, reason="Progressing"),
    Condition("Reconciling", status=True, reason="Progressing", message="1 to go"),
)


def stalled(message: str) -> tuple[Condition, ...]:
    return (
        Condition("Ready", status=False, reason="RunFailed"),
        Condition("Stalled", status=True, reason="RunFailed", message=message),
    )


def instance(name: str = "wn.1", state: str = "ready", message: str = "") -> InstanceStatus:
    return InstanceStatus(
        name, state, f"m-{name}", "local", "127.1.0.1", incarnation=1, message=message
    )


def deployment(
    name: str = "hello",
    phase: Phase = Phase.READY,
    conditions: tuple[Condition, ...] = READY,
    instances: tuple[InstanceStatus, ...] = (instance("wn.1"), instance("wn.2")),
    revision: str = "a" * 40,
) -> DeploymentStatus:
    return DeploymentStatus(
        name=name,
        phase=phase,
        conditions=conditions,
        desired=len(instances),
        ready=sum(i.state == "ready" for i in instances),
        failed=sum(i.state == "failed" for i in instances),
        observed_revision=revision,
        attempted_revision=revision,
        applied_revision=revision if conditions is READY else "",
        started=START,
        ended=END,
        instances=instances,
    )


def everything(*deployments: DeploymentStatus, revision: str = "a" * 40) -> ControllerStatus:
    volumes = (VolumeCount("leaked", 2),)
    cloud = CloudStatus(
        "local", "local", "sandbox", machines=2, unknown=1, complete=True, volumes=volumes
    )
    return ControllerStatus("/srv/systems.git", "main", "", revision, "", (), (cloud,), deployments)


class FakeController:
    def __init__(self, status: ControllerStatus, kept: Outputs) -> None:
        self._status = status
        self.kept = kept
        self.outputs = kept.read
        self.living = True
        self.values = {
            "hello": (
                ParameterView("wn.1", "hostname", "127.1.0.1", "headwater"),
                ParameterView("wn.1", "token", "(secret)", "wn.1", START, "secret"),
                ParameterView("ce.1", "slots", None, "ce.1", type="integer"),
            )
        }
        self.history: dict[str, tuple[RunView, ...]] = {}
        self.steps_of: dict[tuple[str, int], tuple[StepView, ...]] = {}
        self.asked: list[tuple[str, ...]] = []
        self.logins: dict[tuple[str, str], Login] = {}
        self.store = MemoryReports(Disk())
        self._watchers: set[asyncio.Event] = set()

    def alive(self) -> bool:
        return self.living

    def status(self) -> ControllerStatus:
        return self._status

    def become(self, status: ControllerStatus) -> None:
        self._status = status
        for watcher in self._watchers:
            watcher.set()

    def become_with(self, changed: DeploymentStatus) -> None:
        others = (d for d in self._status.deployments if d.name != changed.name)
        self.become(replace(self._status, deployments=(*others, changed)))

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    async def changes(self) -> AsyncGenerator[None, None]:
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            while True:
                await event.wait()
                event.clear()
                yield
        finally:
            self._watchers.discard(event)

    def parameters(self, name: str) -> tuple[ParameterView, ...]:
        return self.values.get(name, ())

    def runs(self, name: str) -> tuple[RunView, ...]:
        return self.history.get(name, ())

    def every_run(self) -> tuple[RunView, ...]:
        return tuple(run for _, runs in sorted(self.history.items()) for run in runs)

    def steps(self, name: str, number: int) -> tuple[StepView, ...]:
        return self.steps_of.get((name, number), ())

    def test(self, name: str, *, keep: bool) -> int:
        self.asked.append(("test", name, str(keep)))
        return 7

    def reports(self, name: str) -> tuple[ReportView, ...]:
        return self.store.views(name)

    def report(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        return self.store.read(place)

    @property
    def people(self) -> Self:
        return self

    def approve(self, digest: str) -> str:
        self.asked.append(("approve", digest))
        return f"{digest} is approved"

    def suspend(self, name: str, reason: str, by: str, until: str) -> str:
        self.asked.append(("suspend", name, reason, by, until))
        return f"{name} is suspended"

    def resume(self, name: str) -> str:
        self.asked.append(("resume", name))
        return f"{name} goes on"

    def retry(self, name: str) -> str:
        self.asked.append(("retry", name))
        return f"{name} is tried again"

    def abort(self, name: str, reason: str) -> str:
        status = next(d for d in self._status.deployments if d.name == name)
        if status.is_ready:
            raise Refused(f"{name} has no run to abort: it is Ready")
        self.asked.append(("abort", name, reason))
        self.become_with(replace(status, phase=Phase.ABORTED, conditions=stalled(reason)))
        return f"{name} is aborted"

    def login(self, name: str, instance: str) -> Login:
        try:
            return self.logins[name, instance]
        except KeyError:
            raise Refused(f"{name}/{instance} has no address yet") from None
