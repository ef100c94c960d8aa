"""Tables and statuses with colour, by rich."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from headwater.planning.status import ControllerStatus, DeploymentStatus
from headwater.reporting import tables

_STYLES = {
    "Ready": "green",
    "ready": "green",
    "Passed": "green",
    "success": "green",
    "Failed": "bold red",
    "failure": "bold red",
    "failed": "bold red",
    "unhealthy": "bold red",
    "Stalled": "bold red",
    "Aborted": "bold red",
    "unreachable": "yellow",
    "missing": "yellow",
    "outdated": "yellow",
    "Executing": "cyan",
    "Provisioning": "cyan",
    "Initializing": "cyan",
    "contextualising": "cyan",
    "checking": "cyan",
    "pending": "cyan",
    "(not set)": "dim",
    "-": "dim",
}
_FAILURES_SHOWN = 5


def rendered(table: tables.Table) -> RichTable:
    """A table without lines; words that name a state have its colour."""
    result = RichTable(box=None, pad_edge=False, header_style="dim")
    for header in table.headers:
        result.add_column(header, no_wrap=header != "", overflow="fold")
    for row in table.rows:
        result.add_row(*(Text(tables.printable(cell), _STYLES.get(cell, "")) for cell in row))
    return result


def overview(status: ControllerStatus, now: datetime) -> RenderableType:
    """Where the controller stands: revision, errors, one line per deployment, what fails."""
    parts: list[RenderableType] = [Text(tables.headline(status), "bold")]
    parts += [Text(line, "red") for line in tables.problems(status)]
    if status.deployments:
        parts.append(rendered(tables.deployments(status, now)))
    parts += [line for d in status.deployments for line in _failures(d)]
    return Group(*parts)


def _failures(status: DeploymentStatus) -> list[Text]:
    failed = [i for i in status.instances if i.state in {"failed", "unhealthy"}]
    if len(failed) <= 1:
        return []  # the row of the deployment says it already
    lines = [
        Text(f"  {status.name}/{i.instance}: {i.message or i.step or 'failed'}", "red")
        for i in failed[:_FAILURES_SHOWN]
    ]
    rest = len(failed) - _FAILURES_SHOWN
    return [*lines, Text(f"  and {rest} more", "red")] if rest > 0 else lines
