"""`headwater local`: the machines of the embedded cloud, as its operator sees them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.options import output_option, state_option
from headwater.cli.output import show
from headwater.errors import Refused, Stalled
from headwater.reporting.tables import Table

if TYPE_CHECKING:
    from headwater.cloud.local.client import HostClient

_names = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@click.group
def group() -> None:
    """Look after the machines of the embedded cloud; NAME is a machine's name or its id."""


@group.command("list")
@output_option
@state_option
def list_machines(output: str, state: Path) -> None:
    """Show every machine on this host."""
    machines, notes = _listing(_client(state))
    if output == "json":
        click.echo(json.dumps(machines, indent=2))
    elif machines:
        rows = tuple(_row(machine) for machine in machines)
        show(Table(("NAME", "ID", "STATE", "LEVEL", "ADDRESS", "CREATED"), rows))
    else:
        click.echo(f"no machines in {_directory(state)}")
    for note in notes:
        click.echo(f"note: {note}", err=True)


@group.command
@_names
@state_option
def stop(names: tuple[str, ...], state: Path) -> None:
    """Shut machines down; their file systems stay."""
    _each("stop", names, state)


@group.command
@_names
@state_option
def start(names: tuple[str, ...], state: Path) -> None:
    """Boot stopped machines."""
    _each("start", names, state)


@group.command
@_names
@state_option
def kill(names: tuple[str, ...], state: Path) -> None:
    """Cut the power of machines: nothing that runs is asked."""
    _each("kill", names, state)


@group.command
@_names
@state_option
def remove(names: tuple[str, ...], state: Path) -> None:
    """Remove machines and all that is on them."""
    _each("remove", names, state)


@group.command
@output_option
@state_option
def levels(output: str, state: Path) -> None:
    """Try which levels of isolation this host can give, best first."""
    reasons: dict[str, str] = _ask(_client(state), "probe")
    if output == "json":
        click.echo(json.dumps(reasons, indent=2))
        return
    rows = tuple((level, "no" if why else "yes", why) for level, why in reasons.items())
    show(Table(("LEVEL", "POSSIBLE", "WHY NOT"), rows))


def _each(verb: str, names: tuple[str, ...], state: Path) -> None:
    client = _client(state)
    machines, _ = _listing(client)
    for machine in [_chosen(machines, name, state) for name in names]:
        answer = _ask(client, verb, id=machine["id"])
        click.echo(f"{machine['name']} ({machine['id']}): {answer['state'] if answer else 'gone'}")


def _chosen(machines: list[dict[str, Any]], name: str, state: Path) -> dict[str, Any]:
    found = [machine for machine in machines if name in (machine["id"], machine["name"])]
    if len(found) > 1:
        ids = ", ".join(machine["id"] for machine in found)
        raise Refused(f"several machines are named {name}: choose one of the ids {ids}")
    if not found:
        raise Refused(
            f"there is no machine {name} in {_directory(state)}: see headwater local list"
        )
    return found[0]


def _row(machine: dict[str, Any]) -> tuple[str, ...]:
    address = f"{machine['address']}:{machine['port']}" if machine["state"] == "running" else "-"
    created = machine["created"].partition(".")[0].replace("T", " ")
    return machine["name"], machine["id"], machine["state"], machine["level"], address, created


def _client(state: Path) -> "HostClient":
    from headwater.cloud.local.client import HostClient  # noqa: PLC0415  # only where it is needed
    from headwater.cloud.local.layout import Layout  # noqa: PLC0415  # as above

    return HostClient(Layout(_directory(state)))


def _directory(state: Path) -> Path:
    return (state / "local").resolve()


def _listing(client: "HostClient") -> tuple[list[dict[str, Any]], list[str]]:
    """The machines and the notes about others; nothing is started where there are none."""
    if not client.has_machines():
        return [], []
    listing = _ask(client, "list")
    return listing["nodes"], listing["notes"]


def _ask(client: "HostClient", verb: str, **arguments: Any) -> Any:
    from headwater.cloud.local.wire import HostError  # noqa: PLC0415  # as above

    try:
        return client.ask(verb, **arguments)
    except HostError as error:
        raise Stalled(error.text) from error
