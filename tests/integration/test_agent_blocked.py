"""What the agent tells of a step that waits: that nothing else of it goes on, or nothing at all."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent_line import AgentLine, eventually, machine_in
from headwater_agent import protocol
from headwater_agent.blocked import LONGEST, stillness
from headwater_agent.processes import session_members, signal_session

SHELLS = [shell for shell in ("sh", "bash", "dash", "busybox") if shutil.which(shell)]


@pytest.fixture
def machine(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def line(machine):
    return machine.attach()


def ids_of(line: AgentLine, *keys: str) -> list[int]:
    return sorted(int(line.receive("request", key=key)["id"]) for key in keys)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "script",
    ["ss-get x", "v=$(ss-get x); echo $v", "ss-get x & wait", "( ss-get x; echo ) && echo"],
)
def test_a_step_that_only_waits_is_told(line, shell, script):
    program = shutil.which(shell)
    start = f"#!{program} sh\n" if shell == "busybox" else f"#!{program}\n"
    line.run("c", start + script + "\ntrue")
    assert line.receive("blocked")["questions"] == ids_of(line, "x")


def test_all_questions_that_are_waited_for_together_are_told(line):
    line.run("c", "#!/bin/sh\nss-get x &\nss-get y &\nwait")
    ids = ids_of(line, "x", "y")
    assert line.receive("blocked")["questions"] == ids


def test_a_read_over_all_instances_is_told_as_well(line):
    line.run("c", "#!/bin/sh\nss-get-all wn x")
    line.send(protocol.reply(ids_of(line, "wn:ids")[0], 0, "1,2", ""))
    ids = ids_of(line, "wn.1:x", "wn.2:x")
    assert line.receive("blocked")["questions"] == ids


def test_a_program_that_only_waits_for_its_question_is_blocked(line):
    line.run("c", "#!/usr/bin/env python3\nimport subprocess\nsubprocess.run(['ss-get', 'x'])")
    assert line.receive("blocked")["questions"] == ids_of(line, "x")


def test_the_end_of_what_ran_beside_is_noticed(machine, line):
    go = machine.root / "go"
    line.run("c", f"#!/bin/sh\nss-get x & until [ -e {go} ]; do sleep 0.05; done; wait")
    ids = ids_of(line, "x")
    go.touch()
    assert line.receive("blocked")["questions"] == ids
    assert LONGEST <= 5.0, "nobody waits longer than that for it"


def test_who_is_answered_and_asks_again_is_told_again(line):
    line.run("c", "#!/bin/sh\nss-get x\nss-get y\n")
    first = line.receive("blocked")["questions"]
    line.send(protocol.reply(first[0], 0, "", ""))
    assert line.receive("blocked")["questions"] == ids_of(line, "y") != first


def test_a_new_line_and_a_new_daemon_tell_it_again(machine, line):
    line.run("c", "#!/bin/sh\nss-get x\n")
    line.receive("blocked")
    again = machine.attach()
    assert again.receive("blocked")["questions"] == ids_of(again, "x")
    machine.kill_daemon()
    last = machine.attach()
    assert last.receive("blocked")["questions"] == ids_of(last, "x")


def test_a_question_from_outside_of_the_step_says_nothing_of_it(machine, line):
    go = machine.root / "go"
    line.run("c", f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done; ss-get y\n")
    asked = machine.verb("ss-get", "--timeout", "0", "x")
    try:
        line.receive("request", key="x")
        go.touch()
        assert line.receive("blocked")["questions"] == ids_of(line, "y")
    finally:
        asked.kill()
        asked.communicate()


class Session:
    """A shell in a session of its own. `asks` in its script stands for a verb that waits."""

    def __init__(self, directory: Path, script: str) -> None:
        asks = directory / "asks"
        asks.write_text("#!/bin/sh\nexec sleep 100001\n")
        asks.chmod(0o755)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            cwd=directory,
            env={"PATH": f"{directory}:{os.environ['PATH']}"},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def members(self) -> list[int]:
        return session_members(self.process.pid)

    def asking(self) -> dict[int, list[int]]:
        waits = [pid for pid in self.members() if b"100001" in _command(pid)]
        return {pid: [number] for number, pid in enumerate(waits)}

    def look(self) -> object:
        return stillness(self.process.pid, self.asking())

    def end(self) -> None:
        signal_session(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def begin(tmp_path):
    begun: list[Session] = []

    def begin(script: str, processes: int) -> Session:
        """Returns once so many are there, and those that ask ask."""
        session = Session(tmp_path, script)
        begun.append(session)
        eventually(lambda: len(session.members()) == processes and session.asking())
        return session

    yield begin
    for session in begun:
        session.end()


@pytest.mark.parametrize(
    ("script", "processes"),
    [
        ("asks; :", 2),
        ("asks & asks & wait", 3),
        ("v=$(asks); :", 2),
        ("(asks; :) & wait", 3),
    ],
)
def test_shells_that_wait_for_their_questions_are_still(begin, script, processes):
    session = begin(script, processes)
    eventually(session.look)
    assert session.look() == session.look()


@pytest.mark.parametrize(
    ("script", "processes"),
    [
        ("asks & sleep 600; :", 3),
        ("(sleep 600; :) & asks; :", 4),
        ("asks | cat", 3),
        ("timeout --foreground 600 asks; :", 3),
        ("mkfifo f; exec 3<>f; asks & read -r _ <&3; :", 2),
        ("(sleep 600 & asks; :); :", 4),
    ],
)
def test_what_may_go_on_beside_a_question_is_not_still(begin, script, processes):
    session = begin(script, processes)
    assert [session.look() for _ in range(20)] == [frozenset()] * 20


@pytest.mark.parametrize(
    "program",
    [
        "s = socket.socket(); subprocess.run(['asks'])",
        "s = select.epoll(); subprocess.run(['asks'])",
        "threading.Thread(target=time.sleep, args=[600]).start(); subprocess.run(['asks'])",
    ],
    ids=["a socket", "a queue of events", "a thread"],
)
def test_a_program_that_may_hear_from_elsewhere_is_not_still(begin, program):
    imports = "import select, socket, subprocess, threading, time"
    session = begin(f'exec {sys.executable} -c "{imports}; {program}"', 2)
    assert [session.look() for _ in range(20)] == [frozenset()] * 20


def test_a_program_that_looks_at_the_time_moves_between_two_looks(begin):
    program = "import subprocess; subprocess.run(['asks'], timeout=600)"
    session = begin(f'exec {sys.executable} -c "{program}"', 2)
    eventually(session.look)
    first = session.look()
    eventually(lambda: session.look() != first)


def test_a_session_that_is_gone_is_not_still(begin):
    session = begin("asks; :", 2)
    asking = session.asking()
    session.end()
    eventually(lambda: stillness(session.process.pid, asking) == frozenset())
