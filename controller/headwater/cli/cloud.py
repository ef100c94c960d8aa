"""`headwater cloud`: the clouds of the manifests, as their operator sees them."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from headwater.cli.options import output_option, state_option
from headwater.cli.output import show_json
from headwater.settings import load


@click.group
def group() -> None:
    """Look after the clouds that the manifests name."""


@group.command
@click.argument("name")
@click.option("--repo", "repository", metavar="URL", help="Local path or any URL of a repository.")
@click.option("--branch", metavar="B", help="The branch to follow.  [default: main]")
@click.option("--revision", metavar="R", help="A commit, tag or branch; default: the branch.")
@click.option("--worktree", is_flag=True, help="Check the files as they are on disk.")
@click.option("--path", metavar="P", help="Only manifests below this folder count.")
@click.option("--prices", type=click.Path(path_type=Path), help="A file of sizes' prices.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; headwater.toml if any.")
@output_option
@state_option
def check(
    name: str,
    revision: str | None,
    output: str,
    config: Path | None,
    *,
    worktree: bool,
    **flags: Any,
) -> None:
    """See whether a cloud has what the manifests ask of it; nothing is created.

    Credentials, limits, capabilities, images and sizes, one line each. The exit code is 0 when
    nothing is wrong, 1 otherwise.
    """
    from headwater.checkup import checkup  # noqa: PLC0415  # start-up time

    settings = load(flags, config)
    at = None if worktree else revision or settings.branch
    found = asyncio.run(checkup(settings, at, name))
    if output == "json":
        show_json({"cloud": name, "findings": [asdict(each) for each in found]})
    else:
        for each in found:
            click.echo(f"{'ok' if each.ok else 'problem':<8} {each.check:<13} {each.words}")
    sys.exit(0 if all(each.ok for each in found) else 1)
