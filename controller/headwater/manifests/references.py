"""What a node's input may be bound to: a literal, another node's output, a secret by name."""

import re
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from headwater.manifests.quantities import wrong
from headwater.manifests.resolved import Binding, Literal, Reference, Secret
from headwater.manifests.values import LONGEST_VALUE

_REFERENCE = r"^([a-z][a-z0-9-]*)(\[(\*|[1-9][0-9]{0,4})\])?\.([A-Za-z0-9_][A-Za-z0-9_.-]*)$"
_STEP = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
_SECRET = rf"^{_STEP}(/{_STEP})*$"
_OF_ITSELF = re.compile(r"(hostname|instanceId|state|url\..+)\Z")


def exists_by_itself(output: str) -> bool:
    """Whether every instance has this output without declaring it."""
    return _OF_ITSELF.match(output) is not None


def binding(value: object) -> Binding:
    """Raises a validation error that says what may stand here."""
    match value:
        case {"from": str(reference), **rest} if not rest:
            return _reference(reference)
        case {"secret": str(name), **rest} if not rest:
            if not re.fullmatch(_SECRET, name):
                raise wrong(
                    "names no secret: write 'name' or 'folder/name', of letters, digits, _ - ."
                )
            return Secret(name)
        case dict():
            raise wrong("is not an input: a table is { from = '...' }; a name with dots is quoted")
        case list():
            return _literal("\n".join(map(_item, value)), many=True)
    return _literal(_text(value))


def default(value: object) -> Literal:
    """Raises a validation error that says what may stand here."""
    if isinstance(bound := binding(value), Literal):
        return bound
    raise wrong("is not a default: a string, an integer, true, false, or an array of these")


def _literal(text: str, *, many: bool = False) -> Literal:
    if len(text.encode(errors="replace")) > LONGEST_VALUE:
        raise wrong("is too long: a parameter holds at most 64 KiB")
    return Literal(text, many)


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
    raise wrong("is not an input: a string, an integer, true, false, an array of these, or a table")


def _item(value: object) -> str:
    if "\n" in (text := _text(value)):
        raise wrong("is not an input: an item of an array is one line")
    return text


def _reference(text: str) -> Reference:
    if not (match := re.fullmatch(_REFERENCE, text)):
        raise wrong("refers to no output: write 'ce.hostname', 'wn[3].slots' or 'wn[*].hostname'")
    node, _, index, output = match.groups()
    return Reference(node, None if index == "*" else int(index or 1), output)


_SCALAR: list[dict[str, Any]] = [{"type": t} for t in ("string", "integer", "boolean")]


def _table(key: str, pattern: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string", "pattern": pattern}},
        "required": [key],
        "additionalProperties": False,
    }


_LITERAL: list[dict[str, Any]] = [*_SCALAR, {"type": "array", "items": {"anyOf": _SCALAR}}]

DefaultValue = Annotated[Literal, PlainValidator(default), WithJsonSchema({"anyOf": _LITERAL})]
InputValue = Annotated[
    Binding,
    PlainValidator(binding),
    WithJsonSchema(
        {
            "anyOf": [
                *_LITERAL,
                _table("from", _REFERENCE),
                _table("secret", _SECRET),
            ]
        }
    ),
]
