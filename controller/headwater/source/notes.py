"""Commit statuses as Git notes: `git log --notes=headwater` shows them."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pygit2

from headwater.errors import Stalled
from headwater.planning.status import CommitStatus
from headwater.source.faults import Moved, explain
from headwater.source.locks import FORSAKEN, remove_forsaken_lock, remove_locks
from headwater.source.repositories import git_directory, open_mirror, open_repository
from headwater.source.upstream import Upstream
from headwater.source.worker import Worker

REFERENCE = "refs/notes/headwater"
_DRAFT = "refs/notes/headwater-draft-"
_AUTHOR = ("Headwater", "headwater@localhost")
_REPLACE = True
_ATTEMPTS = 8
_PAUSE = 0.02
"""Seconds, times the attempts made: other writers hold a lock for less."""

Batch = Mapping[tuple[str, str], CommitStatus]


class GitNotes:
    """One note per commit, one line per context, in the watched repository itself.

    Statuses that come while others are being written are written together, as one push.
    """

    def __init__(self, upstream: Upstream, worker: Worker) -> None:
        self._upstream = upstream
        self._worker = worker
        self._waiting: dict[tuple[str, str], CommitStatus] = {}
        self._next: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._swept = False

    async def answer(self, status: CommitStatus) -> None:
        """Raises Transient, and Stalled where notes cannot be written at all (read-only)."""
        self._waiting[status.revision, status.context] = status
        if self._next is None:
            self._next = asyncio.create_task(self._write_waiting())
        await asyncio.shield(self._next)

    async def _write_waiting(self) -> None:
        async with self._writing:
            batch, self._waiting, self._next = self._waiting, {}, None
            await self._worker.run(self._write, batch)

    def _write(self, batch: Batch) -> None:
        write = self._write_here if self._upstream.address.directory else self._push
        for attempt in range(_ATTEMPTS):
            try:
                return write(batch)
            except Moved:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._remove_lock()
                time.sleep(_PAUSE * attempt)
            except Stalled as e:
                raise Stalled(f"cannot write notes: {e}") from e
        return None

    def _remove_lock(self) -> None:
        directory = self._upstream.address.directory
        if directory is None:
            remove_locks(self._upstream.mirror)
        else:
            remove_forsaken_lock(git_directory(directory) / REFERENCE)

    def _write_here(self, batch: Batch) -> None:
        directory = self._upstream.address.directory
        assert directory is not None  # noqa: S101  # asked by _write
        repository = open_repository(directory)
        if not self._swept:
            _remove_drafts(repository)
            self._swept = True
        _annotate(repository, batch, str(directory))

    def _push(self, batch: Batch) -> None:
        mirror = self._upstream.mirror
        _annotate(open_mirror(mirror), batch, str(mirror))
        try:
            self._upstream.transport.push(mirror, REFERENCE)
        except Moved:
            self._upstream.fetch(f"+{REFERENCE}:{REFERENCE}")
            raise


def read_notes(repository: Path, revision: str) -> Mapping[str, str]:
    """What stands on a commit, by context: `{"headwater": "success - 1 deployment ready"}`."""
    return _parse(_note(open_repository(repository), revision, REFERENCE))


def _annotate(repository: pygit2.Repository, batch: Batch, where: str) -> None:
    """Raises Moved when somebody else wrote at the same time: nothing was changed then.

    libgit2 writes a note over whatever stands there by then, so we let it write to a draft, and
    move the reference only from where we have read it.
    """
    draft = f"{_DRAFT}{time.time():.0f}-{uuid.uuid4().hex}"
    try:
        begin = _target(repository, REFERENCE)
        if begin is not None:
            repository.references.create(draft, begin)
        try:
            _write_lines(repository, batch, draft)
            _move(repository, begin, _target(repository, draft))
        finally:
            if draft in repository.references:
                repository.references.delete(draft)
    except (pygit2.GitError, OSError, ValueError) as e:
        raise explain(e, where) from e


def _remove_drafts(repository: pygit2.Repository) -> None:
    """Those of a writer that was killed; a younger one's writer may still live."""
    for name in [name for name in repository.references if name.startswith(_DRAFT)]:
        began = name.removeprefix(_DRAFT).partition("-")[0]
        if began.isdecimal() and time.time() - int(began) > FORSAKEN:
            with suppress(KeyError, pygit2.GitError):
                repository.references.delete(name)


def _write_lines(repository: pygit2.Repository, batch: Batch, draft: str) -> None:
    author = pygit2.Signature(*_AUTHOR)
    for revision, statuses in _by_revision(batch.values()).items():
        old = _note(repository, revision, draft)
        new = _render(_parse(old) | {s.context: _line(s) for s in statuses})
        if new != old:
            repository.create_note(new, author, author, revision, draft, _REPLACE)


def _move(repository: pygit2.Repository, begin: pygit2.Oid | None, end: pygit2.Oid | None) -> None:
    if end is None or end == begin:
        return
    with repository.transaction() as transaction:
        transaction.lock_ref(REFERENCE)
        if _target(repository, REFERENCE) != begin:
            raise Moved(f"{REFERENCE} was written by somebody else")
        transaction.set_target(REFERENCE, end, message="headwater: answer")


def _target(repository: pygit2.Repository, reference: str) -> pygit2.Oid | None:
    found = repository.references.get(reference)
    return found.peel(pygit2.Commit).id if found is not None else None


def _by_revision(statuses: Iterable[CommitStatus]) -> Mapping[str, list[CommitStatus]]:
    found: dict[str, list[CommitStatus]] = {}
    for status in statuses:
        found.setdefault(status.revision, []).append(status)
    return found


def _note(repository: pygit2.Repository, revision: str, reference: str) -> str:
    try:
        return repository.lookup_note(revision, reference).message
    except KeyError:
        return ""


def _line(status: CommitStatus) -> str:
    """One line of text: a recipe's own words may hold anything, and a note no NUL."""
    said = "".join(c if c.isprintable() else " " for c in status.description)
    return f"{status.state} - {' '.join(said.split())}"


def _parse(note: str) -> dict[str, str]:
    """Lines that are none of ours (somebody's remark) are kept, under themselves."""
    lines = (line.partition(": ") for line in note.splitlines() if line)
    return {context: said for context, _, said in lines}


def _render(lines: Mapping[str, str]) -> str:
    return "".join(f"{c}: {said}\n" if said else f"{c}\n" for c, said in sorted(lines.items()))
