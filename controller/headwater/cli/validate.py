"""`headwater validate`: every error in manifests, with its place."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from headwater.cli.options import output_option

_SHOWN = 10
"""Deployments of a set that are named."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@output_option
def validate(paths: tuple[Path, ...], output: str) -> None:
    """Check the manifests of directories (each one as a whole repository) or files.

    A file is checked within its repository, or within its own folder outside of one. The exit
    code is 0 when nothing is wrong, 1 otherwise.
    """
    from headwater.cli.output import show_json  # noqa: PLC0415  # start-up time
    from headwater.manifests.catalog import compile_catalog  # noqa: PLC0415
    from headwater.manifests.parse import Parser  # noqa: PLC0415
    from headwater.source.worktrees import snapshot_of_worktree  # noqa: PLC0415

    errors = []
    resources = 0
    sets: dict[str, tuple[str, ...]] = {}
    today = datetime.now(UTC).date()
    for path in paths:
        root = path if path.is_dir() else _root(path)
        catalog = compile_catalog(snapshot_of_worktree(root), Parser(), today=today)
        inside = "" if path.is_dir() else path.resolve().relative_to(root.resolve()).as_posix()
        found = [d for d in catalog.diagnostics if not inside or d.path == inside]
        errors += [(root, diagnostic) for diagnostic in found]
        resources += catalog.resources
        sets |= catalog.sets
    if output == "json":
        show_json([{"root": str(root), **_document(diagnostic)} for root, diagnostic in errors])
    else:
        for root, diagnostic in errors:
            click.echo(f"{root}/{diagnostic}" if str(root) != "." else str(diagnostic))
        for name, made in sorted(sets.items()):
            more = f" and {len(made) - _SHOWN} more" if len(made) > _SHOWN else ""
            click.echo(f"set {name} makes {', '.join(made[:_SHOWN])}{more}", err=True)
        click.echo(f"{resources} resources, {len(errors)} errors", err=True)
    sys.exit(1 if errors else 0)


def _document(diagnostic: object) -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415

    return asdict(diagnostic)  # type: ignore[call-overload, no-any-return]


def _root(file: Path) -> Path:
    """The work tree that holds the file, or its folder."""
    for folder in file.resolve().parents:
        if (folder / ".git").exists():
            return folder
    return file.resolve().parent
