"""The agent as it ships: bootstrapped by `sh`, in a directory of its own."""

import dataclasses
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.agent_line import AgentLine, eventually, is_alive, machine_in
from headwater.remote.bootstrap import LOGIN, command
from headwater.remote.bundle import bundle
from headwater_agent import protocol
from headwater_agent.log import LIMIT, MARK


@pytest.fixture
def machine(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        yield machine


def finish(line: AgentLine, id: str) -> tuple[dict[str, Any], bytes]:
    end = line.ended(id)
    return end, line.output(id)


# The push.


def test_a_second_push_of_the_same_digest_sends_nothing(machine):
    assert machine.attach().pushed
    assert not machine.attach().pushed


def test_everything_stays_below_the_root(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho $HOME; pwd")
    _, output = finish(line, "c1")
    assert all(place.startswith(str(machine.root)) for place in output.decode().split())


def test_the_agent_lives_where_it_can_write(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        (machine.root / "var").write_text("not a directory")
        machine.home = machine.root / ".headwater"
        line = machine.attach()
        line.run("c1", "#!/bin/sh\necho $PATH")
        assert f"{machine.root}/.headwater/bin".encode() in finish(line, "c1")[1]


def test_only_the_owner_can_reach_the_agent(machine):
    machine.attach()
    assert (machine.home).stat().st_mode & 0o777 == 0o700
    assert (machine.home / "socket").stat().st_mode & 0o777 == 0o600


def test_another_version_takes_over_while_a_step_runs(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho once >> ../runs; headwater-get later; cat ../runs")
    line.receive("request")
    before = machine.daemon
    upgraded = machine.attach(dataclasses.replace(bundle(), digest="another"))
    assert upgraded.pushed
    assert upgraded.hello["digest"] == "another"
    assert line.is_closed()
    assert machine.daemon != before
    asked = upgraded.receive("request", key="later")
    upgraded.send(protocol.reply(asked["id"], 0, "value", ""))
    upgraded.run("c1", "#!/bin/sh\nnever this one")
    end, output = finish(upgraded, "c1")
    assert end["succeeded"]
    assert output == b"value\nonce\n"
    assert [entry.name for entry in (machine.home / "agent").iterdir()] == ["another"]


# Steps.


def test_steps_run_in_order_and_the_first_failure_ends_the_context(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho one", "#!/bin/sh\necho oh no >&2\nexit 7", "#!/bin/sh\necho 3")
    end, output = finish(line, "c1")
    assert output == b"one\noh no\n"
    assert end["succeeded"] is False
    assert end["step"] == "step1"
    assert (end["exit_code"], end["reason"], end["words"]) == (7, "exit", "oh no")


def test_started_steps_are_told_by_position(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\n", "#!/bin/sh\n")
    assert line.receive("started")["position"] == 0
    assert line.receive("started")["position"] == 1
    assert line.ended("c1")["succeeded"]


def test_a_context_without_steps_succeeds(machine):
    line = machine.attach()
    line.run("c1")
    assert line.ended("c1")["succeeded"]


def test_a_step_finds_a_clean_place(machine):
    line = machine.attach()
    line.send(protocol.hosts(["10.0.0.1\tce.1 ce"]))
    script = "#!/bin/sh\numask; pwd; echo $GREETING; cat $HEADWATER_HOSTS; echo $HEADWATER_MACHINE"
    line.run("c1", script, environment={"GREETING": "héllo"})
    _, output = finish(line, "c1")
    umask, place, greeting, hosts, owner = output.decode().splitlines()
    assert int(umask, 8) == 0o022
    assert place.endswith("/work/0-step0")
    assert greeting == "héllo"
    assert hosts == "10.0.0.1\tce.1 ce"
    assert owner == "m-1"


def test_any_interpreter_of_the_guest_will_do(machine):
    line = machine.attach()
    line.run("c1", "#!/usr/bin/env python3\nprint(6 * 7)")
    assert finish(line, "c1")[1] == b"42\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/no/such/shell -e\ntrue", "the interpreter '/no/such/shell -e' does not exist"),
        ("#!/bin/sh\r\ntrue", "carriage return"),
        ("echo no interpreter", "does not begin with a #! line"),
        ("#!/etc/passwd\n", "may not be executed"),
    ],
)
def test_a_step_that_cannot_begin_says_why(machine, script, words):
    line = machine.attach()
    line.run("c1", script)
    end = line.ended("c1")
    assert (end["reason"], end["exit_code"]) == ("unstartable", None)
    assert words in end["words"]


def test_a_death_by_signal_has_the_code_that_a_shell_would_tell(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nkill -9 $$")
    assert line.ended("c1")["exit_code"] == 137


def test_signals_that_the_agent_ignores_reach_the_step(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/bash\nset -o pipefail; yes | head -n 1")
    assert line.ended("c1")["exit_code"] == 141


def test_a_child_in_the_background_survives_the_step(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\n(sleep 600; echo done) &\necho $!")
    end, output = finish(line, "c1")
    assert end["succeeded"]
    assert is_alive(int(output))


def test_the_packages_of_a_step_are_installed_in_one_call(machine, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text('#!/bin/sh\necho "$DEBIAN_FRONTEND $*"\n')
    (programs / "apt-get").chmod(0o755)
    machine.environment["PATH"] = f"{programs}:/usr/bin:/bin"
    line = machine.attach()
    line.run("c1", packages=("nfs-common", "it's"))
    update, install = finish(line, "c1")[1].decode().splitlines()
    assert update.endswith(" update")
    assert install.startswith("noninteractive ")
    assert install.endswith(" install nfs-common it's")


# Output.


def test_output_is_bytes_as_they_were_printed(machine):
    line = machine.attach()
    line.run("c1", "#!/usr/bin/python3\nimport os\nos.write(1, bytes(range(256)) * 1000)")
    assert finish(line, "c1")[1] == bytes(range(256)) * 1000


def test_output_continues_from_what_the_controller_has(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nprintf 0123456789")
    line.ended("c1")
    again = machine.attach()
    again.run("c1", "#!/bin/sh\nprintf 0123456789", have=6)
    assert protocol.content_of(again.receive("output", offset=6)) == b"6789"
    assert again.ended("c1")["succeeded"]


def test_a_gigabyte_fills_neither_the_disk_nor_the_line(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nhead -c 1000000000 /dev/zero; echo; echo the end; false")
    end, output = finish(line, "c1")
    assert len(output) == LIMIT + len(MARK)
    assert output.endswith(bytes(100) + MARK)
    assert (machine.home / "contexts/c1/log").stat().st_size == len(output)
    assert end["words"] == "the end"


def test_a_recipe_may_open_its_standard_error_by_name(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho one\necho two > /dev/stderr\necho three > /dev/stdout")
    assert finish(line, "c1")[1] == b"one\ntwo\nthree\n"


def test_last_words_are_readable(machine):
    line = machine.attach()
    line.run(
        "c1", "#!/bin/sh\nprintf '10%%\\r20%%\\r\\033[31mno space\\007 left\\033[0m\\n\\n'; exit 1"
    )
    assert line.ended("c1")["words"] == "no space  left"


def test_late_output_of_a_child_in_the_background_is_told(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\n(headwater-get go; echo late) &")
    asked = line.receive("request")
    line.ended("c1")
    line.send(protocol.reply(asked["id"], 0, "", ""))
    eventually(lambda: b"late" in protocol.content_of(line.receive("output")))


# Once, whatever happens.


def test_a_context_runs_once(machine):
    script = f"#!/bin/sh\necho once >> {machine.root}/runs"
    line = machine.attach()
    line.run("c1", script)
    line.ended("c1")
    line.run("c1", script)
    line.ended("c1")
    again = machine.attach()
    again.run("c1", script)
    assert again.ended("c1")["succeeded"]
    assert (machine.root / "runs").read_text() == "once\n"


def test_a_step_survives_the_death_of_the_daemon(machine):
    line = machine.attach()
    script = (
        f"#!/bin/sh\necho once >> {machine.root}/runs\n"
        f"until [ -e {machine.root}/go ]; do sleep 0.01; done; echo went on; exit 3"
    )
    line.run("c1", script)
    line.receive("started")
    eventually((machine.root / "runs").exists)
    machine.kill_daemon()
    again = machine.attach()
    again.run("c1", script)
    again.receive("started", position=0)
    (machine.root / "go").touch()
    end, output = finish(again, "c1")
    assert (end["exit_code"], output) == (3, b"went on\n")
    assert (machine.root / "runs").read_text() == "once\n"


def test_an_outcome_without_a_daemon_is_not_lost(machine):
    line = machine.attach()
    line.run("c1", f"#!/bin/sh\nuntil [ -e {machine.root}/go ]; do sleep 0.01; done; exit 3")
    line.receive("started")
    machine.kill_daemon()
    (machine.root / "go").touch()
    eventually((machine.home / "contexts/c1/0.exit").exists)
    again = machine.attach()
    again.run("c1")
    assert again.ended("c1")["exit_code"] == 3


def test_what_a_reboot_interrupts_is_not_run_again(machine):
    line = machine.attach()
    script = f"#!/bin/sh\necho once >> {machine.root}/runs; sleep 600"
    line.run("c1", script)
    eventually((machine.root / "runs").exists)
    machine.remove()
    again = machine.attach()
    again.run("c1", script)
    end = again.ended("c1")
    assert (end["reason"], end["exit_code"]) == ("interrupted", None)
    assert (machine.root / "runs").read_text() == "once\n"


def test_a_step_whose_runner_is_killed_does_not_linger(machine):
    line = machine.attach()
    line.run("c1", f"#!/bin/sh\necho $$ > {machine.root}/pid; exec sleep 600")
    eventually(lambda: (machine.root / "pid").exists() and (machine.root / "pid").read_text())
    step = int((machine.root / "pid").read_text())
    runner = int(Path(f"/proc/{step}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(runner, signal.SIGKILL)
    assert line.ended("c1")["reason"] == "interrupted"
    eventually(lambda: not is_alive(step))


def test_a_dropped_line_changes_nothing_for_the_step(machine):
    line = machine.attach()
    line.run(
        "c1", f"#!/bin/sh\necho a; until [ -e {machine.root}/go ]; do sleep 0.01; done; echo b"
    )
    line.receive("output")
    line.close()
    (machine.root / "go").touch()
    again = machine.attach()
    again.run("c1", have=2)
    assert protocol.content_of(again.receive("output", offset=2)) == b"b\n"
    assert again.ended("c1")["succeeded"]


def test_the_newest_line_wins(machine):
    older = machine.attach()
    newer = machine.attach()
    assert older.is_closed()
    newer.run("c1", "#!/bin/sh\n")
    assert newer.ended("c1")["succeeded"]


def test_a_new_context_waits_for_the_end_of_the_step(machine):
    line = machine.attach()
    go, runs = machine.root / "go", machine.root / "runs"
    first = f"#!/bin/sh\necho c1 >> {runs}; until [ -e {go} ]; do sleep 0.01; done"
    line.run("c1", first, f"#!/bin/sh\necho never >> {runs}")
    line.receive("started", context="c1")
    line.run("c2", f"#!/bin/sh\necho c2 >> {machine.root}/runs")
    (machine.root / "go").touch()
    assert line.receive("ended")["context"] == "c2"
    eventually(lambda: (machine.root / "runs").read_text() == "c1\nc2\n")


def test_a_context_that_was_left_goes_on_where_it_stood(machine):
    scripts = [f"#!/bin/sh\necho {n} >> {machine.root}/runs; headwater-get go" for n in (1, 2)]
    line = machine.attach()
    line.run("c1", *scripts)
    asked = line.receive("request")
    line.run("c2", "#!/bin/sh\n")
    line.send(protocol.reply(asked["id"], 0, "", ""))
    line.ended("c2")
    line.run("c1", *scripts)
    line.send(protocol.reply(line.receive("request")["id"], 0, "", ""))
    assert line.ended("c1")["succeeded"]
    assert (machine.root / "runs").read_text() == "1\n2\n"


def test_a_step_that_was_found_running_is_followed(machine):
    line = machine.attach()
    line.run(
        "c1", f"#!/bin/sh\nuntil [ -e {machine.root}/go ]; do sleep 0.01; done; echo a; sleep 600"
    )
    line.receive("started")
    machine.kill_daemon()
    again = machine.attach()
    again.run("c1")
    (machine.root / "go").touch()
    assert protocol.content_of(again.receive("output", offset=0)) == b"a\n"
    again.send(protocol.stop("enough"))
    assert again.ended("c1")["reason"] == "aborted"


def test_a_login_that_is_not_root_becomes_it_where_it_may(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "sudo").write_text(
        '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nHOME=/root exec "$@"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    told = subprocess.run(
        ["/bin/sh", "-c", LOGIN.format(script=shlex.quote('echo "$HOME $HEADWATER_LOGIN_HOME"'))],
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": "/home/debian"},
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"/root /home/debian\n"


# Deadlines.


def test_a_step_that_hangs_is_stopped_at_the_deadline(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\necho waiting for the moon; exec sleep 600", timeout=0.3)
    end = line.ended("c1")
    assert (end["reason"], end["exit_code"]) == ("timeout", None)
    assert end["words"] == "waiting for the moon"
    assert 0.3 <= end["seconds"] < 5.0


def test_the_deadline_holds_over_all_steps(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nsleep 0.3", "#!/bin/sh\nexec sleep 600", timeout=0.6)
    end = line.ended("c1")
    assert (end["step"], end["reason"]) == ("step1", "timeout")


def test_what_ignores_sigterm_is_killed(machine):
    line = machine.attach()
    line.run(
        "c1",
        f"#!/bin/sh\ntrap '' TERM; echo $$ > {machine.root}/pid\nwhile :; do sleep 0.1; done",
    )
    eventually(lambda: (machine.root / "pid").exists() and (machine.root / "pid").read_text())
    begun = time.monotonic()
    line.send(protocol.stop("enough"))
    assert line.ended("c1")["reason"] == "aborted"
    assert 4.5 < time.monotonic() - begun < 12
    assert not is_alive(int((machine.root / "pid").read_text()))


def test_a_stop_at_once_is_a_stop(machine):
    line = machine.attach()
    for number in range(10):
        line.run(f"c{number}", "#!/bin/sh\nexec sleep 600")
        line.send(protocol.stop("enough"))
        assert line.ended(f"c{number}")["reason"] == "aborted"


def test_stopping_ends_the_whole_session(machine):
    line = machine.attach()
    script = (
        f"#!/bin/bash\nset -m\nsleep 600 &\necho $! > {machine.root}/pid\n"
        f"trap 'echo cleaned; exit 1' TERM; touch {machine.root}/ready\n"
        "while :; do sleep 0.01; done"
    )
    line.run("c1", script)
    eventually((machine.root / "ready").exists)
    line.send(protocol.stop("enough"))
    end, output = finish(line, "c1")
    assert (end["reason"], end["exit_code"]) == ("aborted", None)
    assert b"cleaned\n" in output
    assert not is_alive(int((machine.root / "pid").read_text()))


def test_a_stop_also_ends_a_context_that_waits_for_its_turn(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nexec sleep 600")
    line.receive("started")
    line.run("c2", "#!/bin/sh\n")
    line.send(protocol.stop("enough"))
    assert line.ended("c2")["reason"] == "aborted"


# Bad input.


def test_a_line_that_is_no_message_closes_the_line_only(machine):
    line = machine.attach()
    daemon = machine.daemon
    line.send({"kind": "unheard-of"})
    line._write(b"rubbish\n")
    assert line.is_closed()
    again = machine.attach()
    again.send({"kind": "context", "id": "c0", "steps": 5})
    assert again.is_closed()
    again = machine.attach()
    again.run("c1", "#!/bin/sh\n")
    assert again.ended("c1")["succeeded"]
    assert machine.daemon == daemon
    assert [entry.name for entry in (machine.home / "contexts").iterdir()] == ["c1"]


def test_an_id_cannot_leave_the_journal(machine):
    line = machine.attach()
    line.run("../../escape", "#!/bin/sh\n")
    assert line.ended("../../escape")["succeeded"]
    assert not (machine.home / "escape").exists()
    assert len(list((machine.home / "contexts").iterdir())) == 1


def test_a_journal_that_cannot_be_written_is_told(machine):
    line = machine.attach()
    (machine.home / "contexts").rmdir()
    (machine.home / "contexts").write_text("in the way")
    line.run("c1", "#!/bin/sh\n")
    end = line.ended("c1")
    assert end["reason"] == "unstartable"
    assert "contexts" in end["words"]


def test_a_machine_without_python_says_so(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "mktemp", "id"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    hidden = command(bundle()).replace("/usr/bin/python3", "/no/python3")
    answer = subprocess.run(
        ["/bin/sh", "-c", hidden],
        env={"PATH": str(programs), "HEADWATER_ROOT": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert answer.stdout.startswith(b"HEADWATER REFUSED no Python")


# A controller that has lost its journal counts contexts anew.


def done(line: AgentLine, id: str, script: str, runs: Path) -> list[bytes]:
    """What has been run on the machine, in order."""
    line.run(id, script)
    assert line.ended(id)["succeeded"]
    return runs.read_bytes().split()


def test_what_had_ended_is_run_again_when_something_else_was_run_since(machine):
    line, runs = machine.attach(), machine.root / "runs"
    a, b = (f"#!/bin/sh\necho {name} >> {runs}" for name in "ab")

    assert done(line, "a.1", a, runs) == [b"a"]
    assert done(line, "b.2", b, runs) == [b"a", b"b"]
    assert done(line, "a.1", a, runs) == [b"a", b"b", b"a"]


def test_what_had_ended_is_told_again_when_only_the_same_was_run_since(machine):
    line, runs = machine.attach(), machine.root / "runs"
    a = f"#!/bin/sh\necho a >> {runs}"

    assert done(line, "a.1", a, runs) == [b"a"]
    assert done(line, "a.2", a, runs) == [b"a", b"a"]
    assert done(line, "a.1", a, runs) == [b"a", b"a"]
