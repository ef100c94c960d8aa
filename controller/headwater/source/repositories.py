"""Repositories on this host: opened, or refused in words that say what to do."""

import shutil
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryInitFlag

from headwater.errors import Stalled, Transient
from headwater.source.faults import REFTABLE, SHA256, explain

_MANY_PACKS = 200


def git_directory(directory: Path) -> Path:
    """The directory that holds the references: of a bare repository or a (linked) work tree.

    Raises Stalled where there is no repository, Transient where the path cannot be read now.
    """
    try:
        return _git_directory(directory)
    except PermissionError as e:
        raise Stalled(f"{e.filename}: not readable for this user: change its permissions") from e
    except NotADirectoryError as e:
        raise Stalled(f"{directory}: not a directory") from e
    except OSError as e:
        raise Transient(f"{directory}: {e.strerror or e}") from e


def _git_directory(directory: Path) -> Path:
    next(directory.iterdir(), None)  # raises where a mere test for `.git` would say no
    dot_git = directory / ".git"
    if dot_git.is_file():
        linked = directory / dot_git.read_text().partition("gitdir:")[2].strip()
        common = linked / "commondir"
        return (linked / common.read_text().strip()).resolve() if common.is_file() else linked
    for candidate in (dot_git, directory):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate
    raise Stalled(_no_repository(directory))


def _no_repository(directory: Path) -> str:
    top = next((p for p in directory.parents if (p / ".git").exists()), None)
    if top is None:
        return f"{directory}: not a Git repository (`git init` makes one)"
    below = directory.relative_to(top)
    return f"{directory}: only a part of the repository {top}: give that, with the path {below}"


def refuse_foreign_formats(directory: Path) -> None:
    """Raise Stalled for a repository that libgit2 cannot read, before it says so less clearly."""
    config = git_directory(directory) / "config"
    if not config.is_file():
        return
    try:
        said = {e.name: (e.value or "").lower() for e in pygit2.Config(str(config))}
    except (OSError, ValueError, pygit2.GitError) as e:
        raise Stalled(f"{config}: not readable: {e}") from e
    if said.get("extensions.objectformat", "sha1") != "sha1":
        raise Stalled(f"{directory} {SHA256}")
    if said.get("extensions.refstorage", "files") != "files":
        raise Stalled(f"{directory} {REFTABLE}")


def open_repository(directory: Path) -> pygit2.Repository:
    """A fresh handle: handles are cheap, and belong to one thread and one operation."""
    refuse_foreign_formats(directory)
    try:
        return pygit2.Repository(str(directory))
    except (OSError, ValueError, pygit2.GitError) as e:
        raise explain(e, str(directory)) from e


def open_mirror(directory: Path) -> pygit2.Repository:
    """Our own bare copy. Made, and made anew when broken: all it holds can be fetched again.

    Raises Stalled where the directory cannot be written, or holds something else.
    """
    try:
        repository = pygit2.Repository(str(directory))
        # Every fetch that brings objects adds a pack, and libgit2 never merges them.
        if len(list((directory / "objects/pack").glob("*.pack"))) <= _MANY_PACKS:
            return repository
    except pygit2.GitError:
        pass
    return _make_mirror(directory)


def discard_mirror(directory: Path) -> None:
    """The next fetch begins anew."""
    shutil.rmtree(directory, ignore_errors=True)


def _make_mirror(directory: Path) -> pygit2.Repository:
    try:
        if (directory / "objects").is_dir():
            shutil.rmtree(directory)
        elif directory.is_dir() and any(directory.iterdir()):
            raise Stalled(f"{directory}: neither empty nor a mirror: move it away")
        bare = RepositoryInitFlag.BARE | RepositoryInitFlag.MKPATH
        return pygit2.init_repository(str(directory), bare=True, flags=bare)
    except (OSError, pygit2.GitError) as e:
        raise Stalled(f"{directory}: no mirror can be made there: {e}") from e
