import io
import json
import logging
import sys

import pytest

from fakes.controller import BUSY, deployment
from headwater.planning.events import (
    ActionEnded,
    CloudListed,
    PassEnded,
    RevisionRead,
    SourceFailed,
    StatusChanged,
)
from headwater.planning.status import Phase
from headwater.reporting.logs import EventLog, configure_logging

CREATED = ActionEnded(
    "hello", "wn.1", "create", "it is missing", 0.31, revision="c0ffee", plan="d1", approval="d1"
)


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(format, *events, level: str = "INFO") -> list[str]:
    stream = io.StringIO()
    configure_logging(format, stream, level)
    listener = EventLog()
    for event in events:
        listener(event)
    return stream.getvalue().splitlines()


def test_json_has_a_constant_event_name_and_fields():
    (line,) = written("json", CREATED)

    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "info",
        "logger": "headwater",
        "event": "action.ended",
        "deployment": "hello",
        "instance": "wn.1",
        "action": "create",
        "reason": "it is missing",
        "seconds": 0.31,
        "error": "",
        "revision": "c0ffee",
        "plan": "d1",
        "approval": "d1",
    }


def test_people_get_one_short_line():
    (line,) = written("human", CREATED)

    assert line[9:] == (
        'action.ended             hello/wn.1 action=create reason="it is missing" seconds=0.3s'
        " revision=c0ffee plan=d1 approval=d1"
    )


def test_a_terminals_commands_do_not_get_through():
    (line,) = written("human", ActionEnded("hello", "wn.1", "create", "", 0.3, "\x1b[2Jgone"))

    assert "\x1b" not in line
    assert "warning" in line


def test_each_error_of_a_revision_is_a_line_for_people():
    lines = written("human", RevisionRead("a" * 40, 1, ("a.toml:1:1: x", "b.toml:2:1: y"), 0.01))

    assert [line.strip() for line in lines[1:]] == ["a.toml:1:1: x", "b.toml:2:1: y"]


def test_what_repeats_is_said_once():
    down, up = SourceFailed("no route"), RevisionRead("a" * 40, 1, (), 0.01)

    assert len(written("json", down, down, up, down)) == 3
    fine = CloudListed("local", 1, 0, complete=True, seconds=0.1)
    bad = CloudListed("local", 0, 0, complete=False, seconds=0.1, error="timed out")
    assert len(written("json", fine, bad, bad, fine, bad)) == 2


def test_routine_is_for_debugging():
    routine = PassEnded("hello", "unchanged", 0, 0.01)

    assert written("json", routine) == []
    assert len(written("json", routine, level="DEBUG")) == 1


def test_a_status_is_told_when_its_phase_changes():
    busy = StatusChanged("hello", deployment(phase=Phase.EXECUTING, conditions=BUSY))
    ready = StatusChanged("hello", deployment())
    lines = written("json", busy, busy, ready, StatusChanged("hello", None))

    assert [json.loads(line)["phase"] for line in lines] == ["Executing", "Ready", "gone"]


def test_auto_writes_json_where_nobody_looks():
    assert json.loads(written("auto", CREATED)[0])["event"] == "action.ended"


def test_a_failure_of_ours_keeps_its_traceback():
    stream = io.StringIO()
    configure_logging("json", stream)
    try:
        int("a bug")
    except ValueError:
        logging.getLogger("headwater").exception("pass.broke")

    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_without_a_stream_the_log_follows_standard_error(monkeypatch: pytest.MonkeyPatch):
    configure_logging("json")
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)
    EventLog()(CREATED)

    assert json.loads(replaced.getvalue())["event"] == "action.ended"


@pytest.mark.parametrize("format", ["json", "human"])
def test_what_is_logged_without_an_event_keeps_its_fields(format):
    stream = io.StringIO()
    configure_logging(format, stream)

    logging.getLogger("headwater.answers").warning("answer.delayed", extra={"reason": "locked"})

    assert "answer.delayed" in stream.getvalue()
    assert "locked" in stream.getvalue()
    assert "threadName" not in stream.getvalue()
