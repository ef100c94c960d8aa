"""One run followed to its end, for those who wait for it: what it prints, and what it came to."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

import click

from headwater.cli.client import Client, path_of
from headwater.cli.logs import Lines, write
from headwater.errors import HeadwaterError, Refused
from headwater.planning.status import ControllerStatus, DeploymentStatus
from headwater.reporting.tables import printable
from headwater.reporting.words import short

PASSED, FAILED, IMPOSSIBLE, TIMED_OUT = 0, 1, 2, 3
LAST_WORDS = 120.0
"""Seconds for a run that we stopped to come to its end, reports included."""
_IMPOSSIBLE = {"InvalidManifest", "SecretUnavailable", "Unsupported"}


@dataclass(slots=True)
class Followed:
    """A run of a deployment, at the controller that the client speaks to."""

    client: Client
    name: str
    deadline: float | None = None
    """In the seconds of `time.monotonic()`."""
    run: int = 0
    begun_here: bool = False
    """It is there because we asked for it: when we give up, it ends."""
    _shown: dict[str, int] = field(default_factory=dict)
    """Characters of what it printed, by instance."""

    def begin(self, revision: str, *, keep: bool) -> None:
        """Join the run of that revision, or have one begun. Raises Refused, TimeoutError."""
        if revision.strip("0123456789abcdef"):
            raise Refused(f"{revision!r} is no commit's id, and the controller knows no other name")
        before = self._found(revision)
        answer = self.client.ask(path_of(self.name, "test"), keep="1" if keep else "")
        self.run = int(answer["run"])
        self.begun_here = self.begun_here or self.run > before.run

    def _found(self, revision: str) -> DeploymentStatus:
        """As soon as the controller has looked at it, at that revision."""
        for status in self._statuses():
            here = bool(status.revision) and status.revision.startswith(revision)
            found = next((d for d in status.deployments if d.name == self.name), None)
            if here and found is None:
                raise Refused(_absent(status, self.name))
            if here and found and found.observed_revision == status.revision:
                if why := _impossible(found):
                    raise Refused(why)
                return found
        raise Refused("the controller stopped before it had looked at the deployment")

    def end(self) -> DeploymentStatus:
        """The status when the run is over. Raises TimeoutError, and Refused where it cannot be."""
        told: Output | None = None
        try:
            for status in self._statuses():
                found = next((d for d in status.deployments if d.name == self.name), None)
                if found is None or found.run > self.run:
                    raise Refused(f"{self.name}: run {self.run} was broken off by another revision")
                if found.run < self.run:
                    continue
                if told is None and found.started is not None:
                    told = Output(self.client, self.name, found.started, self._shown)
                    told.start()
                if why := _impossible(found) or _waits(found):
                    raise Refused(why)
                if found.at_rest:
                    return found
            raise Refused("the controller stopped before the run was over")
        finally:
            if told is not None:
                told.finish()

    def give_up(self, reason: str) -> None:
        """Stop what we began; whatever it still has to say comes first."""
        if not self.begun_here:
            return
        with suppress(HeadwaterError, TimeoutError):
            self.client.post(path_of(self.name, "abort"), reason=reason)
            self.deadline = time.monotonic() + LAST_WORDS
            self.end()

    def _statuses(self) -> Iterator[ControllerStatus]:
        return self.client.statuses(self.deadline)


@dataclass(slots=True)
class Output:
    """What the recipes of a run print, as they print it."""

    client: Client
    name: str
    since: datetime
    shown: dict[str, int]
    """Characters, by instance: what was shown is not shown again."""
    _lines: Lines = field(default_factory=lambda: Lines(prefixed=True))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finished: bool = False

    def start(self) -> None:
        threading.Thread(target=self._follow, name="output", daemon=True).start()

    def _follow(self) -> None:
        with suppress(HeadwaterError, TimeoutError):
            for instance, text in self._new(follow="1"):
                with self._lock:
                    if self._finished:
                        return
                    self._show(instance, text)

    def finish(self) -> None:
        """Show what the stream had not brought yet; nothing after that."""
        with self._lock:
            self._finished = True
        with suppress(HeadwaterError, TimeoutError):
            for instance, text in self._new():
                self._show(instance, text)
        write(self._lines.rest())

    def _show(self, instance: str, text: str) -> None:
        self.shown[instance] = self.shown.get(instance, 0) + len(text)
        write(self._lines.whole(instance, text))

    def _new(self, **query: str) -> Iterator[tuple[str, str]]:
        """The whole stream without what has been shown."""
        known = dict(self.shown)
        since = self.since.isoformat()
        path = path_of(self.name, "logs", history="1", since=since, **query)
        for piece in self.client.lines(path):
            instance, text = piece["instance"], piece["text"]
            skipped = min(known.get(instance, 0), len(text))
            known[instance] = known.get(instance, 0) - skipped
            if skipped < len(text):
                yield instance, text[skipped:]


def _impossible(status: DeploymentStatus) -> str:
    stalled = status.condition("Stalled")
    if stalled is None or not stalled.status or stalled.reason not in _IMPOSSIBLE:
        return ""
    return stalled.message


def _waits(status: DeploymentStatus) -> str:
    if not status.may_go_on:
        return ""
    stalled = status.condition("Stalled")
    why = status.suspended or (stalled.message if stalled else "")
    return f"{status.name} waits for a person: {why}"


def _absent(status: ControllerStatus, name: str) -> str:
    near = get_close_matches(name, [d.name for d in status.deployments], 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"there is no deployment {name} at revision {short(status.revision)}{hint}"


def say(text: str) -> None:
    """To people, beside what recipes print."""
    click.echo(printable(text), err=True)
