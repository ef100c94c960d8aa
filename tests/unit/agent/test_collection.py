import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from headwater_agent import collection
from headwater_agent.collection import Content


def packed(place: Path, directory: Path) -> tuple[dict[str, bytes | None], str]:
    """Names, contents, and what was said, of the archive of the directory."""
    draft = str(place / "draft")
    words = collection._pack(os.fsencode(directory), draft)
    with tarfile.open(draft) as archive:
        return {
            member.name: archive.extractfile(member).read() if member.isfile() else None  # type: ignore[union-attr]
            for member in archive.getmembers()
        }, words


@pytest.fixture
def directory(tmp_path):
    place = tmp_path / "reports"
    place.mkdir()
    return place


def test_a_file_that_became_shorter_is_filled_up_and_says_so():
    content = Content(io.BytesIO(b"abc"))
    assert content.read(2) == b"ab"
    assert content.trouble == ""
    assert content.read(4) == b"c\0\0\0"
    assert content.read(2) == b"\0\0"
    assert content.trouble == "it became shorter meanwhile"


def test_a_file_that_cannot_be_read_is_filled_up_and_says_why():
    class Broken(io.BytesIO):
        def read(self, _size=-1, /):
            raise OSError(5, "Input/output error")

    content = Content(Broken())
    assert content.read(3) == bytes(3)
    assert content.trouble == "Input/output error"


def test_what_vanishes_or_may_not_be_read_is_no_failure(tmp_path, directory, monkeypatch):
    for name in ("a", "gone", "locked"):
        (directory / name).write_text(name)
    opened = os.open

    def opening(path, flags, *rest):
        if path.endswith(b"gone"):
            raise FileNotFoundError(2, "No such file or directory")
        if path.endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", opening)
    files, words = packed(tmp_path, directory)
    assert files["a"] == b"a"
    assert set(files) == {"a", "LEFT_OUT.txt"}
    assert words == "left out: gone (No such file or directory), locked (Permission denied)"


def test_more_files_than_can_be_looked_at_are_told(tmp_path, directory, monkeypatch):
    monkeypatch.setattr(collection, "MOST", 3)
    for number in range(5):
        (directory / str(number)).touch()
    files, words = packed(tmp_path, directory)
    assert set(files) == {"0", "1", "2", "LEFT_OUT.txt"}
    assert words == "left out: * (there are more than 3 files)"


def test_as_many_files_as_can_be_looked_at_leave_nothing_out(tmp_path, directory, monkeypatch):
    monkeypatch.setattr(collection, "MOST", 3)
    for number in range(3):
        (directory / str(number)).touch()
    assert packed(tmp_path, directory)[1] == ""


def test_the_name_of_our_list_is_ours(tmp_path, directory):
    (directory / "LEFT_OUT.txt").write_text("mine")
    files, words = packed(tmp_path, directory)
    assert files == {"LEFT_OUT.txt": b"LEFT_OUT.txt (the name is taken)\n"}
    assert words == "left out: LEFT_OUT.txt (the name is taken)"


def test_special_bits_and_owners_do_not_travel(tmp_path, directory):
    (directory / "a").touch()
    (directory / "a").chmod(0o4755)
    draft = tmp_path / "draft"
    collection._pack(os.fsencode(directory), str(draft))
    with tarfile.open(draft) as archive:
        (member,) = archive.getmembers()
    assert (member.mode, member.uid, member.uname) == (0o755, 0, "")


def test_a_directory_deeper_than_a_path_may_be_is_named(tmp_path, directory):
    here = os.open(directory, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    files, words = packed(tmp_path, directory)
    assert "LEFT_OUT.txt" in files
    assert len(words) <= collection.WORDS
    assert b"(File name too long)" in (files["LEFT_OUT.txt"] or b"")


def test_the_same_directory_makes_the_same_archive(tmp_path, directory):
    (directory / "a").write_text("a")
    drafts = []
    for name in ("one", "other"):
        collection._pack(os.fsencode(directory), str(tmp_path / name))
        drafts.append((tmp_path / name).read_bytes())
    assert drafts[0] == drafts[1]
    assert len(gzip.decompress(drafts[0])) % tarfile.RECORDSIZE == 0
