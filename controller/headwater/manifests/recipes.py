"""Recipes: where their text comes from, and what no machine could run."""

from collections.abc import Mapping

from headwater.manifests.beside import file_at, path_beside
from headwater.manifests.index import Unresolved
from headwater.manifests.resolved import Recipe
from headwater.manifests.snapshot import File

LONGEST = 64 * 1024
"""Bytes, as ever (slipstream.md 1.3)."""


def recipe(component: str, manifest: str, written: str, files: Mapping[str, File]) -> Recipe:
    """The recipe as written in a manifest of this path: inline, or a path from its folder.

    Raises Unresolved where it cannot be read or run.
    """
    if "\n" in written or written.startswith("#!"):
        return Recipe(component, _runnable(written, "the recipe in the manifest"))
    path = path_beside(manifest, written, "recipe")
    return Recipe(component, _runnable(_read(path, files), f"recipe '{path}'"), path)


def _read(path: str, files: Mapping[str, File]) -> str:
    file = file_at(path, files, "recipe")
    if file.size > LONGEST:
        raise Unresolved(f"recipe '{path}' has {file.size} bytes, at most {LONGEST}")
    if file.content is None:
        raise Unresolved(f"recipe '{path}' was not read: the repository's files are too large")
    try:
        return file.content.decode()
    except UnicodeDecodeError:
        raise Unresolved(f"recipe '{path}' is not UTF-8 text") from None


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
