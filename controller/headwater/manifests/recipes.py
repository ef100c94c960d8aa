"""Recipes: where their text comes from, and what no machine could run."""

from collections.abc import Mapping

from headwater.manifests.index import Unresolved
from headwater.manifests.resolved import Recipe
from headwater.manifests.snapshot import File, FileKind
from headwater.manifests.suggestions import did_you_mean

LONGEST = 64 * 1024
"""Bytes, as ever (slipstream.md 1.3)."""


def recipe(component: str, manifest: str, written: str, files: Mapping[str, File]) -> Recipe:
    """The recipe as written in a manifest of this path: inline, or a path from its folder.

    Raises Unresolved where it cannot be read or run.
    """
    if "\n" in written or written.startswith("#!"):
        return Recipe(component, _runnable(written, "the recipe in the manifest"))
    path = _path(manifest, written)
    return Recipe(component, _runnable(_read(path, files), f"recipe '{path}'"), path)


def _path(manifest: str, written: str) -> str:
    if not written or written.startswith("/"):
        raise Unresolved(f"recipe '{written}' is not a path relative to the manifest's folder")
    parts = manifest.split("/")[:-1]
    for part in written.split("/"):
        if part == "..":
            if not parts:
                raise Unresolved(f"recipe '{written}' is outside the repository")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _read(path: str, files: Mapping[str, File]) -> str:
    if (file := files.get(path)) is None:
        raise _missing(path, files)
    if file.kind is not FileKind.REGULAR:
        raise Unresolved(f"recipe '{path}' is a {file.kind.value}, not a file")
    if file.size > LONGEST:
        raise Unresolved(f"recipe '{path}' has {file.size} bytes, at most {LONGEST}")
    if file.content is None:
        raise Unresolved(f"recipe '{path}' was not read: the repository's files are too large")
    try:
        return file.content.decode()
    except UnicodeDecodeError:
        raise Unresolved(f"recipe '{path}' is not UTF-8 text") from None


def _missing(path: str, files: Mapping[str, File]) -> Unresolved:
    folders = path.split("/")
    for depth in range(1, len(folders)):
        above = "/".join(folders[:depth])
        if (file := files.get(above)) is not None:
            what = "not a folder" if file.kind is FileKind.REGULAR else f"a {file.kind.value}"
            return Unresolved(f"recipe '{path}' cannot be read: '{above}' is {what}")
    if not path or any(other.startswith(path + "/") for other in files):
        return Unresolved(f"recipe '{path}' is a directory, not a file")
    folder, _, name = path.rpartition("/")
    beside = [other.rpartition("/") for other in files if not other.endswith(".toml")]
    hint = did_you_mean(name, (other for above, _, other in beside if above == folder))
    return Unresolved(f"no file '{path}' for this recipe", hint)


def _runnable(text: str, what: str) -> str:
    """Recipes are run by their first line, as the kernel does."""
    first, _, _ = text.partition("\n")
    if not first.startswith("#!"):
        raise Unresolved(f"{what} does not begin with a #! line", "begin it with #!/bin/sh")
    if first.endswith("\r"):
        raise Unresolved(f"{what} has CRLF line ends: no interpreter is found", "save it with LF")
    if not first[2:].strip():
        raise Unresolved(f"{what} names no interpreter in its #! line")
    if len(text.encode()) > LONGEST:
        raise Unresolved(f"{what} has more than {LONGEST} bytes")
    return text
