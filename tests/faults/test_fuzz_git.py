"""What others write into the repository is read, and left as it is."""

import asyncio
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygit2.enums import ObjectType

from fakes.source import GitRepository
from faults.fuzzing import Fuzz, fuzzed
from headwater.planning.status import CommitState, CommitStatus
from headwater.source import notes
from headwater.source.git import GitSource
from headwater.source.notes import GitNotes, read_notes
from headwater.source.trailers import approvals_since

Recorder = Callable[[str, object], None]

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
marks = st.sampled_from(
    ["headwater: success - x", "headwater", ": ", ":", "\n", "\r\n", "\0", "\ud800", "\u2028", "é"]
)
texts = st.lists(st.text(max_size=10) | marks, max_size=6).map("".join)
lines = st.lists(texts, max_size=5).map("\n".join)
trailers = st.sampled_from(
    [
        b"Headwater-Approve: 0123abcd\n",
        b"headwater-approve:deadbeefdeadbeef\n",
        b"Headwater-Approve: xyz\n",
        b"Headwater-Approve: 0123abcd extra\n",
        b"Headwater-Approve: " + b"a" * 65 + b"\n",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff\xfe",
    ]
)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "repository")
    repository.commit({"a.toml": ""})
    return repository


def test_the_lines_of_any_note_stay_as_they_are(record_property: Recorder):
    fuzz = Fuzz()

    @fuzzed(2000)
    @given(lines, st.sampled_from(["headwater", "headwater/box"]), st.text(max_size=30))
    def one(note: str, context: str, said: str) -> None:
        with fuzz.example():
            known = notes._parse(note)
            status = CommitStatus("0" * 40, context, CommitState.SUCCESS, said, NOON)
            changed = notes._parse(notes._render({**known, context: notes._line(status)}))
        assert changed.pop(context).startswith("success - ")
        known = {name: words for name, words in known.items() if name not in {context, ""}}
        assert {name: words for name, words in changed.items() if name} == known

    one()
    record_property("figure", fuzz.told("lines of notes"))


def test_any_answer_can_be_given_beside_any_note(
    repository: GitRepository, tmp_path: Path, record_property: Recorder
):
    fuzz = Fuzz()
    revision = repository.git("rev-parse", "HEAD")

    async def answer(note: bytes, descriptions: list[str]) -> None:
        _annotate(repository, revision, note)
        async with GitSource(str(repository.directory), "main", "", tmp_path / "mirror") as source:
            written = GitNotes(source.upstream, source.worker)
            for number, said in enumerate(descriptions):
                context = f"headwater/d{number}"
                await written.answer(
                    CommitStatus(revision, context, CommitState.SUCCESS, said, NOON)
                )
        found = read_notes(repository.directory, revision)
        wanted = {f"headwater/d{number}" for number in range(len(descriptions))}
        assert wanted <= found.keys()
        assert all(found[context].startswith("success - ") for context in wanted)

    @fuzzed(150)
    @given(st.binary(max_size=60), st.lists(texts, min_size=1, max_size=3))
    def one(note: bytes, descriptions: list[str]) -> None:
        with fuzz.example():
            asyncio.run(answer(note, descriptions))

    one()
    record_property("figure", fuzz.told("notes in a repository"))


def test_the_approvals_of_any_commit_message_are_digests(
    repository: GitRepository, record_property: Recorder
):
    fuzz = Fuzz()
    opened = pygit2.Repository(str(repository.directory))
    first = opened.revparse_single("HEAD").peel(pygit2.Commit)

    @fuzzed(1500)
    @given(
        st.lists(st.binary(max_size=20) | trailers, max_size=6).map(b"".join),
        st.sampled_from([b"", b"encoding latin-1\n", b"encoding no-such\n", b"gpgsig x\n y\n"]),
        st.binary(max_size=10),
    )
    def one(message: bytes, header: bytes, name: bytes) -> None:
        author = name.translate(None, b"\n\0<>") or b"A"
        raw = b"".join(
            [
                b"tree %s\nparent %s\n" % (str(first.tree_id).encode(), str(first.id).encode()),
                b"author %s <a@b> 1 +0000\ncommitter %s <a@b> 1 +0000\n" % (author, author),
                header + b"\n" + message,
            ]
        )
        with fuzz.example():
            commit = opened[opened.odb.write(ObjectType.COMMIT, raw)].peel(pygit2.Commit)
            found = approvals_since(opened, commit, str(first.id))
        for digest in found:
            assert 8 <= len(digest) <= 64
            assert digest.encode() in message.lower()

    one()
    record_property("figure", fuzz.told("commit messages"))


def _annotate(repository: GitRepository, revision: str, note: bytes) -> None:
    """Somebody's remark, as any Git writes it: bytes, whatever they mean."""
    blob = (
        subprocess.run(
            ["git", "hash-object", "-w", "--stdin"],
            cwd=repository.directory,
            input=note,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    repository.git("notes", "--ref=headwater", "add", "--force", "-C", blob, revision)
