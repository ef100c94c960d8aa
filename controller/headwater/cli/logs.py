"""`headwater logs`."""

import sys
from pathlib import Path

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import state_option
from headwater.cli.output import on_terminal
from headwater.reporting.tables import printable


@click.command
@click.argument("name")
@click.argument("instance", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on as more is printed.")
@click.option("--all", "history", is_flag=True, help="Also what earlier runs and machines printed.")
@state_option
def logs(name: str, instance: str | None, follow: bool, history: bool, state: Path) -> None:
    """Show what the recipes of the deployment NAME printed, or those of one INSTANCE (`wn.3`).

    Lines of several instances begin with the instance's name.
    """
    path = path_of(
        name,
        "logs",
        instance=instance or "",
        follow="1" if follow else "",
        history="1" if history else "",
    )
    lines = Lines(prefixed=instance is None)
    for piece in Client(state).lines(path):
        write(lines.whole(piece["instance"], piece["text"]))
    write(lines.rest())


class Lines:
    """Pieces of several outputs as lines that do not mix."""

    def __init__(self, *, prefixed: bool) -> None:
        self._prefixed = prefixed
        self._begun: dict[str, str] = {}

    def whole(self, instance: str, text: str) -> str:
        """What is complete with this piece; one output alone is passed on as it comes."""
        if not self._prefixed:
            return text
        *lines, rest = (self._begun.pop(instance, "") + text).split("\n")
        self._begun[instance] = rest
        return "".join(f"{instance} | {line}\n" for line in lines)

    def rest(self) -> str:
        """The last lines, where they have no end."""
        return "".join(f"{i} | {line}\n" for i, line in sorted(self._begun.items()) if line)


def write(text: str) -> None:
    """To standard output at once; a terminal gets no commands from a machine's output."""
    if on_terminal():
        text = "\n".join(printable(line) for line in text.split("\n"))
    sys.stdout.write(text)
    sys.stdout.flush()
