"""What a run leaves to those who waited for it: its reports, and JUnit XML."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from headwater.cli.client import Client, path_of
from headwater.errors import Refused
from headwater.planning.status import ReportView, StepView
from headwater.reporting.junit import document, read_report


def collect(
    client: Client, name: str, run: int, *, reports: Path | None, junit: Path | None
) -> None:
    """Into the directory and the file, where they are asked for."""
    if reports is None and junit is None:
        return
    with TemporaryDirectory(prefix="headwater-reports-") as scratch:
        found = _fetch(client, name, run, reports or Path(scratch))
        if junit is None:
            return
        steps = client.get(tuple[StepView, ...], path_of(name, "runs", str(run), "steps"))
        results = []
        for view, file in found:
            with file.open("rb") as archive:
                results.append(read_report(view.instance, archive))
        _write(junit, document(name, steps, results))


def _fetch(client: Client, name: str, run: int, folder: Path) -> Sequence[tuple[ReportView, Path]]:
    views = client.get(tuple[ReportView, ...], path_of(name, "reports"))
    found = []
    _prepare(folder)
    for view in views:
        if view.run != run:
            continue
        if Path(view.file).name != view.file:
            raise Refused(f"{view.file!r} is no name of a report")
        file = folder / view.file
        with file.open("wb") as opened:
            client.fetch(path_of(name, "reports", str(run), view.file), opened)
        found.append((view, file))
    return found


def _write(file: Path, content: bytes) -> None:
    _prepare(file.parent)
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Refused(f"cannot write {file}: {error.strerror}") from None


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}") from None
