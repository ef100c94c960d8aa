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
    """Look after what the embedded cloud has on this host; NAME is a name or an id."""


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
def volumes(output: str, state: Path) -> None:
    """Show every volume on this host, whether a machine has it or not."""
    found = _volumes(_client(state))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif found:
        rows = tuple((v["name"], v["id"], f"{v['size']} GiB", v["machine"] or "-") for v in found)
        show(Table(("NAME", "ID", "SIZE", "MACHINE"), rows))
    else:
        click.echo(f"no volumes in {_directory(state)}")


@group.command("delete-volume")
@_names
@state_option
def delete_volume(names: tuple[str, ...], state: Path) -> None:
    """Delete volumes that no machine has, and all that is on them."""
    client = _client(state)
    found = _volumes(client)
    for volume in [_chosen(found, name, state, "volume") for name in names]:
        _ask(client, "delete-volume", id=volume["id"])
        click.echo(f"{volume['name']} ({volume['id']}): gone")


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


def _chosen(
    every: list[dict[str, Any]], name: str, state: Path, kind: str = "machine"
) -> dict[str, Any]:
    found = [each for each in every if name in (each["id"], each["name"])]
    if len(found) > 1:
        ids = ", ".join(each["id"] for each in found)
        raise Refused(f"several {kind}s are named {name}: choose one of the ids {ids}")
    if not found:
        verb = {"machine": "list", "volume": "volumes"}[kind]
        where = _directory(state)
        raise Refused(f"there is no {kind} {name} in {where}: see headwater local {verb}")
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


def _volumes(client: "HostClient") -> list[dict[str, Any]]:
    from headwater.cloud.local.wire import HostError  # noqa: PLC0415  # as above

    try:
        found: list[dict[str, Any]] = client.volumes()
    except HostError as error:
        raise Stalled(error.text) from error
    return found


def _ask(client: "HostClient", verb: str, **arguments: Any) -> Any:
    from headwater.cloud.local.wire import HostError  # noqa: PLC0415  # as above

    try:
        return client.ask(verb, **arguments)
    except HostError as error:
        raise Stalled(error.text) from error
