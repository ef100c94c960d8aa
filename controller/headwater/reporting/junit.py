"""JUnit XML: what our own records say of a run's steps, and what recipes left in their reports."""

import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from itertools import groupby
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, indent, tostring
from xml.parsers import expat

from headwater.planning.status import StepView

MOST_FILES = 200
"""Result files read from one report."""
FILE_LIMIT = 8 * 2**20
"""Bytes of one of them."""
ARCHIVE_LIMIT = 300 * 2**20
"""Bytes that one report may unpack to, skipped ones included: more is a bomb."""
DEPTH_LIMIT = 50
_SUITES = {"testsuite", "testsuites"}


class Unreadable(Exception):
    """A recipe's result file, or a report, that is not what it should be."""


@dataclass(frozen=True, slots=True)
class Results:
    """The suites of one instance's report, or why a file of it could not be read."""

    instance: str
    suites: tuple[Element, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    """(file, why)"""


def document(name: str, steps: Sequence[StepView], results: Iterable[Results]) -> bytes:
    """One file for a CI system: a suite per instance, then what the recipes left."""
    root = Element("testsuites", name=printable(name))
    for instance, views in groupby(steps, key=lambda view: view.instance):
        root.append(_suite(f"{name}/{instance}", tuple(views)))
    for found in results:
        prefix = f"{name}/{found.instance}"
        for suite in found.suites:
            suite.set("name", printable(f"{prefix}: {suite.get('name', 'results')}"))
            root.append(suite)
        if found.unreadable:
            root.append(_unreadable(prefix, found.unreadable))
    indent(root)
    text: str = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suite(name: str, views: Sequence[StepView]) -> Element:
    failed = sum(view.result == "failed" for view in views)
    skipped = sum(view.result == "skipped" for view in views)
    seconds = max((view.seconds for view in views), default=0.0)
    suite = Element(
        "testsuite",
        name=printable(name),
        tests=str(len(views)),
        failures=str(failed),
        errors="0",
        skipped=str(skipped),
        time=f"{seconds:.3f}",
    )
    for view in views:
        case = SubElement(
            suite, "testcase", classname=printable(name), name=printable(_title(view))
        )
        if view.result == "failed":
            SubElement(case, "failure", message=printable(view.message))
        elif view.result == "skipped":
            SubElement(case, "skipped")
    return suite


def _title(view: StepView) -> str:
    return f"{view.step} ({view.component})" if view.component else view.step


def _unreadable(prefix: str, files: Sequence[tuple[str, str]]) -> Element:
    count = str(len(files))
    suite = Element("testsuite", name=printable(f"{prefix}: unreadable results"), tests=count)
    suite.set("failures", count)
    suite.set("errors", "0")
    for file, why in files:
        case = SubElement(suite, "testcase", classname=printable(prefix), name=printable(file))
        SubElement(case, "failure", message=printable(why))
    return suite


def read_report(instance: str, archive: BinaryIO) -> Results:
    """The JUnit files among the `*.xml` of a report. Nothing is unpacked, and nothing is believed.

    XML of another kind is no result: a machine's configuration may be in its report.
    """
    suites: list[Element] = []
    unreadable: list[tuple[str, str]] = []
    try:
        for file, content in _xml_files(archive):
            try:
                suites += _suites(parse(content) if content is not None else None)
            except Unreadable as error:
                unreadable.append((file, str(error)))
    except (tarfile.TarError, zlib.error, EOFError, OSError, Unreadable) as error:
        unreadable.append(("the report", f"it cannot be read: {error}"))
    return Results(instance, tuple(suites), tuple(unreadable))


def _xml_files(archive: BinaryIO) -> Iterator[tuple[str, bytes | None]]:
    """Regular files alone, wherever they say that they lie; None where one is too large."""
    files = 0
    with tarfile.open(fileobj=cast("BinaryIO", _Bounded(archive)), mode="r|") as tar:
        for member in tar:
            if not member.isreg() or PurePosixPath(member.name).suffix.lower() != ".xml":
                continue
            files += 1
            if files > MOST_FILES:
                raise Unreadable(f"it holds more than {MOST_FILES} result files")
            opened = tar.extractfile(member)
            if member.size > FILE_LIMIT or opened is None:
                yield member.name, None
            else:
                yield member.name, opened.read(FILE_LIMIT + 1)


class _Bounded:
    """What a gzip file unpacks to, as far as we are willing to go."""

    def __init__(self, archive: BinaryIO) -> None:
        self._file = GzipFile(fileobj=archive)
        self._left = ARCHIVE_LIMIT

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise Unreadable(f"it unpacks to more than {ARCHIVE_LIMIT // 2**20} MiB")
        return content


def parse(content: bytes) -> Element:
    """An element and its children, without DTDs, entities of its own, or absurd depth.

    Raises Unreadable.
    """
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator=None)
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_LIMIT:
            raise Unreadable(f"its elements are nested deeper than {DEPTH_LIMIT}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise Unreadable("it declares a document type: entities are not expanded")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)  # expat takes it by place
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unreadable(f"it is not XML: {error}") from None
    return builder.close()


def _suites(root: Element | None) -> list[Element]:
    if root is None:
        raise Unreadable(f"it is larger than {FILE_LIMIT // 2**20} MiB")
    if root.tag == "testsuite":
        return [root]
    return [suite for suite in root if suite.tag == "testsuite"] if root.tag in _SUITES else []


def printable(text: str) -> str:
    """What XML 1.0 can carry, and nothing that a terminal would obey."""
    return "".join(c if c in "\t\n" or (c >= " " and _is_character(c)) else "�" for c in text)


def _is_character(c: str) -> bool:
    return not ("\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff")
