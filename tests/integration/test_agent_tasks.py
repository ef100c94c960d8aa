"""Hooks and reports on the machine, by the agent as it ships."""

import gzip
import io
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.agent_line import AgentLine, Machine, eventually, is_alive, machine_in
from headwater_agent import protocol
from headwater_agent.collection import LIMIT

MEBIBYTE = 1024 * 1024
RANDOM = "#!/bin/sh\nhead -c {0} /dev/urandom > $HEADWATER_REPORT_DIR/noise"


@pytest.fixture
def machine(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        yield machine


def unpacked(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        return {member.name: member for member in found.getmembers()}


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        files = [member for member in found.getmembers() if member.isfile()]
        return {file.name: found.extractfile(file).read() for file in files}  # type: ignore[union-attr]


def collected(line: AgentLine, id: str = "report") -> tuple[dict[str, Any], dict[str, bytes]]:
    end = line.task_ended(id)
    return end, contents(line.report(id))


def reports(machine: Machine) -> Path:
    """Where recipes leave what is to be collected."""
    place = machine.home / "reports"
    place.mkdir(parents=True, exist_ok=True)
    return place


# Hooks.


def test_a_task_tells_what_it_prints_and_how_it_ends(machine):
    line = machine.attach()
    line.task("hook", "#!/bin/sh\necho one", "#!/bin/sh\necho two >&2; exit 3", "#!/bin/sh\n")
    end = line.task_ended("hook")
    assert line.output("hook") == b"one\ntwo\n"
    assert end == {
        "kind": "task_ended",
        "task": "hook",
        "succeeded": False,
        "step": "step1",
        "exit_code": 3,
        "reason": "exit",
        "words": "two",
        "seconds": end["seconds"],
    }


def test_a_task_runs_once_and_says_its_end_whenever_it_is_asked_for(machine):
    script = f"#!/bin/sh\necho once | tee -a {machine.root}/runs"
    line = machine.attach()
    line.task("hook", script)
    first = line.task_ended("hook")
    line.task("hook", script)
    assert line.task_ended("hook") == first
    assert line.output("hook") == b"once\n"
    again = machine.attach()
    again.task("hook", script)
    assert again.task_ended("hook") == first
    assert (machine.root / "runs").read_text() == "once\n"


def test_tasks_run_one_at_a_time_in_the_order_in_which_they_came(machine):
    line = machine.attach()
    runs = machine.root / "runs"
    line.task("z", f"#!/bin/sh\necho z >> {runs}; headwater-get go; echo z >> {runs}")
    line.task("a", f"#!/bin/sh\necho a >> {runs}")
    line.task("m", f"#!/bin/sh\necho m >> {runs}")
    line.send(protocol.reply(line.receive("request")["id"], 0, "", ""))
    line.task_ended("m")
    assert runs.read_text().split() == ["z", "z", "a", "m"]


def test_a_task_comes_at_the_end_of_the_step_that_runs(machine):
    line = machine.attach()
    runs = machine.root / "runs"
    line.run(
        "c1", f"#!/bin/sh\nheadwater-get go; echo c1 >> {runs}", f"#!/bin/sh\necho c1 >> {runs}"
    )
    asked = line.receive("request")
    line.task("hook", f"#!/bin/sh\necho hook >> {runs}", f"#!/bin/sh\necho hook >> {runs}")
    line.send(protocol.reply(asked["id"], 0, "", ""))
    assert line.ended("c1")["succeeded"]
    assert runs.read_text().split() == ["c1", "hook", "hook", "c1"]


def test_a_new_context_waits_for_the_task_that_runs(machine):
    line = machine.attach()
    runs = machine.root / "runs"
    line.task("hook", f"#!/bin/sh\nheadwater-get go; echo hook >> {runs}")
    asked = line.receive("request")
    line.run("c1", f"#!/bin/sh\necho c1 >> {runs}")
    line.send(protocol.reply(asked["id"], 0, "", ""))
    assert line.ended("c1")["succeeded"]
    assert runs.read_text().split() == ["hook", "c1"]


def test_the_time_of_a_task_is_for_all_its_steps(machine):
    line = machine.attach()
    line.task("hook", "#!/bin/sh\nsleep 0.3", "#!/bin/sh\nexec sleep 600", timeout=0.6)
    end = line.task_ended("hook")
    assert (end["step"], end["reason"], end["exit_code"]) == ("step1", "timeout", None)


def test_a_context_and_a_task_of_one_name_are_two(machine):
    line = machine.attach()
    line.run("x", "#!/bin/sh\nexit 1")
    line.task("x", "#!/bin/sh\nexit 2")
    assert line.ended("x")["exit_code"] == 1
    assert line.task_ended("x")["exit_code"] == 2


def test_the_id_of_a_task_cannot_leave_the_journal(machine):
    line = machine.attach()
    line.task("../../escape", "#!/bin/sh\n")
    assert line.task_ended("../../escape")["succeeded"]
    assert not (machine.home / "escape").exists()


# Aborting.


def test_stopping_ends_the_hook_that_runs_and_those_that_wait(machine):
    line = machine.attach()
    line.task("first", f"#!/bin/sh\ntouch {machine.root}/begun; exec sleep 600")
    line.task("second", f"#!/bin/sh\ntouch {machine.root}/never")
    eventually((machine.root / "begun").exists)
    line.send(protocol.stop("enough"))
    assert line.task_ended("first")["reason"] == "aborted"
    assert line.task_ended("second")["reason"] == "aborted"
    assert not (machine.root / "never").exists()


def test_stopping_does_not_stop_what_collects(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nexec sleep 600")
    line.receive("started")
    script = "#!/bin/sh\nss-get go; echo said > $SLIPSTREAM_REPORT_DIR/a"
    line.task("report", script, collects=True)
    line.send(protocol.stop("enough"))
    assert line.ended("c1")["reason"] == "aborted"
    asked = line.receive("request")
    assert asked["ignore_abort"]
    line.send(protocol.stop("once more"))
    line.send(protocol.reply(asked["id"], 0, "", ""))
    end, files = collected(line)
    assert (end["succeeded"], files) == (True, {"a": b"said\n"})


def test_the_verbs_of_a_hook_heed_an_abort(machine):
    line = machine.attach()
    line.task("hook", "#!/bin/sh\nss-get go")
    asked = line.receive("request")
    assert not asked["ignore_abort"]
    line.send(protocol.reply(asked["id"], 8, "", "the run is aborted"))
    end = line.task_ended("hook")
    assert (end["exit_code"], end["words"]) == (8, "ss-get: the run is aborted")


# Collecting.


def test_every_step_may_leave_something_for_the_report(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho c1 > $HEADWATER_REPORT_DIR/from-context")
    line.ended("c1")
    line.task(
        "hook", "#!/bin/sh\nmkdir $SLIPSTREAM_REPORT_DIR/d; echo h > $HEADWATER_REPORT_DIR/d/h"
    )
    line.task_ended("hook")
    line.task("report", collects=True)
    end, files = collected(line)
    assert (end["succeeded"], end["reason"], end["words"]) == (True, "", "")
    assert files == {"from-context": b"c1\n", "d/h": b"h\n"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\nexit 7", "exit"),
        ("no interpreter", "unstartable"),
        ("#!/bin/sh\nexec sleep 60", "timeout"),
    ],
)
def test_what_there_is_is_collected_whatever_became_of_the_steps(machine, script, reason):
    (reports(machine) / "a").write_text("kept")
    line = machine.attach()
    line.task("report", script, collects=True, timeout=0.5 if reason == "timeout" else 60.0)
    end, files = collected(line)
    assert (end["succeeded"], end["reason"]) == (False, reason)
    assert files == {"a": b"kept"}


def test_the_archive_depends_on_nothing_but_the_directory(machine):
    place = reports(machine)
    for name in ("b", "a", "c/d"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(name)
    line = machine.attach()
    line.task("one", collects=True)
    line.task("other", collects=True)
    line.task_ended("other")
    assert line.report("one") == line.report("other") != b""
    assert list(unpacked(line.report("one"))) == ["a", "b", "c", "c/d"]


def test_a_sparse_file_of_ten_gigabytes_is_left_out_and_named(machine):
    place = reports(machine)
    (place / "small").write_text("small")
    with (place / "big").open("wb") as file:
        file.truncate(10 * 1024 * MEBIBYTE)
    line = machine.attach()
    line.task("report", collects=True)
    end, files = collected(line)
    assert (end["succeeded"], end["words"]) == (True, "left out: big (10737418240 bytes)")
    assert files == {"small": b"small", "LEFT_OUT.txt": b"big (10737418240 bytes)\n"}
    assert len(line.report("report")) < 1000


def test_the_smallest_files_come_first_until_there_is_no_room(machine):
    place = reports(machine)
    for name, size in {"a": 200 * MEBIBYTE, "b": 60 * MEBIBYTE, "c": 55 * MEBIBYTE}.items():
        with (place / name).open("wb") as file:
            file.truncate(size)
    line = machine.attach()
    line.task("report", collects=True)
    line.task_ended("report")
    assert {name: file.size for name, file in unpacked(line.report("report")).items()} == {
        "b": 60 * MEBIBYTE,
        "c": 55 * MEBIBYTE,
        "LEFT_OUT.txt": len(f"a ({200 * MEBIBYTE} bytes)\n"),
    }
    assert sum((200, 60, 55)) * MEBIBYTE > LIMIT


def test_what_is_no_file_or_lies_elsewhere_is_left_out_and_named(machine):
    place = reports(machine)
    (place / "d").mkdir()
    (place / "d/inside").symlink_to("../target")
    (place / "target").write_text("t")
    (place / "absolute").symlink_to("/etc/passwd")
    (place / "climbing").symlink_to("../../../etc/passwd")
    (place / "round").symlink_to(f"../{place.name}/target")
    (place / "through").symlink_to("absolute")
    (place / "whole").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    os.mknod(place / "null", 0o600 | 0o020000, os.makedev(1, 3))
    line = machine.attach()
    line.task("report", collects=True)
    end = line.task_ended("report")
    found = unpacked(line.report("report"))
    assert end["succeeded"]
    assert set(found) == {"d", "d/inside", "target", "LEFT_OUT.txt"}
    assert found["d/inside"].linkname == "../target"
    named = contents(line.report("report"))["LEFT_OUT.txt"].decode().splitlines()
    leaves = "a link that leaves the directory"
    assert named == [
        f"absolute ({leaves})",
        f"climbing ({leaves})",
        "null (not a file)",
        "pipe (not a file)",
        f"round ({leaves})",
        f"through ({leaves})",
        f"whole ({leaves})",
    ]


def test_names_are_bytes_as_they_are(machine):
    place = os.fsencode(reports(machine))
    names = [b"caf\xe9", "café".encode(), b"new\nline", b"\x1b[31m", b"-x", b"n" * 255]
    for name in names:
        with open(place + b"/" + name, "wb") as file:  # noqa: PTH123  # pathlib has no bytes
            file.write(name)
    line = machine.attach()
    line.task("report", collects=True)
    _, files = collected(line)
    assert {os.fsencode(name): content for name, content in files.items()} == {
        name: name for name in names
    }


def test_a_report_directory_that_is_gone_is_an_empty_report(machine):
    line = machine.attach()
    line.task("report", "#!/bin/sh\nrm -r $HEADWATER_REPORT_DIR", collects=True)
    end, files = collected(line)
    assert (end["succeeded"], files) == (True, {})


def test_a_report_directory_that_is_none_cannot_be_collected(machine):
    line = machine.attach()
    line.task(
        "report",
        "#!/bin/sh\nrm -r $HEADWATER_REPORT_DIR; echo > $HEADWATER_REPORT_DIR",
        collects=True,
    )
    end = line.task_ended("report")
    assert (end["succeeded"], end["reason"], end["exit_code"]) == (False, "uncollected", 0)
    assert end["words"] == "the report could not be made: Not a directory"


def test_a_full_disk_is_said_and_left_as_it_was(machine):
    (reports(machine) / "a").write_bytes(os.urandom(MEBIBYTE))
    place = machine.home / "tasks/report"
    place.mkdir(parents=True)
    (place / "report.tgz.new").symlink_to("/dev/full")
    line = machine.attach()
    line.task("report", "#!/bin/sh\nexit 4", collects=True)
    end = line.task_ended("report")
    assert (end["succeeded"], end["reason"], end["exit_code"]) == (False, "uncollected", 4)
    assert end["words"] == "the report could not be made: No space left on device"
    assert line.report("report") == b""
    assert not [entry for entry in place.iterdir() if entry.name.startswith("report")]


def test_a_journal_that_cannot_be_written_is_an_end_too(machine):
    line = machine.attach()
    (machine.home / "tasks").rmdir()
    (machine.home / "tasks").write_text("in the way")
    line.task("hook", "#!/bin/sh\n")
    line.task("report", collects=True)
    assert line.task_ended("hook")["reason"] == "unstartable"
    end = line.task_ended("report")
    assert (end["reason"], "tasks" in end["words"]) == ("uncollected", True)
    line.run("c1", "#!/bin/sh\n")
    assert line.ended("c1")["succeeded"]


def test_recipes_are_answered_while_a_report_is_packed_and_told(machine):
    (reports(machine) / "noise").write_bytes(os.urandom(8 * MEBIBYTE))
    line = machine.attach()
    line.task("report", collects=True)
    asked = machine.verb("ss-get", "x")
    line.send(protocol.reply(line.receive("request")["id"], 0, "y", ""))
    assert asked.communicate(timeout=60)[0] == b"y\n"
    _, files = collected(line)
    assert len(files["noise"]) == 8 * MEBIBYTE


# Whatever happens meanwhile.


def test_a_task_survives_the_death_of_the_daemon(machine):
    runs = machine.root / "runs"
    scripts = [
        f"#!/bin/sh\necho 1 >> {runs}; until [ -e {machine.root}/go ]; do sleep 0.01; done",
        f"#!/bin/sh\necho 2 >> {runs}; echo left > $HEADWATER_REPORT_DIR/a",
    ]
    line = machine.attach()
    line.task("report", *scripts, collects=True)
    line.task("hook", f"#!/bin/sh\necho 3 >> {runs}")
    eventually(runs.exists)
    # The line has been read to the end before the daemon goes.
    eventually((machine.home / "tasks/hook/document.json").exists)
    machine.kill_daemon()
    again = machine.attach()
    (machine.root / "go").touch()
    again.task("report", *scripts, collects=True)
    end, files = collected(again)
    assert (end["succeeded"], files) == (True, {"a": b"left\n"})
    eventually(lambda: runs.read_text().split() == ["1", "2", "3"])
    again.task("hook", "#!/bin/sh\nexit 1")
    assert again.task_ended("hook")["succeeded"]


def test_what_a_reboot_interrupts_is_not_run_again_but_collected(machine):
    runs = machine.root / "runs"
    script = f"#!/bin/sh\necho part > $HEADWATER_REPORT_DIR/a; echo 1 >> {runs}; sleep 600"
    line = machine.attach()
    line.task("report", script, collects=True)
    eventually(runs.exists)
    machine.remove()
    again = machine.attach()
    again.task("report", script, collects=True)
    end, files = collected(again)
    assert (end["reason"], end["exit_code"]) == ("interrupted", None)
    assert files == {"a": b"part\n"}
    assert runs.read_text() == "1\n"


def test_a_collection_that_is_killed_is_said_and_leaves_nothing(machine):
    place = reports(machine)
    for number in range(3):
        with (place / f"n{number}").open("wb") as file:
            file.truncate(80 * MEBIBYTE)
    line = machine.attach()
    line.task("report", collects=True)
    draft = machine.home / "tasks/report/report.tgz.new"
    eventually(draft.exists)
    (collector,) = [pid for pid in machine.processes() if _holds(pid, draft)]
    os.kill(collector, signal.SIGKILL)
    end = line.task_ended("report")
    assert (end["reason"], end["exit_code"]) == ("uncollected", 0)
    assert end["words"] == "the report could not be made: exit"
    assert not draft.exists()


def _holds(pid: int, file: Path) -> bool:
    try:
        held = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return str(file) in held


@pytest.mark.parametrize("dies", [False, True], ids=["line", "daemon"])
def test_a_transfer_that_breaks_goes_on_where_it_stood(machine, dies):
    (reports(machine) / "noise").write_bytes(os.urandom(3 * MEBIBYTE))
    line = machine.attach()
    line.task("report", collects=True)
    first = protocol.content_of(line.receive("report", offset=0))
    if dies:
        machine.kill_daemon()
    else:
        line.close()
    again = machine.attach()
    again.task("report", collects=True, have_report=len(first))
    again.task_ended("report")
    rest = b"".join(protocol.content_of(m) for m in again._kept if m["kind"] == "report")
    assert contents(first + rest)["noise"] == (reports(machine) / "noise").read_bytes()


def test_a_slow_controller_is_waited_for(machine):
    (reports(machine) / "noise").write_bytes(os.urandom(8 * MEBIBYTE))
    line = machine.attach()
    line.task("report", collects=True)
    archive = machine.home / "tasks/report/report.tgz"
    eventually((machine.home / "tasks/report/ended.json").exists)
    size = archive.stat().st_size
    daemon = Path(f"/proc/{machine.daemon}/status").read_text()
    resident = int(daemon.partition("VmRSS:")[2].split()[0]) * 1024
    assert resident < 32 * MEBIBYTE
    end, files = collected(line)
    assert (end["succeeded"], len(files["noise"])) == (True, 8 * MEBIBYTE)
    assert len(line.report("report")) == size


# What is kept.


def test_the_archive_goes_once_the_controller_has_it(machine):
    (reports(machine) / "a").write_text("a")
    line = machine.attach()
    line.task("report", collects=True)
    end, _ = collected(line)
    archive = machine.home / "tasks/report/report.tgz"
    assert archive.exists()
    line.send(protocol.heard("report"))
    eventually(lambda: not archive.exists())
    line.task("report", collects=True, have_report=100)
    assert line.task_ended("report") == end
    again = machine.attach()
    again.task("report", collects=True)
    lost = again.task_ended("report")
    assert (lost["succeeded"], lost["reason"]) == (False, "uncollected")
    assert "not kept" in lost["words"]


def test_only_the_last_tasks_are_remembered(machine):
    line = machine.attach()
    for number in range(20):
        line.task(f"t{number}", "#!/bin/sh\n")
        line.task_ended(f"t{number}")
        if number:
            line.send(protocol.heard(f"t{number}"))
    kept = {f"t{number}" for number in (0, *range(4, 20))}
    eventually(lambda: {entry.name for entry in (machine.home / "tasks").iterdir()} == kept)


def test_what_no_task_can_be_closes_the_line_only(machine):
    line = machine.attach()
    daemon = machine.daemon
    good = protocol.task(
        id="t", steps=[], environment=[], timeout=1.0, collects=True, have=0, have_report=0
    )
    for bad in (
        {"steps": 5},
        {"have": -1},
        {"have": 2**70},
        {"have_report": -1},
        {"have_report": "x"},
        {"timeout": None},
    ):
        line.send({**good, **bad})
        assert line.is_closed()
        line = machine.attach()
    line.send(protocol.heard("never"))
    line.task("t", "#!/bin/sh\n")
    assert line.task_ended("t")["succeeded"]
    assert is_alive(daemon)
    assert machine.daemon == daemon


def test_an_archive_says_no_time_of_its_own(machine):
    line = machine.attach()
    line.task("report", collects=True)
    line.task_ended("report")
    assert line.report("report")[4:8] == bytes(4)
    assert gzip.decompress(line.report("report")) == bytes(10240)


def test_damaged_records_are_told_when_they_are_asked_for(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\n")
    line.ended("c1")
    line.task("t1", "#!/bin/sh\n")
    line.task_ended("t1")
    machine.kill_daemon()
    for record in ("contexts/c1/ended.json", "tasks/t1/document.json", "tasks/t1/ended.json"):
        (machine.home / record).write_bytes(b"")
    again = machine.attach()
    again.task("t1", "#!/bin/sh\n")
    again.run("c1", "#!/bin/sh\n")
    assert "t1/document.json is not a record" in again.task_ended("t1")["words"]
    assert "c1/ended.json is not a record" in again.ended("c1")["words"]
    again.task("t2", "#!/bin/sh\n")
    assert again.task_ended("t2")["succeeded"]
