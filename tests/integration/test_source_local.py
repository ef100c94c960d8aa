"""Repositories on this host, whole and broken, made by the real git program."""

import os
import shutil
from pathlib import Path

import pytest

from fakes.source import GitRepository
from headwater.errors import Refused, Stalled, Transient
from headwater.manifests.snapshot import FileKind, Snapshot
from headwater.source.git import GitSource, snapshot_of
from headwater.source.worktrees import snapshot_of_worktree


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


async def fetch(url: Path | str, mirror: Path, branch: str = "main", path: str = "") -> Snapshot:
    async with GitSource(str(url), branch, path, mirror) as source:
        return await source.fetch()


async def test_bare_work_tree_linked_and_file_url_are_the_same_repository(
    repository: GitRepository, tmp_path: Path
) -> None:
    revision = repository.commit({"a.toml": "a = 1\n"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    repository.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    places: list[Path | str] = [
        repository.directory,
        repository.directory / ".git",
        tmp_path / "bare.git",
        tmp_path / "linked",
        (tmp_path / "bare.git").as_uri(),
    ]

    read = [await fetch(p, tmp_path / f"mirror-{n}") for n, p in enumerate(places)]

    assert {s.revision for s in read} == {revision}


async def test_a_path_narrows_the_snapshot(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"a.toml": "", "systems/b.toml": "b = 1\n", "systems/c/d.sh": "#!"})

    snapshot = await fetch(repository.directory, tmp_path / "mirror", path="systems/")

    assert set(snapshot.files) == {"b.toml", "c/d.sh"}


@pytest.mark.parametrize("path", ["system", "a.toml", "link"])
async def test_a_path_that_is_no_directory_is_stalled_and_not_empty(
    repository: GitRepository, tmp_path: Path, path: str
) -> None:
    repository.write({"a.toml": "", "systems/b.toml": ""})
    (repository.directory / "link").symlink_to("systems")
    repository.git("add", "--all", ".")
    repository.git("commit", "--quiet", "--message", "files")

    with pytest.raises(Stalled, match="has no directory"):
        await fetch(repository.directory, tmp_path / "mirror", path=path)


async def test_links_and_submodules_are_told_and_not_followed(
    repository: GitRepository, tmp_path: Path
) -> None:
    (repository.directory / "secrets.toml").symlink_to("/etc/passwd")
    repository.git("add", "--all", ".")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repository.git("commit", "--quiet", "--message", "strange things")

    files = (await fetch(repository.directory, tmp_path / "mirror")).files

    assert files["secrets.toml"].kind is FileKind.SYMLINK
    assert files["secrets.toml"].content is None
    assert files["module"].kind is FileKind.SUBMODULE


async def test_large_files_are_known_and_not_read(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"big.toml": "#" * (1 << 21), "big.sh": "#" * 70_000, "fit.sh": "#" * 60_000})

    files = (await fetch(repository.directory, tmp_path / "mirror")).files

    assert (files["big.toml"].size, files["big.toml"].content) == (1 << 21, None)
    assert (files["big.sh"].size, files["big.sh"].content) == (70_000, None)
    assert files["fit.sh"].content == b"#" * 60_000


async def test_names_that_are_no_text_are_readable_all_the_same(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.write({os.fsdecode(b"\xff.toml"): "a = 1\n"})
    repository.git("add", "--all", ".")
    repository.git("commit", "--quiet", "--message", "bytes")

    assert set((await fetch(repository.directory, tmp_path / "mirror")).files) == {"\\xff.toml"}


async def test_a_tree_with_an_entry_that_climbs_is_refused(
    repository: GitRepository, tmp_path: Path
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", text="x")
    body = b"100644 ..\0" + bytes.fromhex(blob)
    (tmp_path / "tree").write_bytes(body)
    tree = repository.git("hash-object", "-t", "tree", "-w", "--literally", str(tmp_path / "tree"))
    commit = repository.git("commit-tree", tree, "-m", "climb")
    repository.git("update-ref", "refs/heads/main", commit)

    with pytest.raises(Stalled, match=r"named '\.\.'"):
        await fetch(repository.directory, tmp_path / "mirror")


async def test_a_deep_tree_is_read(repository: GitRepository, tmp_path: Path) -> None:
    tree = repository.git("mktree", text=f"100644 blob {_blob(repository, 'a = 1')}\ta.toml\n")
    for _ in range(1200):
        tree = repository.git("mktree", text=f"040000 tree {tree}\td\n")
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", tree, "-m", "x"))

    assert len((await fetch(repository.directory, tmp_path / "mirror")).files) == 1


def _blob(repository: GitRepository, text: str) -> str:
    return repository.git("hash-object", "-w", "--stdin", text=text)


async def test_unchanged_contents_are_kept_and_not_read_again(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": "a = 1\n", "b.toml": "b = 1\n"})
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        before = await source.fetch()
        repository.commit({"a.toml": "a = 1\n", "b.toml": "b = 2\n"})
        after = await source.fetch()
        repository.git("commit", "--quiet", "--allow-empty", "--message", "nothing")
        same = await source.fetch()

    assert after.files["a.toml"] is before.files["a.toml"]
    assert same.files is after.files
    assert same.revision != after.revision


async def test_a_missing_branch_is_stalled_with_those_that_are_near(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    repository.git("branch", "production")

    with pytest.raises(Stalled, match=r"no branch 'prodution' \(there is 'production'\)"):
        await fetch(repository.directory, tmp_path / "mirror", branch="prodution")


async def test_a_branch_that_is_deleted_is_stalled(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        await source.fetch()
        repository.git("checkout", "--quiet", "-b", "other")
        repository.git("branch", "--quiet", "-D", "main")

        with pytest.raises(Stalled, match="no branch 'main'"):
            await source.fetch()


@pytest.mark.parametrize("branch", ["-x", "a..b", "", "a b"])
def test_what_is_no_branch_name_is_refused(tmp_path: Path, branch: str) -> None:
    with pytest.raises(Stalled, match="no name of a branch"):
        GitSource(str(tmp_path), branch, "", tmp_path / "mirror")


async def test_sha256_and_reftable_are_refused_with_the_way_out(tmp_path: Path) -> None:
    sha256 = GitRepository(tmp_path / "sha256", "--object-format=sha256")
    sha256.commit({"a.toml": ""})
    reftable = GitRepository(tmp_path / "reftable")
    reftable.git("config", "core.repositoryformatversion", "1")
    reftable.commit({"a.toml": ""})
    with (reftable.directory / ".git/config").open("a") as config:
        config.write("[extensions]\n\trefStorage = reftable\n")

    with pytest.raises(Stalled, match=r"SHA-256 .*--object-format=sha1"):
        await fetch(sha256.directory, tmp_path / "mirror")
    with pytest.raises(Stalled, match=r"reftable, .*git refs migrate"):
        await fetch(reftable.directory, tmp_path / "mirror")
    with pytest.raises(Stalled, match=r"SHA-256 .*--object-format=sha1"):
        snapshot_of(sha256.directory, "main")


async def test_what_is_no_repository_says_so(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"systems/a.toml": ""})
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").touch()

    for path, words in [
        (tmp_path / "plain", "not a Git repository"),
        (tmp_path / "file", "not a directory"),
        (tmp_path / "nowhere", "no such directory"),
        (repository.directory / "systems", "give that, with the path systems"),
    ]:
        with pytest.raises(Stalled, match=words):
            await fetch(path, tmp_path / "mirror")


async def test_a_shallow_clone_is_planned_from_and_not_followed(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    revision = repository.commit({"b.toml": ""})
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", repository.directory.as_uri(), str(shallow))

    assert snapshot_of(shallow, "main").revision == revision
    with pytest.raises(Stalled, match="git fetch --unshallow"):
        await fetch(shallow, tmp_path / "mirror")


async def test_a_repository_with_holes_is_stalled(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": "a = 1\n"})
    blob = repository.git("rev-parse", "HEAD:a.toml")
    (repository.directory / ".git/objects" / blob[:2] / blob[2:]).unlink()

    with pytest.raises(Stalled, match="git fsck"):
        await fetch(repository.directory, tmp_path / "mirror")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_repository_of_another_user_names_safe_directory(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    for path in [repository.directory, *repository.directory.rglob("*")]:
        os.chown(path, 12345, 12345)

    with pytest.raises(Stalled, match=r"safe\.directory"):
        await fetch(repository.directory, tmp_path / "mirror")


async def test_a_repository_that_vanishes_is_waited_for_and_read_again(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
        before = await source.fetch()
        repository.directory.rename(tmp_path / "away")
        with pytest.raises(Transient, match="vanished"):
            await source.fetch()
        (tmp_path / "away").rename(repository.directory)

        assert await source.fetch() is before


async def test_a_broken_mirror_is_made_anew(repository: GitRepository, tmp_path: Path) -> None:
    revision = repository.commit({"a.toml": ""})
    await fetch(repository.directory, tmp_path / "mirror")
    (tmp_path / "mirror/HEAD").unlink()

    assert (await fetch(repository.directory, tmp_path / "mirror")).revision == revision


async def test_a_mirror_that_lost_objects_is_made_anew(
    repository: GitRepository, tmp_path: Path
) -> None:
    revision = repository.commit({"a.toml": "a = 1\n"})
    commit = repository.git("cat-file", "commit", revision) + "\n"
    mirror = GitRepository(tmp_path / "mirror", "--bare")
    mirror.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", text=commit)
    mirror.git("update-ref", "refs/heads/main", revision)

    with pytest.raises(Transient, match="made anew"):
        await fetch(repository.directory, mirror.directory)
    assert (await fetch(repository.directory, mirror.directory)).revision == revision


async def test_a_mirror_never_replaces_something_else(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a.toml": ""})
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/thesis.tex").touch()

    with pytest.raises(Stalled, match="neither empty nor a mirror"):
        await fetch(repository.directory, tmp_path / "mirror")
    assert (tmp_path / "mirror/thesis.tex").exists()


async def test_packs_do_not_pile_up(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"a.toml": ""})
    await fetch(repository.directory, tmp_path / "mirror")
    packs = tmp_path / "mirror/objects/pack"
    for n in range(201):
        (packs / f"pack-{n:040}.pack").touch()

    await fetch(repository.directory, tmp_path / "mirror")

    assert len(list(packs.glob("*.pack"))) < 10


async def test_an_accepted_revision_is_remembered_over_a_restart(
    repository: GitRepository, tmp_path: Path
) -> None:
    accepted = repository.commit({"a.toml": ""})
    await fetch(repository.directory, tmp_path / "mirror")
    repository.rewind({"b.toml": ""})
    shutil.rmtree(tmp_path / "mirror")

    source = GitSource(
        str(repository.directory), "main", "", tmp_path / "mirror", last_accepted=accepted
    )
    async with source:
        with pytest.raises(Stalled, match="--allow-rewind"):
            await source.fetch()


def test_a_revision_is_read_by_branch_tag_and_id(repository: GitRepository) -> None:
    first = repository.commit({"systems/a.toml": "a = 1\n"})
    repository.git("tag", "--annotate", "--message", "one", "v1")
    second = repository.commit({"systems/a.toml": "a = 2\n"})

    assert snapshot_of(repository.directory, "main").revision == second
    for name in ("v1", first, first[:10], "main~1"):
        assert snapshot_of(repository.directory, name, "systems").revision == first
    with pytest.raises(Refused, match=r"no revision 'mian' \(near: 'main'\)"):
        snapshot_of(repository.directory, "mian")


def test_a_work_tree_is_read_as_a_commit_of_it_would_be(repository: GitRepository) -> None:
    files = {
        "systems/a.toml": "a = 1\n",
        "systems/deep/b.sh": "#!/bin/sh\n",
        ".gitignore": "*.log\nbuild/\n",
        "kept.log": "tracked all the same",
    }
    repository.write(files)
    repository.git("add", "--force", ".")
    repository.git("commit", "--quiet", "--message", "files")
    repository.write({"trace.log": "", "build/x.toml": "", "systems/new.toml": "n = 1\n"})
    before = snapshot_of_worktree(repository.directory)
    repository.git("add", "--all", ".")
    repository.git("commit", "--quiet", "--message", "more")
    after = snapshot_of(repository.directory, "main")

    assert before.revision == ""
    assert before.files == after.files
    assert set(snapshot_of_worktree(repository.directory, "systems").files) == {
        "a.toml",
        "deep/b.sh",
        "new.toml",
    }


def test_a_work_tree_is_read_without_following_anything(tmp_path: Path) -> None:
    inner = GitRepository(tmp_path / "tree/inner")
    inner.commit({"a.toml": ""})
    (tmp_path / "tree/link.toml").symlink_to("/etc/passwd")
    (tmp_path / "tree/loop").symlink_to(".")
    os.mkfifo(tmp_path / "tree/pipe.toml")

    files = snapshot_of_worktree(tmp_path / "tree").files

    assert {p: f.kind for p, f in files.items()} == {
        "inner": FileKind.SUBMODULE,
        "link.toml": FileKind.SYMLINK,
        "loop": FileKind.SYMLINK,
    }


@pytest.mark.parametrize("path", ["nowhere", "link"])
def test_a_path_of_a_work_tree_must_be_a_directory_in_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to("/")

    with pytest.raises(Stalled, match="not a directory inside"):
        snapshot_of_worktree(tmp_path, path)
