"""Tags in the forms in which clouds keep them: tables, lists of labels, one line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

LABEL = 50
"""Characters of a label: the least of any cloud (Linode)."""
_PLACES = ("metadata", "tags", "labels", "tag", "description")
"""Where drivers show, in a node's `extra`, what was said when it was made."""
_PREFIX = "headwater"
_PLAIN = re.compile(r"[a-z0-9-]")
_ESCAPED = re.compile(r"_([0-9a-f]{2})")


class Form(StrEnum):
    TABLE = "table"
    DASHED = "dashed"
    """A table whose keys have no colons (GCE)."""
    LABELS = "labels"
    """`headwater:node:web`, and `headwater:revision:2:...` for the second part of a long one."""
    LINE = "line"
    """Labels with spaces between."""


def written(tags: Mapping[str, str], form: Form) -> dict[str, str] | list[str] | str:
    """Keys begin with `headwater:`."""
    match form:
        case Form.TABLE:
            return dict(tags)
        case Form.DASHED:
            return {key.replace(":", "-"): value for key, value in tags.items()}
        case Form.LABELS:
            return _labels(tags)
        case Form.LINE:
            return " ".join(_labels(tags))


def carried(extra: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """All tables of tags that a node shows, by whatever form."""
    for place in _PLACES:
        match extra.get(place):
            case {"items": [*items]}:
                yield _of_items(items)
            case Mapping() as table:
                yield _with_colons(table)
            case [{"key": _}, *_] as items:
                yield _of_items(items)
            case list() | tuple() as labels:
                yield _of_labels(str(label) for label in labels)
            case str() as line:
                yield _of_labels(line.split())


def _of_items(items: Iterable[object]) -> Mapping[str, object]:
    pairs = [item for item in items if isinstance(item, Mapping)]
    return _with_colons({str(pair.get("key")): pair.get("value") for pair in pairs})


def _with_colons(table: Mapping[str, object]) -> Mapping[str, object]:
    dashed = f"{_PREFIX}-"
    return {
        f"{_PREFIX}:{key.removeprefix(dashed)}" if key.startswith(dashed) else key: value
        for key, value in table.items()
        if isinstance(key, str)
    }


def _labels(tags: Mapping[str, str]) -> list[str]:
    """In lower case, digits, colons, dashes and underscores: some clouds keep nothing else."""
    return [label for key, value in tags.items() for label in _label(key, _escaped(value))]


def _label(key: str, text: str) -> Iterator[str]:
    head = f"{key}:"
    yield head + text[: LABEL - len(head)]
    text, number = text[LABEL - len(head) :], 2
    while text:
        head = f"{key}:{number}:"
        yield head + text[: LABEL - len(head)]
        text, number = text[LABEL - len(head) :], number + 1


def _of_labels(labels: Iterable[str]) -> dict[str, object]:
    parts: dict[str, dict[int, str]] = {}
    for label in labels:
        match label.split(":"):
            case [prefix, name, text] if prefix == _PREFIX:
                parts.setdefault(name, {})[1] = text
            case [prefix, name, number, text] if prefix == _PREFIX and number.isdecimal():
                parts.setdefault(name, {})[int(number)] = text
    return {
        f"{_PREFIX}:{name}": _plain("".join(found[n] for n in sorted(found)))
        for name, found in parts.items()
        if sorted(found) == list(range(1, len(found) + 1))
    }


def _escaped(value: str) -> str:
    return "".join(
        each if _PLAIN.fullmatch(each) else "".join(f"_{byte:02x}" for byte in each.encode())
        for each in value
    )


def _plain(text: str) -> str:
    whole = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return whole.encode("latin-1").decode("utf-8", errors="replace")
