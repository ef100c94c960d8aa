"""YAML for people to read, as much of it as JSON's values need."""

import json
import re
from collections.abc import Iterator, Mapping

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./()-]+)*")
_OTHER_MEANING = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def dump(value: Mapping[str, object]) -> str:
    """Block style, two spaces deep; strings are quoted as in JSON unless they are plain words."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> Iterator[str]:
    """Of a mapping or a list that is not empty."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, Mapping | list | tuple) and item:
                yield f"{_scalar(key)}:"
                yield from (f"  {line}" for line in _lines(item))
            else:
                yield f"{_scalar(key)}: {_scalar(item)}"
    elif isinstance(value, list | tuple):
        for item in value:
            is_block = isinstance(item, Mapping | list | tuple) and item
            first, *others = _lines(item) if is_block else [_scalar(item)]
            yield f"- {first}"
            yield from (f"  {line}" for line in others)


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _OTHER_MEANING:
        return value
    return json.dumps(value, ensure_ascii=False)
