"""The files of a work tree as they are on disk, as a Snapshot."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pygit2

from headwater.errors import Stalled
from headwater.manifests.snapshot import File, FileKind, Snapshot
from headwater.source.trees import MANY_FILES, Budget, watched_path

Ignored = Callable[[str], bool]


def snapshot_of_worktree(directory: Path, path: str = "") -> Snapshot:
    """What a commit of everything would hold below `path`: ignored files are left out.

    The directory need not be in a repository. Links are recorded, never followed; what is
    neither file, link nor directory is not seen. Raises Stalled where something is not readable.
    """
    root = directory.resolve()
    top = (root / watched_path(path)).resolve()
    if not top.is_dir() or not top.is_relative_to(root):
        raise Stalled(f"{directory / path}: not a directory inside {directory}")
    files: dict[str, File] = {}
    budget = Budget()
    try:
        for entry, kind in _walk(top, _ignored(root)):
            name = Path(entry.path).relative_to(top).as_posix()
            files[name] = _file(entry, kind, name, budget)
            if len(files) > MANY_FILES:
                raise Stalled(
                    f"{top}: more than {MANY_FILES} files: give a path that holds only manifests"
                )
    except OSError as e:
        raise Stalled(f"{e.filename}: {e.strerror}") from e
    return Snapshot("", files)


def _walk(top: Path, ignored: Ignored) -> Iterator[tuple[os.DirEntry[str], FileKind]]:
    ahead = [str(top)]
    while ahead:
        with os.scandir(ahead.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name == ".git" or ignored(entry.path):
                    continue
                if entry.is_symlink():
                    yield entry, FileKind.SYMLINK
                elif entry.is_file():
                    yield entry, FileKind.REGULAR
                elif entry.is_dir() and Path(entry.path, ".git").exists():
                    yield entry, FileKind.SUBMODULE
                elif entry.is_dir():
                    ahead.append(entry.path)


def _file(entry: os.DirEntry[str], kind: FileKind, name: str, budget: Budget) -> File:
    told = entry.stat(follow_symlinks=False)
    unread = f"unread:{told.st_ino}:{told.st_mtime_ns}"
    if kind is not FileKind.REGULAR:
        return File(unread, kind, 0, None)
    if not budget.allows(name, told.st_size):
        return File(unread, kind, told.st_size, None)
    content = Path(entry.path).read_bytes()
    return File(_blob_id(content), kind, len(content), content)


def _blob_id(content: bytes) -> str:
    """The id that Git would give it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _ignored(root: Path) -> Ignored:
    """Whether Git would leave a path out: ignored by its rules, and not tracked all the same."""
    try:
        found = pygit2.discover_repository(str(root))
        repository = pygit2.Repository(found) if found else None
    except pygit2.GitError:
        repository = None
    if repository is None or not repository.workdir:
        return lambda _: False
    top = Path(repository.workdir).resolve()
    tracked = {str(p) for e in repository.index for p in _with_parents(PurePosixPath(e.path))}

    def is_ignored(path: str) -> bool:
        inside = str(Path(path).relative_to(top))
        return inside not in tracked and repository.path_is_ignored(inside)

    return is_ignored


def _with_parents(path: PurePosixPath) -> Iterator[PurePosixPath]:
    yield path
    yield from path.parents
