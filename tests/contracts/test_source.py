"""What the loop may rely on, of the branch in memory and of a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.source import FakeSource, GitRepository
from headwater.errors import Stalled
from headwater.reconcile.ports import Source
from headwater.source.git import GitSource

SOON = 10.0


@dataclass
class World:
    """A source, and the hand that commits to its repository."""

    source: Source
    repository: FakeSource | GitRepository


@pytest.fixture(params=["memory", "git"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        source = FakeSource()
        yield World(source, source)
        return
    repository = GitRepository(tmp_path / "repository")
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as git:
        yield World(git, repository)


async def test_a_branch_without_a_commit_is_stalled_and_not_empty(world: World) -> None:
    with pytest.raises(Stalled, match="no commit yet"):
        await world.source.fetch()


async def test_a_fetch_brings_the_newest_revision_with_its_files(world: World) -> None:
    world.repository.commit({"a.toml": "a = 1\n"})
    newest = world.repository.commit({"a.toml": "a = 2\n", "b/c.sh": "#!/bin/sh\n"})

    snapshot = await world.source.fetch()

    assert snapshot.revision == newest
    assert {p: f.content for p, f in snapshot.files.items()} == {
        "a.toml": b"a = 2\n",
        "b/c.sh": b"#!/bin/sh\n",
    }


async def test_an_unchanged_branch_gives_the_same_snapshot(world: World) -> None:
    world.repository.commit({"a.toml": "a = 1\n"})

    assert await world.source.fetch() is await world.source.fetch()


async def test_equal_contents_have_equal_ids_over_revisions(world: World) -> None:
    world.repository.commit({"a.toml": "a = 1\n", "b.toml": "b = 1\n"})
    before = await world.source.fetch()
    world.repository.commit({"a.toml": "a = 1\n", "b.toml": "b = 2\n"})
    after = await world.source.fetch()

    assert before.files["a.toml"].oid == after.files["a.toml"].oid
    assert before.files["b.toml"].oid != after.files["b.toml"].oid
    assert before.tree != after.tree


async def test_a_branch_that_lost_the_accepted_revision_is_stalled(world: World) -> None:
    accepted = world.repository.commit({"a.toml": "a = 1\n"})
    await world.source.fetch()
    world.source.accept(accepted)
    world.repository.rewind({"a.toml": "a = 2\n"})

    with pytest.raises(Stalled, match=f"force-pushed: {accepted[:10]} is no longer in"):
        await world.source.fetch()


async def test_a_branch_may_be_rewound_while_nothing_was_accepted(world: World) -> None:
    world.repository.commit({"a.toml": "a = 1\n"})
    await world.source.fetch()
    other = world.repository.rewind({"a.toml": "a = 2\n"})

    assert (await world.source.fetch()).revision == other


async def test_a_commit_is_hinted_at(world: World) -> None:
    world.repository.commit({"a.toml": "a = 1\n"})
    async with aclosing(world.source.changes()) as changes:  # type: ignore[type-var]
        async with asyncio.timeout(SOON):
            await anext(changes)
        newest = await asyncio.to_thread(world.repository.commit, {"a.toml": "a = 2\n"})
        async with asyncio.timeout(SOON):
            await anext(changes)

    assert (await world.source.fetch()).revision == newest


async def test_commits_in_a_row_are_hinted_at_until_the_last(world: World) -> None:
    world.repository.commit({"a.toml": "a = 0\n"})
    async with aclosing(world.source.changes()) as changes:  # type: ignore[type-var]
        async with asyncio.timeout(SOON):
            await anext(changes)
        for n in range(1, 4):
            last = await asyncio.to_thread(world.repository.commit, {"a.toml": f"a = {n}\n"})
        async with asyncio.timeout(SOON):
            while (await world.source.fetch()).revision != last:
                await anext(changes)
