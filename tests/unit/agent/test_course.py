from pathlib import Path

import pytest

from headwater_agent.course import COLLECTING, end_of, next_of
from headwater_agent.journal import Journal


def made(place: Path, steps: str, *, collects: bool = False, **exits: str) -> Journal:
    journal = Journal(str(place / "j"))
    document: dict[str, object] = {
        "id": "j",
        "steps": [{"name": name, "script": "", "packages": []} for name in steps],
        "environment": [],
        "timeout": 10.0,
        "collects": collects,
    }
    journal.adopt(document)
    for position, reason in exits.items():
        record: dict[str, object] = {
            "code": 1 if reason == "exit" else None,
            "reason": reason,
            "words": "oh",
        }
        journal.record_exit(int(position[1:]), {**record, "seconds": 3.0})
    return journal


def ahead(journal: Journal) -> tuple[int, str | None, float] | None:
    found = next_of(journal)
    if found is None:
        return None
    return found.position, found.step["name"] if found.step else None, found.seconds


def test_steps_come_in_order_on_the_time_that_is_left(tmp_path):
    assert ahead(made(tmp_path, "ab")) == (0, "a", 10.0)
    assert ahead(made(tmp_path, "ab", _0="")) == (1, "b", 7.0)
    assert ahead(made(tmp_path, "ab", _0="", _1="")) is None


def test_nothing_comes_after_a_failure(tmp_path):
    journal = made(tmp_path, "ab", _0="exit")
    assert ahead(journal) is None
    end = end_of(journal)
    assert (end["succeeded"], end["step"], end["exit_code"]) == (False, "a", 1)
    assert (end["reason"], end["words"], end["seconds"]) == ("exit", "oh", 3.0)


@pytest.mark.parametrize("reason", ["", "exit", "timeout", "aborted", "interrupted"])
def test_the_collection_comes_after_the_steps_whatever_became_of_them(tmp_path, reason):
    assert ahead(made(tmp_path, "a", collects=True, _0=reason)) == (1, None, COLLECTING)


def test_a_task_without_steps_only_collects(tmp_path):
    journal = made(tmp_path, "", collects=True)
    assert ahead(journal) == (0, None, COLLECTING)
    journal.record_exit(0, {"code": 0, "reason": "", "words": "", "seconds": 1.0})
    assert ahead(journal) is None
    assert end_of(journal) == {
        "succeeded": True,
        "step": "",
        "exit_code": 0,
        "reason": "",
        "words": "",
        "seconds": 1.0,
    }


def test_what_was_left_out_is_said_before_how_the_step_failed(tmp_path):
    journal = made(tmp_path, "a", collects=True, _0="exit", _1="")
    end = end_of(journal)
    assert (end["reason"], end["words"], end["seconds"]) == ("exit", "oh; oh", 6.0)


def test_a_failed_collection_keeps_what_the_step_said(tmp_path):
    end = end_of(made(tmp_path, "a", collects=True, _0="exit", _1="timeout"))
    assert (end["succeeded"], end["reason"], end["exit_code"]) == (False, "uncollected", 1)
    assert end["words"] == "the report could not be made: oh; oh"


def test_an_end_that_cannot_be_written_is_known_all_the_same(tmp_path):
    journal = made(tmp_path, "a")
    (tmp_path / "j/document.json").unlink()
    (tmp_path / "j").rmdir()
    with pytest.raises(FileNotFoundError):
        journal.record_end({"reason": "aborted"})
    assert journal.ended == {"reason": "aborted"}
