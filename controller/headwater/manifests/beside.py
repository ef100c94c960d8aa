"""Files that a manifest names: by a path from its own folder, never outside of the repository."""

from collections.abc import Mapping

from headwater.manifests.index import Unresolved
from headwater.manifests.snapshot import File, FileKind
from headwater.manifests.suggestions import did_you_mean


def path_beside(manifest: str, written: str, what: str) -> str:
    """The path in the repository. Raises Unresolved; `what` is the word for the file there."""
    if not written or written.startswith("/"):
        raise Unresolved(f"{what} '{written}' is not a path relative to the manifest's folder")
    parts = manifest.split("/")[:-1]
    for part in written.split("/"):
        if part == "..":
            if not parts:
                raise Unresolved(f"{what} '{written}' is outside the repository")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def file_at(path: str, files: Mapping[str, File], what: str) -> File:
    """A regular file. Raises Unresolved."""
    if (file := files.get(path)) is None:
        raise _missing(path, files, what)
    if file.kind is not FileKind.REGULAR:
        raise Unresolved(f"{what} '{path}' is a {file.kind.value}, not a file")
    return file


def _missing(path: str, files: Mapping[str, File], what: str) -> Unresolved:
    folders = path.split("/")
    for depth in range(1, len(folders)):
        above = "/".join(folders[:depth])
        if (file := files.get(above)) is not None:
            wrong = "not a folder" if file.kind is FileKind.REGULAR else f"a {file.kind.value}"
            return Unresolved(f"{what} '{path}' cannot be read: '{above}' is {wrong}")
    if not path or any(other.startswith(path + "/") for other in files):
        return Unresolved(f"{what} '{path}' is a directory, not a file")
    folder, _, name = path.rpartition("/")
    beside = [other.rpartition("/") for other in files if _may_be(other, path)]
    hint = did_you_mean(name, (other for above, _, other in beside if above == folder))
    return Unresolved(f"no file '{path}' for this {what}", hint)


def _may_be(other: str, path: str) -> bool:
    """Manifests are suggested for manifests alone."""
    return other.endswith(".toml") == path.endswith(".toml")
