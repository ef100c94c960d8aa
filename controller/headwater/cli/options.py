"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from headwater.settings import default_state, seconds

_F = TypeVar("_F", bound=Callable[..., Any])


def state_option(function: _F) -> _F:
    """`--state DIR` as the argument `state`, always a path."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_state,
        show_default="$HEADWATER_STATE or .headwater",
        help="State directory of the controller.",
    )(function)


def output_option(function: _F) -> _F:
    """`--output table|json` as the argument `output`."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people, or for programs.",
    )(function)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """`30s`, `10m`, `1.5h` or a number of seconds, as seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
