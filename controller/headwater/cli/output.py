"""Where output goes: to a person on a terminal, or into a pipe."""

import json
import sys
from typing import TYPE_CHECKING

import click

from headwater.reporting.tables import Table, aligned
from headwater.web.encoding import encode

if TYPE_CHECKING:
    from rich.console import Console


def on_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> "Console":
    """Standard output with colour where it is a terminal that wants it."""
    from rich.console import Console  # noqa: PLC0415  # slow to import, and pipes do without

    return Console(highlight=False)


def show(*tables: Table) -> None:
    """The tables that have rows, an empty line between two."""
    for number, table in enumerate(t for t in tables if t.rows):
        if number:
            click.echo()
        if on_terminal():
            from headwater.reporting.terminal import rendered  # noqa: PLC0415  # as above

            console().print(rendered(table))
        else:
            click.echo(aligned(table))


def show_json(value: object, *, line: bool = False) -> None:
    """JSON with the API's own names: indented, or as one line."""
    click.echo(json.dumps(encode(value), indent=None if line else 2, ensure_ascii=False))
    sys.stdout.flush()
