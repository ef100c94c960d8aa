"""`headwater schema`."""

from pathlib import Path

import click

from headwater.errors import HeadwaterError


@click.command
@click.argument(
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("crd"),
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is out of date.")
def schema(directory: Path, check: bool) -> int:
    """Write the JSON Schemas and CRDs of the manifests into DIRECTORY (default: crd)."""
    from headwater.manifests.schemas import schema_files  # noqa: PLC0415  # only when called

    files = {directory / name: text for name, text in schema_files().items()}
    stale = [path for path, text in files.items() if _read(path) != text]
    if check:
        for path in stale:
            click.echo(f"{path} is out of date: run `headwater schema {directory}`", err=True)
        return 1 if stale else 0
    try:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            click.echo(f"wrote {path}")
    except OSError as error:
        raise HeadwaterError(f"cannot write to {directory}: {error.strerror}") from error
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
