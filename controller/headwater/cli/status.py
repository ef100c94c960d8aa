"""`headwater status`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import output_option, state_option
from headwater.cli.output import console, on_terminal, show, show_json
from headwater.errors import Refused
from headwater.planning.status import ControllerStatus, DeploymentStatus
from headwater.reporting import tables
from headwater.reporting.answers import describe
from headwater.reporting.words import short


@click.command
@click.argument("name", required=False)
@click.option("--watch", is_flag=True, help="Go on showing what changes.")
@output_option
@state_option
def status(name: str | None, watch: bool, output: str, state: Path) -> None:
    """Show every deployment, or the deployment NAME with its instances."""
    client = Client(state)
    if watch:
        _watch(client, name, output)
    elif name:
        _show(client.get(DeploymentStatus, path_of(name)), output)
    else:
        _show(client.get(ControllerStatus, "/api/v1/status"), output)


def _watch(client: Client, name: str | None, output: str) -> None:
    if output == "table" and name is None and on_terminal():
        _live(client)
        return
    told: object = None
    for everything in client.statuses():
        if (now := _chosen(everything, name)) == told:
            continue
        if output == "json":
            show_json(now, line=True)
            told = now
            continue
        if told is not None:
            click.echo()
        told = now
        _show(now, output)


def _live(client: Client) -> None:
    from rich.live import Live  # noqa: PLC0415  # only for people

    from headwater.reporting.terminal import overview  # noqa: PLC0415

    with Live(console=console(), auto_refresh=False) as live:
        for everything in client.statuses():
            live.update(overview(everything, datetime.now(UTC)), refresh=True)


def _chosen(status: ControllerStatus, name: str | None) -> ControllerStatus | DeploymentStatus:
    if name is None:
        return status
    found = next((d for d in status.deployments if d.name == name), None)
    if found is None:
        raise Refused(f"there is no deployment '{name}' (any more); see `headwater status`")
    return found


def _show(status: ControllerStatus | DeploymentStatus, output: str) -> None:
    if output == "json":
        show_json(status)
    elif isinstance(status, DeploymentStatus):
        _show_deployment(status)
    else:
        click.echo(tables.headline(status))
        for problem in tables.problems(status):
            click.echo(f"error: {tables.printable(problem)}")
        click.echo()
        if not status.deployments:
            click.echo("no deployments\n")
        show(tables.deployments(status, datetime.now(UTC)), tables.clouds(status))


def _show_deployment(status: DeploymentStatus) -> None:
    click.echo(f"{status.name}  {tables.printable(describe(status, datetime.now(UTC)))}")
    if status.description:
        click.echo(tables.printable(status.description))
    for condition in status.conditions:
        good = condition.type == "Healthy"  # the others tell what is out of the ordinary
        if condition.status is not good and condition.type != "Ready":
            said = f": {tables.printable(condition.message)}" if condition.message else ""
            click.echo(f"{condition.type} ({condition.reason}){said}")
    applied = short(status.applied_revision) or "none"
    attempted = short(status.attempted_revision)
    beside = f", {attempted} attempted" if attempted and attempted != applied else ""
    click.echo(f"revision {applied} applied{beside}")
    if status.reports:
        click.echo(f"{status.reports} reports of this run: headwater reports {status.name}")
    for diagnostic in status.diagnostics:
        click.echo(f"error: {tables.printable(diagnostic)}")
    click.echo()
    volumes = [tables.volumes(status)] if status.volumes else []
    show(tables.instances(status), *volumes)
