import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_agent.frames import LIMIT, pack, unpack
from headwater_agent.journal import Journal, name_of, read, write
from headwater_agent.log import LIMIT as LOG_LIMIT
from headwater_agent.log import MARK, Log
from headwater_agent.steps import Unstartable, prepare


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_id_has_a_file_name_of_its_own(one, other):
    assert "/" not in name_of(one)
    assert name_of(one) not in (".", "..")
    assert (name_of(one) == name_of(other)) == (one == other)


def test_a_step_is_claimed_once(tmp_path):
    journal = Journal(str(tmp_path))
    assert journal.claim(0, {"runner": 1})
    assert not journal.claim(0, {"runner": 2})
    assert journal.started(0) == {"runner": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["0.started"]


def test_the_first_document_of_an_id_stays(tmp_path):
    journal = Journal(str(tmp_path / "c1"))
    journal.adopt({"id": "c1", "steps": []})
    journal.adopt({"id": "c1", "steps": ["changed"]})
    assert journal.document["steps"] == []


def test_a_damaged_record_is_an_error_that_names_it(tmp_path):
    (tmp_path / "ended.json").write_text("{")
    with pytest.raises(OSError, match=r"ended.json is not a record"):
        _ = Journal(str(tmp_path)).ended


def test_a_record_is_whole_or_absent(tmp_path):
    write(str(tmp_path / "a"), {"b": "ü"})
    assert read(str(tmp_path / "a")) == {"b": "ü"}
    assert read(str(tmp_path / "c")) is None


def test_a_log_of_just_the_limit_is_not_marked(tmp_path):
    log = Log(str(tmp_path / "log"))
    log.append(b"x" * LOG_LIMIT)
    assert (tmp_path / "log").stat().st_size == LOG_LIMIT
    for _ in range(3):
        log.append(b"y")
    assert (tmp_path / "log").read_bytes()[LOG_LIMIT:] == MARK


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", ""),
        (b"one\ntwo\n\n  \n", "two"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 400),
    ],
)
def test_last_words_are_the_last_line_with_something_in_it(tmp_path, printed, words):
    log = Log(str(tmp_path / "log"))
    log.append(printed)
    assert log.last_words == words


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("dnf", "exec dnf -q -y install 'a' 'b'"),
        ("zypper", "exec zypper --non-interactive install --no-confirm 'a' 'b'"),
        ("apk", "exec apk add --no-cache 'a' 'b'"),
    ],
)
def test_the_program_that_the_machine_has_installs_packages(tmp_path, program, command):
    (tmp_path / program).touch(0o755)
    step: dict[str, object] = {"name": "packages", "script": "", "packages": ["a", "b"]}
    with open(prepare(str(tmp_path), 0, step, str(tmp_path)), encoding="utf-8") as file:  # noqa: PTH123  # the agent's own path
        assert file.read() == f"#!/bin/sh\n{command}\n"


@pytest.mark.parametrize(
    ("packages", "words"),
    [(["a"], "no program to install packages"), (["--root=/"], "not the name")],
)
def test_packages_that_cannot_be_installed_are_refused(tmp_path, packages, words):
    step: dict[str, object] = {"name": "packages", "script": "", "packages": packages}
    with pytest.raises(Unstartable, match=words):
        prepare(str(tmp_path), 0, step, str(tmp_path))


@given(st.lists(st.binary().filter(lambda field: b"\0" not in field), min_size=3, max_size=3))
def test_frames_arrive_whole_however_they_are_cut(fields):
    frame = pack(*fields)
    for end in range(len(frame)):
        assert unpack(frame[:end], 3) is None
    assert unpack(frame, 3) == fields


@given(st.binary())
def test_what_is_no_frame_is_a_value_error(received):
    try:
        found = unpack(received, 3)
    except ValueError:
        return
    assert found is None or len(found) <= 3


def test_a_frame_has_a_limit():
    with pytest.raises(ValueError, match="not a frame"):
        unpack(b"%d\n" % (LIMIT + 1), 3)
