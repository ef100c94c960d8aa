"""The watched branch, as the loop's Source."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self

import pygit2

from headwater.errors import Refused, Stalled, Transient
from headwater.manifests.snapshot import Snapshot
from headwater.source.address import SshLogin
from headwater.source.repositories import discard_mirror, git_directory, open_repository
from headwater.source.trailers import approvals_since
from headwater.source.trees import TreeReader
from headwater.source.upstream import Upstream, open_upstream
from headwater.source.watch import Watch
from headwater.source.worker import Worker

_ALLOWANCE = 10.0
"""Seconds between the end of a call's own timeouts and the end of our patience with it."""


class GitSource:
    """One branch of one repository, read through a bare mirror of our own.

    `url` is a path (bare, or a work tree), or a file, https or ssh address. `deadline` bounds a
    fetch, `interval` is the time between two polls; both in seconds. `last_accepted` None means
    that any revision may come next.
    """

    def __init__(
        self,
        url: str,
        branch: str,
        path: str,
        mirror: Path,
        *,
        interval: float = 30.0,
        deadline: float = 60.0,
        last_accepted: str | None = None,
        login: SshLogin | None = None,
    ) -> None:
        self.upstream = open_upstream(url, mirror, deadline, login or SshLogin())
        self.worker = Worker(deadline + _ALLOWANCE)
        self._branch = _branch_name(branch)
        self._reader = TreeReader(path)
        self._watch = Watch(self.upstream.address.directory, interval)
        self._accepted = last_accepted
        self._snapshot: Snapshot | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.worker.close()

    async def fetch(self) -> Snapshot:
        """As the port says; the same revision again is the same Snapshot object."""
        return await self.worker.run(self._fetch)

    def accept(self, revision: str) -> None:
        self._accepted = revision

    def changes(self) -> AsyncIterator[None]:
        return self._watch.changes()

    def _fetch(self) -> Snapshot:
        self._look_at_directory()
        try:
            return self._read()
        except (pygit2.GitError, KeyError, ValueError, OSError) as e:
            discard_mirror(self.upstream.mirror)
            raise Transient(f"{self.upstream.mirror}: broken, and made anew ({e})") from e

    def _read(self) -> Snapshot:
        reference = f"refs/heads/{self._branch}"
        repository = self.upstream.fetch(f"+{reference}:{reference}")
        if reference not in repository.references:
            raise Stalled(self._no_branch())
        commit = repository.references[reference].peel(pygit2.Commit)
        if self._accepted:
            self._refuse_rewind(repository, commit, self._accepted)
        if self._snapshot is None or self._snapshot.revision != str(commit.id):
            snapshot = self._reader.read(repository, commit)
            approvals = approvals_since(repository, commit, self._accepted)
            self._snapshot = replace(snapshot, approvals=approvals)
        return self._snapshot

    def _look_at_directory(self) -> None:
        directory = self.upstream.address.directory
        if directory is None:
            return
        if _exists(directory):
            if (git_directory(directory) / "shallow").is_file():
                raise Stalled(f"{directory}: a shallow clone: `git fetch --unshallow` completes it")
        elif self._snapshot is None:
            raise Stalled(f"{directory}: there is no such directory: check the repository's path")
        else:
            raise Transient(f"{directory}: the repository has vanished: bring it back")

    def _no_branch(self) -> str:
        where = self.upstream.address.shown
        branches = self.upstream.branches()
        if not branches:
            return f"{where}: no commit yet: commit to branch {self._branch!r}"
        near = get_close_matches(self._branch, branches, 3) or sorted(branches)[:3]
        return f"{where}: no branch {self._branch!r} (there is {', '.join(map(repr, near))})"

    def _refuse_rewind(
        self, repository: pygit2.Repository, tip: pygit2.Commit, accepted: str
    ) -> None:
        if str(tip.id) == accepted:
            return
        if accepted not in repository or not repository.descendant_of(tip.id, accepted):
            raise Stalled(
                f"force-pushed: {accepted[:10]} is no longer in branch {self._branch!r}, which is"
                f" at {str(tip.id)[:10]}: push a commit that contains it, or restart with"
                " --allow-rewind to go on from the branch as it is"
            )


def _exists(directory: Path) -> bool:
    try:
        return directory.exists()
    except OSError as e:
        raise Stalled(f"{directory}: cannot be reached: {e.strerror}") from e


def _branch_name(branch: str) -> str:
    name = branch.removeprefix("refs/heads/")
    if not pygit2.reference_is_valid_name(f"refs/heads/{name}") or name.startswith("-"):
        raise Stalled(f"{branch!r} is no name of a branch")
    return name


def snapshot_of(
    repository: str | Path,
    revision: str,
    path: str = "",
    login: SshLogin | None = None,
    *,
    accepted: str | None = None,
) -> Snapshot:
    """One revision of a repository, by branch, tag or commit id. Blocking.

    With the approvals of the commits after `accepted`.

    A remote repository is fetched whole into a directory that is gone afterwards. Raises Refused
    for an unknown revision, and as `GitSource.fetch` for the rest.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as scratch:
        upstream = open_upstream(repository, Path(scratch, "mirror"), 60.0, login or SshLogin())
        if upstream.address.directory is not None:
            opened = open_repository(upstream.address.directory)
        else:
            opened = upstream.fetch("+refs/*:refs/*")
        commit = _commit(opened, revision, upstream)
        approvals = approvals_since(opened, commit, accepted)
        return replace(TreeReader(path).read(opened, commit), approvals=approvals)


def _commit(repository: pygit2.Repository, revision: str, upstream: Upstream) -> pygit2.Commit:
    try:
        return repository.revparse_single(revision).peel(pygit2.Commit)
    except (KeyError, ValueError, pygit2.GitError) as e:
        names = [r.split("/", 2)[-1] for r in repository.references]
        near = get_close_matches(revision, names, 3)
        hint = f" (near: {', '.join(map(repr, near))})" if near else ""
        raise Refused(f"{upstream.address.shown}: no revision {revision!r}{hint}") from e
