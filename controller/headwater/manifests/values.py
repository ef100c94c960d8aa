"""Types of parameters. A value is text on every machine; a type says which texts it may be."""

import re
from enum import StrEnum

LONGEST_VALUE = 64 * 1024
"""Bytes of a runtime parameter in UTF-8 (semantics.md 7)."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)
_SHOWN = 40


class ParameterType(StrEnum):
    STRING = "string"
    """Any text."""
    INTEGER = "integer"
    """64 bits, in decimal digits."""
    BOOLEAN = "boolean"
    """`true` or `false`."""
    LIST = "list"
    """One item per line."""
    SECRET = "secret"  # noqa: S105  # the name of a type
    """Any text, shown to nobody but the machines that refer to it."""


class WrongValue(Exception):
    """The text is no value of the type. Says why, and never shows a secret."""


def canonical(type: ParameterType, text: str) -> str:
    """The one way to write the value. Raises WrongValue."""
    if (size := len(text.encode(errors="replace"))) > LONGEST_VALUE:
        raise WrongValue(f"has {size} bytes; a value has at most {LONGEST_VALUE}")
    if "\0" in text:
        raise WrongValue("is binary (it holds a NUL): encode it, with base64 for example")
    match type:
        case ParameterType.INTEGER:
            written = text.strip()
            if not _INTEGER.fullmatch(written) or int(written) not in _INTEGERS:
                raise WrongValue(f"is an integer of 64 bits, and {shown(text)} is not")
            return str(int(written))
        case ParameterType.BOOLEAN:
            if (written := text.strip().lower()) not in {"true", "false"}:
                raise WrongValue(f"is true or false, and {shown(text)} is neither")
            return written
        case ParameterType.LIST:
            return text.removesuffix("\n")
    return text


def misfit(source: ParameterType, target: ParameterType, *, every: bool) -> str:
    """Why an output cannot be an input's value; empty where it can.

    `every`: of all instances of the node, one item per line.
    """
    if ParameterType.SECRET in {source, target}:
        if source is target:
            return ""
        secret = "the output" if source is ParameterType.SECRET else "the input"
        return f"only {secret} is a secret"
    if every:
        fits = target in {ParameterType.STRING, ParameterType.LIST}
        return "" if fits else f"it is a list, and the input is {named(target)}"
    fits = target in {ParameterType.STRING, source}
    return "" if fits else f"the output is {named(source)}, and the input is {named(target)}"


def named(type: ParameterType) -> str:
    """`an integer`."""
    return f"{'an' if type is ParameterType.INTEGER else 'a'} {type}"


def shown(text: str) -> str:
    """A value that is no secret, short enough for a sentence."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
