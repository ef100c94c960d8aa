"""`headwater plan`: what would happen, for any revision, branch or work tree."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.options import state_option
from headwater.settings import load

if TYPE_CHECKING:
    from headwater.planning.planner import Plan

CHANGES = 2
ERRORS = 1


@click.command()
@click.argument("name", required=False)
@click.option("--repo", "repository", metavar="URL", help="Local path or any URL of a repository.")
@click.option("--branch", metavar="B", help="The branch to follow.  [default: main]")
@click.option("--revision", metavar="R", help="A commit, tag or branch; default: the branch.")
@click.option("--worktree", is_flag=True, help="Plan the files as they are on disk.")
@click.option("--path", metavar="P", help="Only manifests below this folder count.")
@click.option("--prices", type=click.Path(path_type=Path), help="A file of sizes' prices.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; headwater.toml if any.")
@click.option("--output", "-o", type=click.Choice(["text", "markdown", "json"]), default="text")
@state_option
def plan(
    name: str | None,
    revision: str | None,
    output: str,
    config: Path | None,
    *,
    worktree: bool,
    **flags: Any,
) -> None:
    """Show what would happen, to one deployment or to all, and change nothing.

    The exit code is 0 without changes, 2 with changes, 1 when something is wrong.
    """
    from headwater.preview import preview  # noqa: PLC0415  # start-up time

    settings = load(flags, config)
    at = None if worktree else revision or settings.branch
    shown = asyncio.run(preview(settings, at, name))
    for error in shown.errors:
        click.echo(error, err=True)
    click.echo(_rendered(shown.plans, shown.errors, output), nl=False)
    sys.exit(ERRORS if shown.errors else CHANGES if shown.changes else 0)


def _rendered(plans: "tuple[Plan, ...]", errors: tuple[str, ...], output: str) -> str:
    from headwater.planning import render  # noqa: PLC0415

    if output == "json":
        return json.dumps({**render.as_document(plans), "errors": errors}, indent=2) + "\n"
    return render.as_markdown(plans) if output == "markdown" else render.as_text(plans)
