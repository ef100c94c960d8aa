"""Answers as Git notes in a repository on this host."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.source import GitRepository
from headwater.errors import Stalled, Transient
from headwater.planning.status import CommitState, CommitStatus
from headwater.source.git import GitSource
from headwater.source.notes import GitNotes, read_notes

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
WRITERS = 3


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "repository")
    repository.commit({"a.toml": ""})
    return repository


@pytest.fixture
async def notes(repository: GitRepository, tmp_path: Path) -> AsyncIterator[GitNotes]:
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        yield GitNotes(source.upstream, source.worker)


def status(
    revision: str, context: str, description: str, state: CommitState = CommitState.SUCCESS
) -> CommitStatus:
    return CommitStatus(revision, context, state, description, NOON)


async def test_git_log_shows_the_answers(repository: GitRepository, notes: GitNotes) -> None:
    revision = repository.git("rev-parse", "HEAD")

    await notes.answer(status(revision, "headwater/web", "2/2 ready in 3.1 s"))
    await notes.answer(status(revision, "headwater", "1 deployment ready"))

    shown = [line.strip() for line in repository.git("log", "--notes=headwater", "-1").splitlines()]
    assert shown[-3:] == [
        "Notes (headwater):",
        "headwater: success - 1 deployment ready",
        "headwater/web: success - 2/2 ready in 3.1 s",
    ]
    assert "Headwater <headwater@localhost>" in repository.git("log", "-1", "refs/notes/headwater")


async def test_a_newer_answer_replaces_the_older_one_in_place(
    repository: GitRepository, notes: GitNotes
) -> None:
    revision = repository.git("rev-parse", "HEAD")

    await notes.answer(status(revision, "headwater/web", "0/2 ready", CommitState.PENDING))
    await notes.answer(status(revision, "headwater/web", "2/2 ready"))

    assert read_notes(repository.directory, revision) == {"headwater/web": "success - 2/2 ready"}


async def test_an_answer_is_one_line(repository: GitRepository, notes: GitNotes) -> None:
    revision = repository.git("rev-parse", "HEAD")

    await notes.answer(status(revision, "headwater/web", "line one\nheadwater/db: success - no"))

    assert set(read_notes(repository.directory, revision)) == {"headwater/web"}


async def test_answers_at_the_same_time_are_one_write(
    repository: GitRepository, notes: GitNotes
) -> None:
    first, second = repository.git("rev-parse", "HEAD"), repository.commit({"b.toml": ""})

    await asyncio.gather(
        *(notes.answer(status(r, f"headwater/{n}", "ok")) for r in (first, second) for n in "abcd")
    )

    for revision in (first, second):
        assert set(read_notes(repository.directory, revision)) == {f"headwater/{n}" for n in "abcd"}
    assert int(repository.git("rev-list", "--count", "refs/notes/headwater")) <= 4


async def test_the_same_answer_again_writes_nothing(
    repository: GitRepository, notes: GitNotes
) -> None:
    revision = repository.git("rev-parse", "HEAD")

    await notes.answer(status(revision, "headwater", "ok"))
    written = repository.git("rev-parse", "refs/notes/headwater")
    await notes.answer(status(revision, "headwater", "ok"))

    assert repository.git("rev-parse", "refs/notes/headwater") == written


async def test_many_writers_lose_nothing(repository: GitRepository, tmp_path: Path) -> None:
    revision = repository.git("rev-parse", "HEAD")
    async with AsyncExitStack() as stack:
        sources = [
            await stack.enter_async_context(
                GitSource(str(repository.directory), "main", "", tmp_path / f"mirror-{n}")
            )
            for n in range(WRITERS)
        ]
        writers = [GitNotes(s.upstream, s.worker) for s in sources]
        await asyncio.gather(*(_insist(w, revision, n) for n, w in enumerate(writers)))

    assert repository.git("for-each-ref", "--format=%(refname)", "refs/notes") == (
        "refs/notes/headwater"
    )
    expected = {f"headwater/{n}.{k}" for n in range(WRITERS) for k in range(4)}
    assert set(read_notes(repository.directory, revision)) == expected


async def _insist(notes: GitNotes, revision: str, writer: int) -> None:
    for k in range(4):
        while True:
            try:
                await notes.answer(status(revision, f"headwater/{writer}.{k}", "ok"))
                break
            except Transient:
                continue


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_repository_that_we_may_not_write_is_stalled(
    repository: GitRepository, notes: GitNotes
) -> None:
    revision = repository.git("rev-parse", "HEAD")
    directories = [p for p in (repository.directory / ".git").rglob("*") if p.is_dir()]
    for directory in directories:
        directory.chmod(0o555)
    try:
        with pytest.raises(Stalled, match="cannot write notes"):
            await notes.answer(status(revision, "headwater", "ok"))
    finally:
        for directory in directories:
            directory.chmod(0o755)


def forsake(path: Path, seconds: float) -> None:
    """As if a writer that was killed had made it so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    made = path.stat().st_mtime - seconds
    os.utime(path, (made, made))


async def test_a_lock_that_a_killed_writer_left_does_not_silence_us(
    repository: GitRepository, notes: GitNotes
) -> None:
    revision = repository.git("rev-parse", "HEAD")
    forsake(repository.directory / ".git/refs/notes/headwater.lock", seconds=60)

    await notes.answer(status(revision, "headwater", "1 deployment ready"))

    assert "headwater" in read_notes(repository.directory, revision)


async def test_a_fresh_lock_is_somebodys(repository: GitRepository, notes: GitNotes) -> None:
    revision = repository.git("rev-parse", "HEAD")
    lock = repository.directory / ".git/refs/notes/headwater.lock"
    forsake(lock, seconds=0)

    with pytest.raises(Transient, match="is locked"):
        await notes.answer(status(revision, "headwater", "1 deployment ready"))

    assert lock.exists()


async def test_what_a_killed_writer_had_begun_is_removed(
    repository: GitRepository, notes: GitNotes
) -> None:
    revision = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", "refs/notes/headwater-draft-1000-abc", revision)

    await notes.answer(status(revision, "headwater", "1 deployment ready"))

    assert repository.git("for-each-ref", "refs/notes", "--format=%(refname)") == (
        "refs/notes/headwater"
    )


async def test_a_fetch_passes_the_locks_that_a_killed_controller_left(
    repository: GitRepository, tmp_path: Path
) -> None:
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        await source.fetch()
    for lock in ("refs/heads/main.lock", "FETCH_HEAD.lock"):
        forsake(tmp_path / "mirror" / lock, seconds=0)
    revision = repository.commit({"a.toml": "# changed\n"})

    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        assert (await source.fetch()).revision == revision
