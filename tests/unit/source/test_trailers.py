"""Approvals in commit messages, from real repositories."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.source import GitRepository
from headwater.source.git import GitSource

ONE, TWO = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


@pytest.fixture
async def source(repository: GitRepository, tmp_path: Path) -> AsyncIterator[GitSource]:
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        yield source


def approve(digest: str, key: str = "Headwater-Approve") -> str:
    return f"Shrink\n\nNobody is on it.\n\nReviewed-by: Ada <ada@example.org>\n{key}: {digest}\n"


async def accept(source: GitSource) -> None:
    source.accept((await source.fetch()).revision)


async def approvals(source: GitSource) -> tuple[str, ...]:
    return (await source.fetch()).approvals


async def test_a_trailer_approves(repository: GitRepository, source: GitSource):
    repository.commit({"a.toml": ""}, approve(ONE))

    assert await approvals(source) == (ONE,)


async def test_every_commit_since_the_accepted_one_counts(
    repository: GitRepository, source: GitSource
):
    repository.commit({"a.toml": ""})
    await accept(source)
    repository.commit({"a.toml": "1"}, approve(ONE))
    repository.commit({"a.toml": "2"}, approve(TWO))
    repository.commit({"a.toml": "3"})

    assert set(await approvals(source)) == {ONE, TWO}


async def test_commits_of_a_merged_branch_count(repository: GitRepository, source: GitSource):
    repository.commit({"a.toml": ""})
    await accept(source)
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit({"a.toml": "1"}, approve(ONE))
    repository.git("checkout", "--quiet", "main")
    repository.commit({"a.toml": "", "b.toml": ""})
    repository.git("merge", "--quiet", "--no-ff", "-m", "Merge branch 'topic'", "topic")

    assert await approvals(source) == (ONE,)


async def test_what_was_accepted_before_approves_nothing_again(
    repository: GitRepository, source: GitSource
):
    repository.commit({"a.toml": ""}, approve(ONE))
    await accept(source)
    repository.commit({"a.toml": "1"})

    assert await approvals(source) == ()


async def test_of_an_unknown_history_only_the_tip_counts(
    repository: GitRepository, source: GitSource
):
    repository.commit({"a.toml": ""}, approve(ONE))
    repository.commit({"a.toml": "1"}, approve(TWO))

    assert await approvals(source) == (TWO,)


@pytest.mark.parametrize(
    "message",
    [
        approve(ONE).replace("\n", "\r\n"),
        approve(ONE.upper(), "headwater-approve"),
        approve(f"\t{ONE}  "),
    ],
)
async def test_case_spaces_and_line_ends_do_not_matter(
    repository: GitRepository, source: GitSource, message: str
):
    revision = repository.commit({"a.toml": ""})
    await accept(source)
    tree = repository.git("rev-parse", f"{revision}^{{tree}}")
    verbatim = repository.git("commit-tree", tree, "-p", revision, text=message)
    repository.git("update-ref", "refs/heads/main", verbatim)

    assert await approvals(source) == (ONE,)


@pytest.mark.parametrize(
    "message",
    [
        f"Shrink, as Headwater-Approve: {ONE} says",
        f'Revert "Shrink"\n\n> Headwater-Approve: {ONE}\n',
        "Shrink\n\nHeadwater-Approve:\n\n" + ONE,
        approve(ONE[:-1]),
        approve(ONE + "0"),
        approve(f"{ONE} and more"),
        approve("everything"),
    ],
)
async def test_what_only_looks_like_one_approves_nothing(
    repository: GitRepository, source: GitSource, message: str
):
    repository.commit({"a.toml": ""}, message)

    assert await approvals(source) == ()


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "no-such-encoding"])
async def test_a_message_in_any_encoding_is_read(
    repository: GitRepository, source: GitSource, encoding: str
):
    repository.git("config", "i18n.commitEncoding", encoding)
    repository.commit({"a.toml": ""}, f"Caf\u00e9\n\nHeadwater-Approve: {ONE}\n")

    assert await approvals(source) == (ONE,)
