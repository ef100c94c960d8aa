"""Hints from real repositories: in time, none lost, none without reason."""

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.source import GitRepository
from headwater.source.watch import Watch

SOON = 10.0
NEVER = 3600.0


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "repository")
    repository.commit({"a.toml": ""})
    return repository


class Hints:
    """Counts them, and waits for one."""

    def __init__(self) -> None:
        self.count = 0
        self._news = asyncio.Event()

    async def collect(self, changes: AsyncIterator[None]) -> None:
        async for _ in changes:
            self.count += 1
            self._news.set()

    async def more(self, than: int) -> None:
        async with asyncio.timeout(SOON):
            while self.count <= than:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watching(directory: Path | None, interval: float = NEVER) -> AsyncIterator[Hints]:
    """Hints from the first one on, which says that the watch stands."""
    hints = Hints()
    task = asyncio.create_task(hints.collect(Watch(directory, interval).changes()))
    try:
        await hints.more(0)
        yield hints
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_commit_is_hinted_at_in_well_under_a_second(repository: GitRepository) -> None:
    async with watching(repository.directory) as hints:
        await asyncio.to_thread(repository.commit, {"a.toml": "a = 1\n"})
        committed = time.monotonic()
        await hints.more(1)

    assert time.monotonic() - committed < 1.0


async def test_a_push_to_a_bare_repository_is_hinted_at(
    repository: GitRepository, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    repository.git("clone", "--quiet", "--bare", ".", str(bare))
    repository.commit({"a.toml": "a = 1\n"})
    async with watching(bare) as hints:
        await asyncio.to_thread(repository.git, "push", "--quiet", str(bare), "main")
        await hints.more(1)


async def test_the_first_push_of_a_branch_in_a_new_directory_is_hinted_at(
    repository: GitRepository, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    repository.git("init", "--quiet", "--bare", str(bare))
    async with watching(bare) as hints:
        await asyncio.to_thread(repository.git, "push", "--quiet", str(bare), "main:team/a/b")
        await hints.more(1)


async def test_packing_the_references_hides_no_later_commit(repository: GitRepository) -> None:
    async with watching(repository.directory) as hints:
        await asyncio.to_thread(repository.git, "gc", "--quiet")
        await hints.more(1)
        before = hints.count
        await asyncio.to_thread(repository.commit, {"a.toml": "a = 1\n"})
        await hints.more(before)


async def test_reading_editing_and_answering_give_no_hint(repository: GitRepository) -> None:
    def read_and_edit() -> None:
        repository.git("notes", "--ref=headwater", "add", "-m", "an answer")
        repository.git("log")
        repository.git("status")
        repository.write({"a.toml": "a = 1\n"})
        repository.git("add", ".")

    assert await _hints_of(repository.directory, read_and_edit) == 0


async def test_commits_in_one_breath_are_few_hints(repository: GitRepository) -> None:
    def burst() -> None:
        revision = repository.git("rev-parse", "HEAD")
        for n in range(50):
            repository.git("update-ref", f"refs/heads/b{n}", revision)

    assert await _hints_of(repository.directory, burst) <= 25


async def _hints_of(directory: Path, action: Callable[[], object]) -> int:
    """How many hints an action gave, known when the one of a later commit has come."""
    async with watching(directory) as hints:
        await asyncio.to_thread(action)
        marker = directory / ".git/refs/heads/marker"
        before = hints.count
        marker.touch()
        await hints.more(before)
        return hints.count - 2


async def test_a_repository_that_is_deleted_and_made_again_is_watched_again(
    repository: GitRepository,
) -> None:
    async with watching(repository.directory) as hints:
        await asyncio.to_thread(shutil.rmtree, repository.directory)
        await hints.more(1)
        before = hints.count
        again = await asyncio.to_thread(GitRepository, repository.directory)
        await hints.more(before)
        before = hints.count
        await asyncio.to_thread(again.commit, {"a.toml": "a = 1\n"})
        await hints.more(before)


async def test_a_repository_that_is_swapped_is_watched_again(
    repository: GitRepository, tmp_path: Path
) -> None:
    other = GitRepository(tmp_path / "other")
    async with watching(repository.directory, interval=0.1) as hints:
        repository.directory.rename(tmp_path / "away")
        other.directory.rename(repository.directory)
        before = hints.count
        await hints.more(before + 3)
        other.directory = repository.directory
        await asyncio.to_thread(other.commit, {"a.toml": "a = 1\n"})
        before = hints.count
        await hints.more(before)


@pytest.mark.parametrize("directory", [None, Path("/nowhere/at/all")])
async def test_what_cannot_be_watched_is_polled(directory: Path | None) -> None:
    async with watching(directory, interval=0.05) as hints:
        await hints.more(4)


async def test_a_closed_watch_leaves_no_thread(repository: GitRepository) -> None:
    async with watching(repository.directory):
        pass

    names = [type(t).__name__ for t in threading.enumerate()]
    assert not [n for n in names if "Inotify" in n or "Observer" in n]
