"""A revision's tree, as a Snapshot."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath

import pygit2
from pygit2.enums import FileMode

from headwater.errors import Stalled
from headwater.manifests.snapshot import File, FileKind, Snapshot

MANIFEST_BYTES = 1 << 20
FILE_BYTES = 64 << 10
ENCRYPTED_BYTES = 128 << 10
"""Of what age has encrypted: its armor takes more room than the secret."""
TOTAL_BYTES = 64 << 20
MANY_FILES = 200_000

_KINDS = {FileMode.LINK: FileKind.SYMLINK, FileMode.COMMIT: FileKind.SUBMODULE}


def watched_path(path: str) -> str:
    """The path in its one form: relative, with `/`, empty for the root.

    Raises Stalled when it is absolute or leads out of the repository.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise Stalled(f"path {path!r}: must be relative and inside the repository, like `systems`")
    return "" if pure == PurePosixPath() else str(pure)


class Budget:
    """What of a snapshot is read: every manifest, and small files until there are too many."""

    def __init__(self) -> None:
        self._left = TOTAL_BYTES

    def allows(self, path: str, size: int) -> bool:
        if path.endswith(".toml"):
            return size <= MANIFEST_BYTES
        most = ENCRYPTED_BYTES if path.endswith(".age") else FILE_BYTES
        if size > min(most, self._left):
            return False
        self._left -= size
        return True


class TreeReader:
    """Reads snapshots one after another; what two have in common is read and kept once."""

    def __init__(self, path: str) -> None:
        self._path = watched_path(path)
        self._last = Snapshot("", {})
        self._known: Mapping[str, File] = {}

    def read(self, repository: pygit2.Repository, commit: pygit2.Commit) -> Snapshot:
        """Raises Stalled when the watched path is no directory there: that is not `empty`."""
        tree = self._descend(commit)
        id = str(tree.id)
        if id == self._last.tree:
            files = self._last.files
        else:
            files = self._files(repository, tree)
            self._known = {f.oid: f for f in files.values()}
        self._last = Snapshot(str(commit.id), files, id)
        return self._last

    def _descend(self, commit: pygit2.Commit) -> pygit2.Tree:
        tree = commit.tree
        for name in PurePosixPath(self._path).parts:
            found = tree[name] if name in tree else None  # noqa: SIM401  # a Tree has no get
            if not isinstance(found, pygit2.Tree):
                directories = [e.name or "" for e in tree if isinstance(e, pygit2.Tree)]
                near = get_close_matches(name, directories, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise Stalled(
                    f"revision {str(commit.id)[:10]} has no directory {self._path!r}: {hint}commit"
                    " it, or give another path; until then everything stays as it is"
                )
            tree = found
        return tree

    def _files(self, repository: pygit2.Repository, tree: pygit2.Tree) -> Mapping[str, File]:
        files: dict[str, File] = {}
        budget = Budget()
        for path, entry in _walk(tree):
            files[path] = self._file(repository, path, entry, budget)
            if len(files) > MANY_FILES:
                raise Stalled(
                    f"more than {MANY_FILES} files under {self._path or 'the root'!r}: give a"
                    " path that holds only manifests"
                )
        return files

    def _file(
        self, repository: pygit2.Repository, path: str, entry: pygit2.Object, budget: Budget
    ) -> File:
        oid = str(entry.id)
        kind = _KINDS.get(entry.filemode or FileMode.BLOB, FileKind.REGULAR)
        if kind is not FileKind.REGULAR:
            return File(oid, kind, 0, None)
        known = self._known.get(oid)
        size = known.size if known else repository.odb.read_header(entry.id)[1]
        if not budget.allows(path, size):
            return File(oid, kind, size, None)
        if known and known.content is not None:
            return known
        return File(oid, kind, size, repository.odb.read(entry.id)[1])


def _walk(root: pygit2.Tree) -> Iterator[tuple[str, pygit2.Object]]:
    """Every entry that is no directory, by path. Not recursive: depth is the user's to choose."""
    ahead = [("", root)]
    while ahead:
        prefix, tree = ahead.pop()
        for entry in tree:
            name = _name(entry)
            if isinstance(entry, pygit2.Tree):
                ahead.append((f"{prefix}{name}/", entry))
            else:
                yield prefix + name, entry


def _name(entry: pygit2.Object) -> str:
    name = (entry.raw_name or b"").decode(errors="backslashreplace")
    if name in {"", ".", ".."} or "/" in name:
        raise Stalled(f"the revision holds an entry named {name!r}: made by no honest Git, refused")
    return name
