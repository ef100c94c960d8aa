"""Statuses as rows of text, for a terminal or a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from headwater.planning.status import (
    ControllerStatus,
    DeploymentStatus,
    ParameterView,
    ReportView,
    RunView,
)
from headwater.planning.volume_rows import written
from headwater.reporting.words import (
    counts,
    duration,
    elapsed,
    first_failure,
    short,
    shortened,
    verdict,
)

_MESSAGE = 100
_VALUE = 60


@dataclass(frozen=True, slots=True)
class Table:
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def deployments(status: ControllerStatus, now: datetime) -> Table:
    """One row per deployment."""
    rows = tuple(
        (
            d.name,
            verdict(d),
            f"{d.ready}/{d.desired}",
            short(d.applied_revision) or "-",
            elapsed(d, now) or "-",
            "" if d.is_ready else shortened(first_failure(d) or counts(d.instances), _MESSAGE),
        )
        for d in status.deployments
    )
    return Table(("DEPLOYMENT", "PHASE", "READY", "REVISION", "TIME", ""), rows)


def instances(status: DeploymentStatus) -> Table:
    """One row per instance."""
    rows = tuple(
        (
            i.instance,
            i.state,
            i.cloud or "-",
            i.machine or "-",
            i.address or "-",
            i.step if i.state != "ready" else "",
            shortened(i.message, _MESSAGE),
        )
        for i in status.instances
    )
    return Table(("INSTANCE", "STATE", "CLOUD", "MACHINE", "ADDRESS", "STEP", ""), rows)


def volumes(status: DeploymentStatus) -> Table:
    """One row per volume."""
    rows = tuple(
        (
            v.volume,
            v.state,
            written(v.size),
            "yes" if v.retain else "no",
            v.cloud or "-",
            v.id or "-",
            v.machine or "-",
            shortened(v.message, _MESSAGE),
        )
        for v in status.volumes
    )
    return Table(("VOLUME", "STATE", "SIZE", "RETAIN", "CLOUD", "ID", "MACHINE", ""), rows)


def clouds(status: ControllerStatus) -> Table:
    """One row per cloud, with how many machines there are not ours."""
    rows = tuple(
        (
            c.name,
            c.driver,
            str(c.machines),
            str(c.unknown),
            ", ".join(f"{each.number} {each.state}" for each in c.volumes) or "-",
            shortened(c.error or c.description, _MESSAGE),
        )
        for c in status.clouds
    )
    return Table(("CLOUD", "DRIVER", "MACHINES", "UNKNOWN", "VOLUMES", ""), rows)


def parameters(views: Sequence[ParameterView]) -> tuple[Table, ...]:
    """A table per node, a row per parameter; what is not set yet shows as such."""
    nodes: dict[str, list[ParameterView]] = {}
    for view in views:
        nodes.setdefault(view.instance.rpartition(".")[0], []).append(view)
    headers = ("INSTANCE", "PARAMETER", "TYPE", "VALUE", "WRITER", "TIME")
    return tuple(Table(headers, tuple(map(_parameter, of_node))) for of_node in nodes.values())


def _parameter(view: ParameterView) -> tuple[str, ...]:
    value = "(not set)" if view.value is None else shortened(view.value, _VALUE)
    at = f"{view.at:%Y-%m-%d %H:%M:%S}" if view.at else "-"
    return view.instance, view.name, view.type, value, view.writer, at


def runs(views: Sequence[RunView], now: datetime) -> Table:
    """One row per run, the newest first."""
    rows = tuple(
        (
            v.deployment,
            str(v.number),
            v.result or v.phase.value,
            short(v.revision) or "-",
            f"{v.started:%Y-%m-%d %H:%M:%S}",
            duration(max(0.0, ((v.ended or now) - v.started).total_seconds())),
            str(v.instances),
            " ".join(f"{p.phase.value} {duration(p.seconds)}," for p in v.phases).rstrip(","),
            shortened(v.reason, _MESSAGE),
        )
        for v in sorted(views, key=lambda view: (view.started, view.number), reverse=True)
    )
    headers = ("DEPLOYMENT", "RUN", "RESULT", "REVISION", "STARTED (UTC)", "TIME", "INSTANCES")
    return Table((*headers, "PHASES", ""), rows)


def reports(views: Sequence[ReportView]) -> Table:
    """One row per report that is kept."""
    rows = tuple(
        (str(v.run), v.instance, f"{v.at:%Y-%m-%d %H:%M:%S}", str(v.size), v.file) for v in views
    )
    return Table(("RUN", "INSTANCE", "TIME (UTC)", "BYTES", "FILE"), rows)


def problems(status: ControllerStatus) -> list[str]:
    """What is wrong with the repository or a cloud, in whole lines."""
    source = [f"repository: {status.source_error}"] if status.source_error else []
    return (
        source
        + list(status.diagnostics)
        + [f"cloud {c.name}: {c.error}" for c in status.clouds if c.error]
    )


def headline(status: ControllerStatus) -> str:
    """`repository main:path at 1234567`."""
    path = f":{status.path}" if status.path else ""
    at = f"at {short(status.revision)}" if status.revision else "not read yet"
    return f"{status.repository} {status.branch}{path} {at}"


def aligned(table: Table) -> str:
    """Plain text: columns padded by spaces, one line per row."""
    lines = [table.headers, *(tuple(printable(cell) for cell in row) for row in table.rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def printable(cell: str) -> str:
    """A cell may hold what a machine said: no line ends and no terminal commands get through."""
    return "".join(c if c.isprintable() else "�" if c not in "\r\n\t" else " " for c in cell)
