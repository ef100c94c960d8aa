"""Logs: records with constant event names and fields, as JSON lines or for people."""

import logging
import sys
from dataclasses import fields
from typing import Literal, TextIO

from headwater.planning.events import (
    ActionEnded,
    CloudListed,
    Event,
    HealthChanged,
    LeakFound,
    LoopDetected,
    PassEnded,
    RevisionRead,
    RunEnded,
    SourceFailed,
    StatusChanged,
    StepEnded,
    TaskFinished,
)
from headwater.reporting.formats import HumanFormatter, JsonFormatter

_LOUD = ("asyncio", "asyncssh", "libcloud", "urllib3", "uvicorn", "watchdog")
"""Libraries that log each connection at INFO."""
log = logging.getLogger("headwater")


class EventLog:
    """A listener that writes events to the log. What merely repeats goes to DEBUG."""

    def __init__(self) -> None:
        self._told: dict[str, object] = {}

    def __call__(self, event: Event) -> None:
        level = self._level(event)
        if log.isEnabledFor(level):
            log.log(level, event.name, extra={"fields": _event_fields(event)})

    def _level(self, event: Event) -> int:  # noqa: C901, PLR0911  # one answer per event
        match event:
            case RevisionRead():
                self._told.pop("source", None)
                return logging.WARNING if event.diagnostics else logging.INFO
            case SourceFailed():
                return self._once("source", event.reason, logging.WARNING)
            case CloudListed():
                level = logging.WARNING if event.error else logging.DEBUG
                return self._once(f"cloud {event.cloud}", event.error, level)
            case PassEnded():
                return logging.DEBUG
            case ActionEnded():
                return logging.WARNING if event.error else logging.INFO
            case StepEnded() | TaskFinished():
                return logging.INFO if event.succeeded else logging.WARNING
            case HealthChanged():
                return logging.INFO if event.state == "healthy" else logging.WARNING
            case StatusChanged(deployment=name, status=None):
                self._told.pop(name, None)
                return logging.INFO
            case StatusChanged(deployment=name, status=status):
                return self._once(name, status and status.phase, logging.INFO)
            case LoopDetected() | LeakFound():
                return logging.WARNING
            case RunEnded():
                return logging.ERROR if event.result == "failure" else logging.INFO

    def _once(self, subject: str, state: object, level: int) -> int:
        """`level` for a state that differs from the last one of the subject, else DEBUG."""
        if self._told.get(subject) == state:
            return logging.DEBUG
        self._told[subject] = state
        return level


def _event_fields(event: Event) -> dict[str, object]:
    if not isinstance(event, StatusChanged):
        return {f.name: getattr(event, f.name) for f in fields(event)}
    if event.status is None:
        return {"deployment": event.deployment, "phase": "gone"}
    status = event.status
    return {
        "deployment": event.deployment,
        "phase": status.phase.value,
        "ready": status.ready,
        "desired": status.desired,
        "failed": status.failed,
        "revision": status.attempted_revision,
    }


def configure_logging(
    format: Literal["auto", "human", "json"], stream: TextIO | None = None, level: str = "INFO"
) -> None:
    """One handler on the root logger. `auto`: for people on a terminal, JSON lines elsewhere.

    Without a stream it is whatever stands as standard error at the time of each record.
    """
    terminal = (stream or sys.stderr).isatty()
    human = format == "human" or (format == "auto" and terminal)
    handler = logging.StreamHandler(stream) if stream else _StandardError()
    handler.setFormatter(HumanFormatter(colour=terminal) if human else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _StandardError(logging.StreamHandler[TextIO]):
    """Follows `sys.stderr`, which a live display replaces while it is shown."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        pass
