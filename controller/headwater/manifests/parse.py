"""From the bytes of a file to the resources it defines, and every error with its place."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from headwater.manifests.complaints import Complaint, complaints, shown
from headwater.manifests.deployment import Deployment
from headwater.manifests.model import API_VERSION
from headwater.manifests.placeholders import placeholders
from headwater.manifests.positions import Key, Lines, Place, line_and_column, locate, scan
from headwater.manifests.quantities import LABEL
from headwater.manifests.resolved import Diagnostic
from headwater.manifests.resources import KINDS, Resource
from headwater.manifests.sets import DeploymentSet
from headwater.manifests.snapshot import File, FileKind, Snapshot
from headwater.manifests.suggestions import did_you_mean
from headwater.manifests.unsupported import UNSUPPORTED_KINDS, unsupported

NOT_MANIFESTS = frozenset({"headwater.toml", "images.lock.toml", "pyproject.toml", "tombi.toml"})
"""TOML files of tools; so is everything whose name, or a folder's above it, begins with a dot."""

_LARGEST = 1024 * 1024
_MANY_DOTS = 100
_DEEP_KEY = re.compile(r"""(?<!["'\w-])(?:["'\w-]++[ \t]*+\.[ \t]*+){100}""")
"""tomllib's time is quadratic in the dots of a key: a megabyte of them takes minutes."""

_BOM = b"\xef\xbb\xbf"
_PLACE_IN_WORDS = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


@dataclass(frozen=True)
class Document:
    """A file, and where its keys stand."""

    path: str
    text: str

    @cached_property
    def _places(self) -> Place:
        return scan(self.text)

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.text)

    def diagnose(self, path: Iterable[Key], message: str, hint: str = "") -> Diagnostic:
        """Placed at the key, or at the nearest table above it that is in the document."""
        line, column = self._lines.place(locate(self._places, path).offset)
        return Diagnostic(self.path, line, column, message, hint)


@dataclass(frozen=True, slots=True)
class Definition:
    """A resource as a file defines it; `resource` is None where it is wrong."""

    kind: str
    name: str
    document: Document
    key: tuple[Key, ...]
    """Where in the document: empty, or an item of `resources`."""
    resource: Resource | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def path(self) -> str:
        return self.document.path

    def diagnose(self, path: Iterable[Key], message: str, hint: str = "") -> Diagnostic:
        """`path` begins below the resource."""
        return self.document.diagnose((*self.key, *path), message, hint)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    definitions: tuple[Definition, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    """Those that belong to no definition."""
    path: str = ""
    complete: bool = True
    """False where a Deployment may be hidden in what could not be read."""
    templates: frozenset[str] = frozenset()
    """What its DeploymentSets name, as written there."""


class Parser:
    """Remembers the last snapshot: a file whose path and content are as before is not read."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ManifestFile] = {}
        self.files_read = 0
        """Files that were read, and not remembered, since the beginning."""

    def parse(self, snapshot: Snapshot) -> tuple[ManifestFile, ...]:
        """The manifests of the snapshot, by path."""
        known: dict[tuple[str, str], ManifestFile] = {}
        for path in sorted(filter(is_manifest, snapshot.files)):
            file = snapshot.files[path]
            key = (path, f"{file.kind.value}:{file.content is None}:{file.oid}")
            if (parsed := self._known.get(key)) is None:
                self.files_read += 1
                parsed = parse_file(path, file)
            known[key] = parsed
        self._known = known
        return tuple(known.values())


def is_manifest(path: str) -> bool:
    """Whether a file of this path must define resources."""
    if not path.endswith(".toml"):
        return False
    *folders, name = path.split("/")
    return name not in NOT_MANIFESTS and not any(p.startswith(".") for p in (*folders, name))


class Unreadable(Exception):
    """The file does not tell which resources it defines."""

    def __init__(self, message: str, hint: str = "", place: tuple[int, int] = (1, 1)) -> None:
        super().__init__(message)
        self.message, self.hint, self.place = message, hint, place

    def diagnostic(self, path: str) -> Diagnostic:
        return Diagnostic(path, *self.place, self.message, self.hint)


def parse_file(path: str, file: File) -> ManifestFile:
    """Never raises on bad input: what is wrong is in the diagnostics."""
    try:
        document, content = read(path, file)
    except Unreadable as error:
        return ManifestFile((), (error.diagnostic(path),), path, complete=False)
    return replace(_resources(document, content), path=path)


def read(path: str, file: File) -> tuple[Document, dict[str, Any]]:
    """The text and what tomllib makes of it. Raises Unreadable."""
    text = _text(file)
    return Document(path, text), _toml(text)


def _text(file: File) -> str:
    """With LF for line ends, as tomllib counts them."""
    if file.kind is not FileKind.REGULAR:
        raise Unreadable(f"a manifest is a file, and this is a {file.kind.value}")
    content = file.content
    if content is None or len(content) > _LARGEST:
        words = f"too large: {file.size} bytes, at most {_LARGEST}"
        raise Unreadable(words, "split the file")
    if content.startswith(_BOM):
        raise Unreadable("begins with a byte order mark", "save it as UTF-8 without one")
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        words = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise Unreadable(words, "save it as UTF-8", (line, 1)) from None


def _toml(text: str) -> dict[str, Any]:
    if text.count(".") >= _MANY_DOTS and (deep := _DEEP_KEY.search(text)):
        raise Unreadable("nested too deeply", place=line_and_column(text, deep.start()))
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        message, place = str(error), (1, 1)
        if match := _PLACE_IN_WORDS.search(message):
            message = message[: match.start()]
            at_end = line_and_column(text, len(text.rstrip("\n")))
            place = (int(match[1]), int(match[2])) if match[1] else at_end
        words = message[:1].lower() + message[1:]
        raise Unreadable(f"not valid TOML 1.0: {words}", place=place) from None


def _resources(document: Document, content: dict[str, Any]) -> ManifestFile:
    if "resources" not in content:
        return _joined(list(_manifest(document, (), content)))
    files = [
        ManifestFile((), (document.diagnose((key,), f"'{key}' stands beside [[resources]]"),))
        for key in content
        if key != "resources"
    ]
    items = content["resources"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        message = "'resources' must be an array of tables: [[resources]]"
        files.append(
            ManifestFile((), (document.diagnose(("resources",), message),), complete=False)
        )
        return _joined(files)
    for number, item in enumerate(items):
        files += _manifest(document, ("resources", number), item)
    return _joined(files)


def _joined(files: list[ManifestFile]) -> ManifestFile:
    return ManifestFile(
        tuple(definition for file in files for definition in file.definitions),
        tuple(diagnostic for file in files for diagnostic in file.diagnostics),
        complete=all(file.complete for file in files),
        templates=frozenset().union(*(file.templates for file in files)),
    )


def _manifest(
    document: Document, key: tuple[Key, ...], content: dict[str, Any]
) -> Iterator[ManifestFile]:
    """A resource as it is; where that is wrong, it may have been meant as a template."""
    yield (file := parse_resource(document, key, content))
    wrong = file.diagnostics or any(definition.diagnostics for definition in file.definitions)
    if wrong and content.get("kind") == Deployment.__name__:
        for path, mark in placeholders(content)[:1]:
            words = f"'{mark}' is a placeholder, and this file is no DeploymentSet's template"
            found = document.diagnose((*key, *path), words, "name it in the set's 'template'")
            yield ManifestFile((), (found,))


def parse_resource(
    document: Document, key: tuple[Key, ...], content: dict[str, Any]
) -> ManifestFile:
    """The one resource of a table, which stands at `key` in the document."""
    kind, name = content.get("kind"), _name(content)
    model = KINDS.get(kind) if isinstance(kind, str) else None
    resource: Resource | None = None
    if model is None or content.get("apiVersion") != API_VERSION:
        wrong = [_not_ours(content)]
    else:
        wrong = list(_unsupported(model.__name__, content))
        try:
            resource = model.model_validate(content)
        except ValidationError as error:
            wrong += complaints(error, model)
    found = tuple(document.diagnose((*key, *c.path), c.message, c.hint) for c in wrong)
    if model is None:
        return ManifestFile((), found, complete=kind in UNSUPPORTED_KINDS)
    is_set = model is DeploymentSet
    templates = _template(content) if is_set else frozenset()
    if name is None:
        complete = not is_set and model is not Deployment
        return ManifestFile((), found, complete=complete, templates=templates)
    sound = None if found else resource
    definition = Definition(model.__name__, name, document, key, sound, found)
    return ManifestFile((definition,), templates=templates)


def _template(content: dict[str, Any]) -> frozenset[str]:
    """Also of a set that is wrong: a template that is read as a manifest is full of errors."""
    spec = content.get("spec")
    written = spec.get("template") if isinstance(spec, dict) else None
    return frozenset({written} if isinstance(written, str) else ())


def _name(content: dict[str, Any]) -> str | None:
    """None also for a name that none may have: it does not tell which resource was meant."""
    metadata = content.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and LABEL.matches(name) else None


def _not_ours(content: dict[str, Any]) -> Complaint:
    version, kind = content.get("apiVersion"), content.get("kind")
    known = ", ".join(KINDS)
    if version is None and kind is None:
        return Complaint((), "no apiVersion and no kind: not a resource", f"kinds: {known}")
    if version != API_VERSION:
        return Complaint(("apiVersion",), f"apiVersion must be '{API_VERSION}'")
    if kind in UNSUPPORTED_KINDS:
        return Complaint(("kind",), f"kind '{kind}' is not supported yet by this version")
    if not isinstance(kind, str):
        return Complaint(("kind",), f"no kind: one of {known}")
    hint = did_you_mean(kind, KINDS) or f"kinds: {known}"
    return Complaint(("kind",), f"unknown kind {shown(kind)}", hint)


def _unsupported(kind: str, content: dict[str, Any]) -> Iterator[Complaint]:
    for path, written in unsupported(kind, content):
        yield Complaint(path, f"{written} is not supported yet by this version", "")
