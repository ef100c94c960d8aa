"""Checks, asked by the agent as it ships against servers as they are."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.agent_line import AgentLine, eventually, is_alive, machine_in
from headwater_agent import protocol


class Site(ThreadingHTTPServer):
    daemon_threads = True
    status = 200
    seen: list[str]

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"x" * 100000)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def site(port: int = 0) -> Iterator[Site]:
    server = Site(("127.0.0.1", port), _Page)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def machine(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        yield machine


def check(id: str = "h1", context: str = "c1", **fields: Any) -> dict[str, object]:
    asked: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": 0,
        "path": "",
        "status": 0,
        "script": "",
        "environment": [["GREETING", "hello"]],
        "interval": 0.05,
        "timeout": 60.0,
        "failures": 2,
    }
    return protocol.health(id=id, context=context, **{**asked, **fields})


def http(port: int, **fields: Any) -> dict[str, object]:
    return check(port=port, path="/healthz", status=200, **fields)


def told(line: AgentLine, state: str, **fields: object) -> str:
    words: str = line.receive("checked", state=state, **fields)["words"]
    return words


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


# What is asked.


def test_a_page_that_answers_as_it_should_is_healthy(machine):
    line = machine.attach()
    with site() as server:
        line.run("c1")
        line.send(http(server.port))
        assert told(line, "healthy", context="c1", check="h1") == ""
        assert server.seen == ["/healthz"]


def test_another_status_is_told_with_the_page(machine):
    line = machine.attach()
    with site() as server:
        server.status = 503
        line.run("c1")
        line.send(http(server.port))
        expected = f"http://127.0.0.1:{server.port}/healthz answers 503, not 200"
        assert told(line, "failing") == expected


def test_a_port_that_takes_connections_is_healthy(machine):
    line = machine.attach()
    with socket.create_server(("127.0.0.1", 0)) as server:
        line.run("c1")
        line.send(check(port=server.getsockname()[1]))
        told(line, "healthy")


def test_a_port_where_nobody_listens_is_told(machine):
    line, port = machine.attach(), free_port()
    line.run("c1")
    line.send(check(port=port))
    assert told(line, "failing") == f"127.0.0.1:{port}: Connection refused"
    assert told(line, "unhealthy") == f"127.0.0.1:{port}: Connection refused"


def test_a_server_that_never_answers_does_not_hold_up_the_agent(machine):
    line = machine.attach()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line.run("c1")
        line.send(check(port=port, path="/", status=200, timeout=0.3))
        words = told(line, "failing")
    assert words == f"127.0.0.1:{port}: no answer within 0.3 s"


def test_a_server_that_speaks_something_else_is_told(machine):
    line = machine.attach()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line.run("c1")
        line.send(check(port=port, path="/", status=200))
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
        assert told(line, "failing") == f"http://127.0.0.1:{port}/: no HTTP answer"


def test_a_machine_that_does_not_own_its_address_asks_at_loopback(machine):
    """The cloud translates addresses."""
    line = machine.attach()
    with site() as server:
        line.run("c1")
        line.send(http(server.port, address="192.0.2.7"))
        told(line, "healthy")


def test_a_command_is_run_as_a_step_is(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script='#!/bin/sh\necho "$GREETING" "$HEADWATER_HOSTS"; exit 3'))
    assert told(line, "failing") == f"the check exited with 3: hello {machine.home}/hosts"


def test_a_command_may_ask_for_parameters(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nss-get site"))
    asked = line.receive("request", key="site")
    line.send(protocol.reply(asked["id"], 0, "geneva", ""))
    told(line, "healthy")


def test_a_command_that_does_not_end_is_ended_with_all_that_it_began(machine):
    line = machine.attach()
    pids = machine.root / "pids"
    script = f"#!/bin/sh\nsleep 600 & echo $! > {pids}; echo $$ >> {pids}; echo waiting; wait"
    line.run("c1")
    line.send(check(script=script, timeout=2.0, failures=1))
    assert told(line, "unhealthy") == "the check takes longer than 2 s: waiting"
    line.send(check(id=""))
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def test_what_a_command_leaves_in_the_background_is_ended(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nsleep 600 &\necho $! > pid", interval=60.0))
    told(line, "healthy")
    left = int((machine.home / "health/work/pid").read_text())
    eventually(lambda: not is_alive(left))


def test_a_command_that_prints_without_end_costs_nothing(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nyes no | head -c 30000000\necho last; exit 1"))
    assert told(line, "failing") == "the check exited with 1: last"


def test_a_command_that_cannot_begin_says_why(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/no/such/shell\n"))
    assert "the interpreter '/no/such/shell' does not exist" in told(line, "failing")


def test_a_killed_check_has_failed(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nkill -9 $PPID; sleep 600", interval=60.0))
    assert told(line, "failing") == "the check was killed"


# When it is asked, and what is told.


def test_only_changes_are_told(machine):
    line, flag = machine.attach(), machine.root / "flag"
    script = f"#!/bin/sh\necho asked >> {machine.root}/asked; [ -e {flag} ] || exit 1"
    flag.touch()
    line.run("c1")
    line.send(check(script=script))
    told(line, "healthy")
    flag.unlink()
    told(line, "failing")
    told(line, "unhealthy")
    flag.touch()
    told(line, "healthy")
    line.run("c2")
    line.ended("c2")
    assert [m for m in line.kept("checked") if m["context"] == "c1"] == []


def test_words_that_differ_each_time_are_told_ever_more_seldom(machine):
    line, asked = machine.attach(), machine.root / "asked"
    line.run("c1")
    script = f"#!/bin/sh\necho x >> {asked}; wc -l < {asked}; exit 1"
    line.send(check(script=script, failures=3))
    words = [told(line, "failing"), told(line, "failing"), told(line, "unhealthy")]
    words.append(told(line, "unhealthy"))
    assert words == [f"the check exited with 1: {n}" for n in (1, 2, 3, 4)]
    eventually(lambda: len(asked.read_text().split()) >= 7)
    assert line.kept("checked") == []


def test_nothing_is_asked_before_the_context_has_succeeded(machine):
    line, go = machine.attach(), machine.root / "go"
    line.run("c1", f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.01; done; rm {go}")
    line.send(check(script=f"#!/bin/sh\n[ ! -e {go} ]"))
    line.receive("started")
    go.touch()
    line.ended("c1")
    told(line, "healthy")
    assert line.kept("checked") == []


def test_a_context_that_failed_is_not_asked_about(machine):
    line, asked = machine.attach(), machine.root / "asked"
    line.send(check(script=f"#!/bin/sh\ntouch {asked}"))
    line.run("c1", "#!/bin/sh\nexit 1")
    line.ended("c1")
    line.send(check(context="c2"))
    line.run("c2")
    told(line, "failing", context="c2")
    assert not asked.exists()


def test_another_context_ends_the_checks_of_the_one_before(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nexit 0"))
    told(line, "healthy")
    line.run("c2", "#!/bin/sh\nheadwater-get go")
    asked = line.receive("request")
    log = machine.root / "asked"
    line.send(check(context="c2", script=f"#!/bin/sh\ntouch {log}; exit 1"))
    line.send(protocol.hosts([]))
    eventually((machine.home / "hosts").exists)
    assert not log.exists()
    line.send(protocol.reply(asked["id"], 0, "", ""))
    told(line, "failing", context="c2")


def test_nothing_is_asked_while_a_task_runs(machine):
    line, asked = machine.attach(), machine.root / "asked"
    line.run("c1")
    line.send(check(script=f"#!/bin/sh\necho x >> {asked}"))
    told(line, "healthy")
    count = f"wc -l < {asked}"
    line.task("t1", f"#!/bin/sh\nsleep 0.5; a=$({count}); sleep 0.5; [ $a = $({count}) ]")
    assert line.task_ended("t1")["succeeded"]
    before = len(asked.read_text())
    eventually(lambda: len(asked.read_text()) > before)
    assert line.kept("checked") == []


def test_another_check_begins_anew_and_runs_no_step(machine):
    line = machine.attach()
    line.run("c1", f"#!/bin/sh\necho once >> {machine.root}/runs")
    line.send(check(script="#!/bin/sh\nexit 1", failures=1))
    told(line, "unhealthy", check="h1")
    line.send(check(id="h2", script="#!/bin/sh\nexit 0"))
    told(line, "healthy", check="h2")
    assert (machine.root / "runs").read_text() == "once\n"


def test_a_withdrawn_check_is_asked_no_more(machine):
    line, asked = machine.attach(), machine.root / "asked"
    line.run("c1")
    line.send(check(script=f"#!/bin/sh\necho x >> {asked}"))
    told(line, "healthy")
    line.send(check(id="", context=""))
    line.run("c2")
    line.ended("c2")
    count = len(asked.read_text())
    line.send(check(id="h2", context="c2"))
    told(line, "unhealthy", context="c2")
    assert len(asked.read_text()) == count


def test_each_new_line_is_told_the_present_state(machine):
    line = machine.attach()
    asked = check(script="#!/bin/sh\necho broken; exit 1", failures=1, interval=60.0)
    line.run("c1")
    line.send(asked)
    words = told(line, "unhealthy")
    again = machine.attach()
    again.send(asked)
    assert told(again, "unhealthy") == words


def test_checks_go_on_without_a_line(machine):
    line, asked = machine.attach(), machine.root / "asked"
    line.run("c1")
    line.send(check(script=f"#!/bin/sh\necho x >> {asked}"))
    told(line, "healthy")
    line.close()
    before = len(asked.read_text())
    eventually(lambda: len(asked.read_text()) > before + 4)


@pytest.mark.parametrize("death", ["daemon", "machine"])
def test_checks_go_on_after_the_daemon_or_the_machine_was_restarted(machine, death):
    """Without a new context, and without being told again."""
    line, flag = machine.attach(), machine.root / "flag"
    line.run("c1")
    line.send(check(script=f"#!/bin/sh\n[ ! -e {flag} ]"))
    told(line, "healthy")
    if death == "daemon":
        machine.kill_daemon()
    else:
        machine.remove()
    again = machine.attach()
    told(again, "healthy", context="c1", check="h1")
    flag.touch()
    told(again, "failing")


def test_a_server_that_dies_is_told(machine):
    line = machine.attach()
    line.run("c1", "#!/bin/sh\nsleep 600 </dev/null >/dev/null 2>&1 &\necho $! > ../pid")
    pid = int((machine.home / "contexts/c1/work/pid").read_text()) if line.ended("c1") else 0
    line.send(check(script=f"#!/bin/sh\nkill -0 {pid}"))
    told(line, "healthy")
    os.kill(pid, signal.SIGKILL)
    told(line, "unhealthy")


def test_a_kept_check_that_cannot_be_read_does_not_stop_the_agent(machine):
    line = machine.attach()
    line.run("c1")
    line.send(check(script="#!/bin/sh\nexit 0"))
    told(line, "healthy")
    machine.kill_daemon()
    (machine.home / "health/check.json").write_text('{"id": "h1"}')
    again = machine.attach()
    again.send(check(script="#!/bin/sh\nexit 0"))
    told(again, "healthy")


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": None},
        {"interval": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 0},
        {"port": "ssh"},
        {"environment": [["A"]]},
        {"failures": []},
    ],
)
def test_a_check_with_wrong_fields_ends_the_line_and_not_the_agent(machine, wrong):
    line = machine.attach()
    line.run("c0")
    line.ended("c0")
    line.send({**check(context="c0"), **wrong})
    assert line.is_closed()
    again = machine.attach()
    again.run("c1")
    assert again.ended("c1")["succeeded"]
