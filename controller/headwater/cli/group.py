"""A group of commands that imports a command only when it is called."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import click

from headwater.errors import HeadwaterError

USAGE = 64
"""Exit code of wrong usage (sysexits.h); 2 is `plan`'s word for "changes"."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Verb:
    target: str
    """`module:object`"""
    summary: str


class LazyGroup(click.Group):
    """Its help comes from the table of verbs alone."""

    def __init__(self, *args: Any, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it
        return list(self._verbs)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # click passes it
        cmd_name: str,
    ) -> click.Command | None:
        if (verb := self._verbs.get(cmd_name)) is None:
            return None
        module, _, name = verb.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click passes it
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self._verbs.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Ends the process. What a command returns is its exit code; an error is one line."""
        run: Callable[[], object] = partial(
            super().main, args, prog_name, complete_var, standalone_mode=False, **extra
        )
        if not standalone_mode:
            return run()
        try:
            code: object = run()
            sys.stdout.flush()
        except click.UsageError as error:
            error.show()
            code = USAGE
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except HeadwaterError as error:
            click.echo(f"headwater: {error}", err=True)
            code = 1
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except BrokenPipeError:
            # Whoever read us has left; the interpreter must not try to flush to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def show_version(ctx: click.Context) -> None:
    from headwater.reporting.version import own_version  # noqa: PLC0415  # looks at files

    click.echo(f"headwater {own_version()}")
    ctx.exit()
