"""`headwater params`."""

from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import output_option, state_option
from headwater.cli.output import show, show_json
from headwater.planning.status import ParameterView
from headwater.reporting import tables


@click.command
@click.argument("name")
@output_option
@state_option
def params(name: str, output: str, state: Path) -> None:
    """Show the runtime parameters of the deployment NAME, node by node; secrets as such.

    The time is that of the last change, in UTC.
    """
    views = Client(state).get(tuple[ParameterView, ...], path_of(name, "parameters"))
    if output == "json":
        show_json(views)
    elif views:
        show(*tables.parameters(views))
    else:
        click.echo(f"{name} has no parameters yet", err=True)
