"""`headwater reports`."""

from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import output_option, state_option
from headwater.cli.output import show, show_json
from headwater.errors import Refused
from headwater.planning.status import ReportView
from headwater.reporting import tables


@click.command
@click.argument("name")
@click.option("--run", type=click.IntRange(min=1), help="Only of this run.")
@click.option("--instance", help="Only of this instance (`wn.3`).")
@click.option("--get", "fetch", is_flag=True, help="Fetch them: of the newest run, without --run.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Fetch them into this directory instead of the current one.",
)
@output_option
@state_option
def reports(
    *,
    name: str,
    run: int | None,
    instance: str | None,
    fetch: bool,
    to: Path | None,
    output: str,
    state: Path,
) -> None:
    """Show the reports of the deployment NAME, also of one that is gone; or fetch them."""
    client = Client(state)
    every = client.get(tuple[ReportView, ...], path_of(name, "reports"))
    fetch = fetch or to is not None
    if fetch and run is None:
        run = max((view.run for view in every), default=None)
    chosen = tuple(
        view for view in every if run in (None, view.run) and instance in (None, view.instance)
    )
    if fetch:
        _fetch(client, name, chosen, to or Path())
    if output == "json":
        show_json(chosen)
    elif chosen:
        show(tables.reports(chosen))
    else:
        click.echo(f"{name} has no such reports" if every else f"{name} has no reports", err=True)


def _fetch(client: Client, name: str, views: tuple[ReportView, ...], folder: Path) -> None:
    """The names are the controller's; nothing is unpacked."""
    for view in views:
        if Path(view.file).name != view.file:
            raise Refused(f"{view.file!r} is no name of a file")
    folder.mkdir(parents=True, exist_ok=True)
    for view in views:
        client.save(path_of(name, "reports", str(view.run), view.file), folder / view.file)
