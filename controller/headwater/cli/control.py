"""What people say to a run: retry, abort, approve, suspend, resume."""

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import Duration, state_option


@click.command
@click.argument("name")
@state_option
def retry(name: str, state: Path) -> None:
    """Try again what failed in the deployment NAME."""
    click.echo(Client(state).post(path_of(name, "retry")))


@click.command
@click.argument("name")
@click.option("--reason", default="aborted by hand", show_default=True, help="Shown everywhere.")
@state_option
def abort(name: str, reason: str, state: Path) -> None:
    """Stop the run of the deployment NAME. Its machines stay as they are."""
    click.echo(Client(state).post(path_of(name, "abort"), reason=reason))


@click.command
@click.argument("digest")
@state_option
def approve(digest: str, state: Path) -> None:
    """Let the plan of this DIGEST through, which the guard holds back.

    `headwater plan` and `headwater status` show it. The trailer `Headwater-Approve: DIGEST` in a
    commit message does the same.
    """
    click.echo(Client(state).post("/api/v1/approvals", digest=digest))


@click.command
@click.argument("name")
@click.option("--reason", required=True, help="Shown everywhere.")
@click.option("--for", "duration", type=Duration(), metavar="D", help="Ends by itself after D.")
@state_option
def suspend(name: str, reason: str, duration: float | None, state: Path) -> None:
    """Leave the deployment NAME as it is: nothing is created, changed or deleted."""
    end = "" if duration is None else (datetime.now(UTC) + timedelta(seconds=duration)).isoformat()
    words = {"reason": reason, "by": getpass.getuser(), "until": end}
    click.echo(Client(state).post(path_of(name, "suspend"), **words))


@click.command
@click.argument("name")
@state_option
def resume(name: str, state: Path) -> None:
    """End the suspension of the deployment NAME."""
    click.echo(Client(state).post(path_of(name, "resume")))
