"""Templates: `${key}` in their strings stands for a site's value. Nothing is computed.

A string that is one placeholder and nothing else takes the value with its type; in a longer
string the value is written out. `$${` is a literal `${`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from headwater.manifests.complaints import Complaint, shown
from headwater.manifests.positions import Key
from headwater.manifests.sets import Value
from headwater.manifests.suggestions import did_you_mean

NAME = "[A-Za-z_][A-Za-z0-9_-]*"
"""The form of a placeholder's key."""
_MARK = re.compile(r"\$\$\{|\$\{(?:(" + NAME + r")\})?")


def placeholders(content: object) -> list[tuple[tuple[Key, ...], str]]:
    """Those in the strings of a document: where each stands, and how it is written."""
    return [
        (path, match[0])
        for path, text in _strings(content, ())
        for match in _MARK.finditer(text)
        if match[1]
    ]


def keys_used(content: object) -> list[str]:
    """The keys that the document names, each as often as it does."""
    return [mark[2:-1] for _, mark in placeholders(content)]


def fill(content: Any, values: Mapping[str, Value]) -> tuple[Any, list[Complaint]]:
    """The document with its placeholders filled in, and what could not be."""
    wrong: list[Complaint] = []
    return _filled(content, values, (), wrong), wrong


def _filled(
    content: object, values: Mapping[str, Value], path: tuple[Key, ...], wrong: list[Complaint]
) -> object:
    match content:
        case dict():
            return {k: _filled(part, values, (*path, k), wrong) for k, part in content.items()}
        case list():
            return [_filled(part, values, (*path, n), wrong) for n, part in enumerate(content)]
        case str() if "${" in content:
            whole = _MARK.fullmatch(content)
            if whole and whole[1] in values:
                return values[whole[1]]
            return _MARK.sub(lambda match: _written(match, values, path, wrong), content)
    return content


def _written(
    match: re.Match[str], values: Mapping[str, Value], path: tuple[Key, ...], wrong: list[Complaint]
) -> str:
    mark, key = match[0], match[1]
    if mark == "$${":
        return "${"
    if key is None:
        words = "'${' begins a placeholder, and no key and '}' follow"
        wrong.append(Complaint(path, words, "a literal '${' is written '$${'"))
    elif key not in values:
        hint = did_you_mean(key, values) or f"known here: {', '.join(values)}"
        wrong.append(Complaint(path, f"unknown placeholder '{mark}'", hint))
    elif isinstance(value := values[key], list):
        wrong.append(Complaint(path, f"{shown(mark)} is an array, and stands inside of a string"))
    else:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return mark


def _strings(content: object, path: tuple[Key, ...]) -> Iterator[tuple[tuple[Key, ...], str]]:
    match content:
        case str():
            yield path, content
        case dict():
            for key, part in content.items():
                yield from _strings(part, (*path, key))
        case list():
            for number, part in enumerate(content):
                yield from _strings(part, (*path, number))
