"""What pydantic found wrong, in words for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headwater.manifests.positions import Key
from headwater.manifests.quantities import WRONG_FORM
from headwater.manifests.resources import Resource
from headwater.manifests.schema_of import keys_at, schema_of
from headwater.manifests.suggestions import did_you_mean

MOST = 100
"""Complaints about one resource; a file with more errors is not read by eye."""

_LONGEST_VALUE = 60
_WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "date_type": "a date such as 2027-06-01",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "an array",
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """`path` leads to the offending key in the document; it may go further than that."""

    path: tuple[Key, ...]
    message: str
    hint: str = ""


def complaints(error: ValidationError, model: type[Resource]) -> Iterator[Complaint]:
    """Every error, in pydantic's order; the last one counts what is left out past MOST."""
    errors = error.errors(include_url=False)
    for details in errors[:MOST]:
        message, hint = _words(details, model)
        yield Complaint(details["loc"], message, hint)
    if len(errors) > MOST:
        yield Complaint(errors[MOST]["loc"], f"and {len(errors) - MOST} more errors")


def shown(value: object) -> str:
    """A value as it may stand in a message: on one line, and short."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() <= 64:  # noqa: PLR2004  # TOML's own bound
            return str(value)
        case int():
            return "this integer"
        case str():
            text = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 3] + "..."
            return repr(text)
        case float():
            return repr(value)
    return _kind_of(value)


def _words(details: ErrorDetails, model: type[Resource]) -> tuple[str, str]:  # noqa: PLR0911  # a table of words
    path, value, bounds = details["loc"], details["input"], details.get("ctx", {})
    key = _last_name(path)
    match details["type"]:
        case "extra_forbidden":
            known = keys_at(schema_of(model), path[:-1])
            return f"unknown key '{key}'", did_you_mean(key, known) or _known(known)
        case "missing":
            return f"missing key '{key}'", ""
        case "literal_error" | "enum":
            choices = str(bounds["expected"]).replace(" or ", ", ")
            hint = did_you_mean(value, _unquoted(choices)) if isinstance(value, str) else ""
            return f"'{key}' is {shown(value)}, not one of {choices}", hint
        case kind if kind == WRONG_FORM:
            subject = f"'{key}'" if isinstance(value, dict | list) else shown(value)
            return f"{subject} {details['msg']}", ""
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            words = details["msg"].partition("should be ")[2]
            return f"'{key}' is {shown(value)}; it must be {words}", ""
        case "too_short" | "string_too_short":
            return f"'{key}' must not be empty", ""
        case kind if kind in _WANTED:
            return f"'{key}' must be {_WANTED[kind]}, not {_kind_of(value)}", ""
    return f"'{key}': {details['msg']}", ""


def _known(keys: tuple[str, ...]) -> str:
    return f"known here: {', '.join(keys)}" if keys else ""


def _last_name(path: tuple[Key, ...]) -> str:
    names = [key for key in path if isinstance(key, str) and key != "[key]"]
    return names[-1] if names else "resource"


def _unquoted(choices: str) -> list[str]:
    return [choice.strip("' ") for choice in choices.split(",")]


def _kind_of(value: Any) -> str:  # noqa: PLR0911  # a table of words
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int():
            return "an integer"
        case float():
            return "a float"
        case dict():
            return "a table"
        case list():
            return "an array"
    return "a date or time"
