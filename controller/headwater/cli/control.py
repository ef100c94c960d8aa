"""`headwater retry` and `headwater abort`."""

from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import state_option


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
