"""`headwater wait`: follow a deployment to the end of its run."""

import time
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

import click

from headwater.cli.client import Client
from headwater.cli.options import Duration, state_option
from headwater.errors import Refused
from headwater.planning.status import ControllerStatus, DeploymentStatus, Phase
from headwater.reporting.answers import describe
from headwater.reporting.tables import printable, problems
from headwater.reporting.words import short

_TIMED_OUT = 3


@click.command
@click.argument("name", required=False)
@click.option("--revision", metavar="R", help="Ready at this revision, or at one that follows it.")
@click.option("--timeout", type=Duration(), metavar="D", help="Give up after 30s, 10m ...")
@state_option
def wait(name: str | None, revision: str | None, timeout: float | None, state: Path) -> int:
    """Wait until the deployment NAME is Ready; without NAME, until all that there is is at rest.

    With a timeout, also for a controller that is only starting. Exit code 0 when it is Ready, 1
    when it failed or needs a person, 3 after the timeout.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    watch = Watch(name, revision or "")
    subject = name or "everything"
    said = "nothing was heard of it"
    try:
        client = Client(state)
        client.await_controller(timeout or 0.0)
        for status in client.statuses(deadline):
            verdict, said = watch.look(status, datetime.now(UTC))
            if verdict is not None:
                click.echo(f"{subject}: {printable(said)}", err=not verdict)
                return 0 if verdict else 1
    except TimeoutError:
        click.echo(f"{subject}: not Ready after {timeout:g} s; {printable(said)}", err=True)
        return _TIMED_OUT
    raise Refused(f"the controller of {state} stopped before {subject} was Ready; {said}")


class Watch:
    """What the statuses mean for one who waits: Ready, failed, or not decided yet."""

    def __init__(self, name: str | None, revision: str) -> None:
        self._name = name
        self._revision = revision
        self._reached = False
        self._earlier: set[str] = set()

    def look(self, status: ControllerStatus, now: datetime) -> tuple[bool | None, str]:
        """(True for Ready, False for failed or None, in words). To be called in order."""
        if self._name is None:
            return self._look_at_all(status)
        found = next((d for d in status.deployments if d.name == self._name), None)
        observed = found.observed_revision if found else ""
        self._learn(status.revision, observed)
        if found is None:
            verdict = False if status.revision and self._counts(status.revision) else None
            return verdict, _absent(status, self._name)
        if not self._counts(observed):
            return None, self._unread(status)
        return _verdict(found), describe(found, now)

    def _look_at_all(self, status: ControllerStatus) -> tuple[bool | None, str]:
        self._learn(status.revision)
        if not status.revision or not self._counts(status.revision):
            return None, self._unread(status)
        ready = sum(d.is_ready for d in status.deployments)
        said = f"{ready}/{len(status.deployments)} deployments ready"
        if not status.settled:
            return None, said
        ended = {d.name for d in status.deployments if d.is_ready or d.phase is Phase.DONE}
        wrong = [*problems(status), *(d.name for d in status.deployments if d.name not in ended)]
        return not wrong, "; ".join([said, *wrong[:1]])

    def _unread(self, status: ControllerStatus) -> str:
        trouble = f": {status.source_error}" if status.source_error else ""
        return f"revision {self._revision or 'of the branch'} has not been read yet{trouble}"

    def _learn(self, *revisions: str) -> None:
        if any(revision.startswith(self._revision) for revision in revisions):
            if not self._reached:
                self._earlier.update(r for r in revisions if not r.startswith(self._revision))
            self._reached = True
        elif not self._reached:
            self._earlier.update(revisions)

    def _counts(self, revision: str) -> bool:
        """It is the awaited one, or came after it."""
        if revision.startswith(self._revision):
            return True
        return self._reached and revision not in self._earlier


def _verdict(status: DeploymentStatus) -> bool | None:
    if status.is_ready:
        return True
    if status.verdict == "expired":
        return False if status.at_rest else None
    return False if status.is_stalled or status.phase is Phase.ABORTED else None


def _absent(status: ControllerStatus, name: str) -> str:
    if not status.revision:
        return status.source_error or "the repository has not been read yet"
    near = get_close_matches(name, [d.name for d in status.deployments], 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"no such deployment at revision {short(status.revision)}{hint}"
