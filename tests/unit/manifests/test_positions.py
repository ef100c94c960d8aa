"""Every key and every item is found where it stands."""

import tomllib
from collections.abc import Iterator
from itertools import count
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from headwater.manifests.positions import Key, Lines, line_and_column, locate, scan
from unit.manifests.texts import unhurried

DOCUMENT = '''\
title = "one"  # a comment with = and [brackets]
dotted.'quoted key'."a.b" = 1
inline = { a = 1, b.c = [1, { d = """x
"y" ]""" }], "e" = '}' }
many = [
  "one", # , not an item
  'two',
  [3, 4],
]

[ table . "sub.table" ]
key = 1979-05-27 07:32:00

[[people]]
name = "Ann"
[[people.pets]]
name = "Rex"

[[people]]
name = """
Bob\\""" """""
[people.address]
city = 'Bern'

[table]
late = true
'''


def place(text: str, *path: Key) -> tuple[int, int]:
    return line_and_column(text, locate(scan(text), path).offset)


def test_all_ways_of_writing_are_placed():
    assert place(DOCUMENT, "title") == (1, 1)
    assert place(DOCUMENT, "dotted", "quoted key") == (2, 8)
    assert place(DOCUMENT, "dotted", "quoted key", "a.b") == (2, 21)
    assert place(DOCUMENT, "inline", "b", "c", 1, "d") == (3, 31)
    assert place(DOCUMENT, "inline", "e") == (4, 14)
    assert place(DOCUMENT, "many", 1) == (7, 3)
    assert place(DOCUMENT, "many", 2, 1) == (8, 7)
    assert place(DOCUMENT, "table", "sub.table", "key") == (12, 1)
    assert place(DOCUMENT, "people", 0, "pets", 0, "name") == (17, 1)
    assert place(DOCUMENT, "people", 1, "address", "city") == (23, 1)
    assert place(DOCUMENT, "table") == (25, 2)
    assert place(DOCUMENT, "table", "late") == (26, 1)


def test_columns_count_code_points():
    assert place('a = { "é\N{GRINNING FACE}" = 1, b = 2 }', "a", "b") == (1, 17)


def test_what_is_not_in_the_document_is_skipped():
    assert place(DOCUMENT, "table", "sub.table", "missing") == (11, 11)
    assert place(DOCUMENT, "some-union-tag", "title") == (1, 1)


keys = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
    st.dates(),
    st.datetimes(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def paths(value: Any, above: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    if above:
        yield above
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, dict | list):
            yield from paths(part, (*above, key))
        else:
            yield (*above, key)


@unhurried
@given(st.dictionaries(keys, values, max_size=6), st.booleans())
def test_every_path_of_a_document_is_found(content, multiline):
    text = tomli_w.dumps(content, multiline_strings=multiline)
    root = scan(text)

    for path in paths(tomllib.loads(text)):
        found = root
        for key in path:
            assert key in found.parts, path
            found = found.parts[key]


@unhurried
@given(st.dictionaries(keys, values, max_size=6))
def test_every_key_is_on_its_own_line(content):
    content = marked(content, count())
    text = tomli_w.dumps(content)
    lines = text.split("\n")

    for path in paths(content):
        if isinstance(path[-1], str):
            line, column = line_and_column(text, locate(scan(text), path).offset)
            assert lines[line - 1][column - 1 :].startswith(path[-1])


def marked(value: Any, numbers: Iterator[int]) -> Any:
    """The same shape, with keys that occur only once."""
    if isinstance(value, dict):
        return {f"key-{next(numbers):04}": marked(part, numbers) for part in value.values()}
    if isinstance(value, list):
        return [marked(part, numbers) for part in value]
    return value


@given(st.text("a\nb", max_size=30))
def test_many_offsets_of_a_text_are_placed_as_one_is(text):
    lines = Lines(text)

    for offset in range(len(text) + 1):
        assert lines.place(offset) == line_and_column(text, offset)
