"""`headwater runs`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import output_option, state_option
from headwater.cli.output import show, show_json
from headwater.planning.status import RunView
from headwater.reporting import tables


@click.command
@click.argument("name", required=False)
@output_option
@state_option
def runs(name: str | None, output: str, state: Path) -> None:
    """Show the last runs of every deployment, or of the deployment NAME, which may be gone."""
    path = path_of(name, "runs") if name else "/api/v1/runs"
    views = Client(state).get(tuple[RunView, ...], path)
    if output == "json":
        show_json(views)
    elif views:
        show(tables.runs(views, datetime.now(UTC)))
    else:
        click.echo("no runs yet", err=True)
