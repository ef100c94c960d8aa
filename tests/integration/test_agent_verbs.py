"""The verbs of recipes, and their seed's names."""

import os
import re
from typing import TYPE_CHECKING

import pytest

from harness.agent_line import eventually, machine_in
from headwater_agent import protocol

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def machine(tmp_path):
    with machine_in(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def line(machine):
    return machine.attach()


def end(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, str]:
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors.decode()


@pytest.mark.parametrize("prefix", ["headwater", "ss"])
def test_get_prints_the_value(machine, line, prefix):
    asked = machine.verb(f"{prefix}-get", "ce.1:hostname")
    request = line.receive("request")
    assert 0 < request["patience"] <= 60
    assert request | {"id": 0, "patience": None} == protocol.request(
        id=0, verb="get", key="ce.1:hostname", value="", wait=True, ignore_abort=False
    )
    line.send(protocol.reply(request["id"], 0, "géneva", ""))
    assert end(asked) == (0, "géneva\n".encode(), "")


def test_get_waits_until_the_value_is_set(machine, line):
    asked = machine.verb("ss-get", "--timeout", "0", "ready")
    request = line.receive("request")
    assert (request["patience"], asked.poll()) == (None, None)
    line.send(protocol.reply(request["id"], 0, "", ""))
    assert end(asked) == (0, b"\n", "")


def test_get_gives_up_and_cancels(machine, line):
    asked = machine.verb("ss-get", "--timeout=1", "never")
    request = line.receive("request")
    code, _, errors = end(asked)
    assert code == 9
    assert "never" in errors
    assert line.receive("cancel")["id"] == request["id"]


def test_noblock_does_not_wait(machine, line):
    asked = machine.verb("ss-get", "--noblock", "--ignore-abort", "unset")
    request = line.receive("request")
    assert (request["wait"], request["ignore_abort"]) == (False, True)
    line.send(protocol.reply(request["id"], 0, "", ""))
    assert end(asked) == (0, b"\n", "")


@pytest.mark.parametrize(
    ("code", "words"), [(7, "unknown parameter 'x'"), (8, "the run is aborted")]
)
def test_a_refusal_has_its_code_and_words(machine, line, code, words):
    asked = machine.verb("ss-get", "x")
    line.send(protocol.reply(line.receive("request")["id"], code, "", words))
    assert end(asked) == (code, b"", f"ss-get: {words}\n")


@pytest.mark.parametrize(
    ("arguments", "verb", "key", "value"),
    [
        (["ss-set", "port", "8080"], "set", "port", "8080"),
        (["ss-set", "--", "offset", "-5"], "set", "offset", "-5"),
        (["ss-set", "empty", ""], "set", "empty", ""),
        (["ss-abort", "no disk"], "abort", "", "no disk"),
        (["ss-abort"], "abort", "", "(unspecified)"),
        (["ss-abort", "--cancel"], "cancel-abort", "", ""),
        (["ss-cancel-abort"], "cancel-abort", "", ""),
        (["ss-display", "VNC 192.168.5.24:5900"], "display", "", "VNC 192.168.5.24:5900"),
    ],
)
def test_the_other_verbs_ask_as_well(machine, line, arguments, *, verb, key, value):
    asked = machine.verb(*arguments)
    request = line.receive("request")
    assert (request["verb"], request["key"], request["value"]) == (verb, key, value)
    line.send(protocol.reply(request["id"], 0, "", ""))
    assert end(asked) == (0, b"", "")


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    "arguments",
    [
        ["ss-get"],
        ["ss-get", "a", "b"],
        ["ss-get", "--timeout", "soon", "a"],
        ["ss-get", "--timeout"],
        ["ss-get", "--frobnicate", "a"],
        ["ss-set", "a"],
        ["ss-display"],
        ["ss-random", "--size", "x"],
        ["ss-cancel-abort", "a"],
        ["headwater-hosts", "a"],
    ],
)
def test_wrong_usage_has_its_code(machine, arguments):
    code, output, errors = end(machine.verb(*arguments))
    assert (code, output) == (2, b"")
    assert errors


def test_options_of_the_seed_that_mean_nothing_here_are_accepted(machine, line):
    asked = machine.verb("ss-get", "-vv", "--run", "123", "--endpoint=https://x", "a")
    line.send(protocol.reply(line.receive("request", key="a")["id"], 0, "1", ""))
    assert end(asked) == (0, b"1\n", "")


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([b"ss-set", b"a", b"\xff\xfe"], "the value is no UTF-8 text; base64 makes it one"),
        ([b"ss-set", b"\xe9", b"1"], "the key is no UTF-8 text; base64 makes it one"),
        ([b"ss-display", b"caf\xe9"], "the value is no UTF-8 text; base64 makes it one"),
    ],
)
def test_what_is_no_text_is_refused(machine, arguments, words):
    asked = machine.verb(*[os.fsdecode(argument) for argument in arguments])
    assert end(asked) == (7, b"", f"{os.fsdecode(arguments[0])}: {words}\n")


@pytest.mark.usefixtures("line")
def test_a_value_that_is_too_long_is_refused(machine):
    code, _, errors = end(machine.verb("ss-set", "a", "x" * (64 * 1024 + 1)))
    assert code == 7
    assert "65536" in errors


def test_the_longest_value_passes_both_ways(machine, line):
    value = "x" * (64 * 1024)
    asked = machine.verb("ss-set", "a", value)
    request = line.receive("request")
    assert request["value"] == value
    line.send(protocol.reply(request["id"], 0, "", ""))
    assert end(asked)[0] == 0
    asked = machine.verb("ss-get", "a")
    line.send(protocol.reply(line.receive("request")["id"], 0, value, ""))
    assert end(asked) == (0, value.encode() + b"\n", "")


def test_random_prints_letters_and_digits_and_may_set_them(machine, line):
    code, output, _ = end(machine.verb("ss-random"))
    assert code == 0
    assert re.fullmatch(rb"[A-Za-z0-9]{12}\n", output)
    asked = machine.verb("ss-random", "-s", "40", "password")
    request = line.receive("request")
    assert (request["verb"], request["key"], len(request["value"])) == ("set", "password", 40)
    line.send(protocol.reply(request["id"], 0, "", ""))
    assert end(asked) == (0, request["value"].encode() + b"\n", "")


def test_hosts_prints_what_the_controller_told_last(machine, line):
    assert end(machine.verb("headwater-hosts")) == (0, b"", "")
    line.send(protocol.hosts(["10.0.0.1\tce.1 ce"]))
    eventually((machine.home / "hosts").exists)
    assert end(machine.verb("headwater-hosts")) == (0, b"10.0.0.1\tce.1 ce\n", "")


def test_a_verb_waits_for_a_line(machine, line):
    line.close()
    asked = machine.verb("ss-get", "a")
    again = machine.attach()
    request = again.receive("request", key="a")
    again.send(protocol.reply(request["id"], 0, "1", ""))
    assert end(asked) == (0, b"1\n", "")


def test_a_request_is_asked_again_on_the_next_line(machine, line):
    asked = machine.verb("ss-get", "a")
    first = line.receive("request")
    again = machine.attach()
    second = again.receive("request")
    assert second["patience"] < first["patience"]
    assert second | {"patience": None} == first | {"patience": None}
    again.send(protocol.reply(first["id"], 0, "1", ""))
    assert end(asked) == (0, b"1\n", "")


def test_a_verb_outlives_its_daemon(machine, line):
    asked = machine.verb("ss-get", "a")
    line.receive("request")
    machine.kill_daemon()
    again = machine.attach()
    again.send(protocol.reply(again.receive("request")["id"], 0, "1", ""))
    assert end(asked) == (0, b"1\n", "")


@pytest.mark.usefixtures("line")
def test_a_verb_without_any_daemon_times_out(machine):
    machine.kill_daemon()
    assert end(machine.verb("ss-get", "--timeout", "1", "a"))[0] == 9


@pytest.mark.usefixtures("line")
def test_a_call_costs_less_than_20_ms(machine):
    before = os.times()
    for _ in range(10):
        assert end(machine.verb("headwater-hosts"))[0] == 0
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    assert spent / 10 < 0.04, "twice the goal: the machine that tests is not the one that counts"


def test_own_hosts_file_is_kept_in_a_block(machine):
    (machine.root / "etc").mkdir(parents=True)
    own = machine.root / "etc/hosts"
    own.write_text("127.0.0.1 localhost")
    machine.environment["HEADWATER_OWN_HOSTS"] = "1"
    line = machine.attach()
    line.send(protocol.hosts(["10.0.0.1\tce.1 ce"]))
    eventually(lambda: "ce.1" in own.read_text())
    line.send(protocol.hosts(["10.0.0.2\tce.1 ce"]))
    eventually(lambda: "10.0.0.2" in own.read_text())
    assert own.read_text() == (
        "127.0.0.1 localhost\n# BEGIN headwater\n10.0.0.2\tce.1 ce\n# END headwater\n"
    )


CANARY = "hunter2hunter2"
MADE = "v=$(printf %s uhagre2uhagre2 | tr a-z n-za-m); ss-set key $v"


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("ask", "value"), [("v=$(ss-get key)", CANARY), (MADE, "")], ids=["get", "set"]
)
def test_what_is_secret_is_in_no_file_of_the_agent(machine, line, ask, value, restarted):
    """Also where the daemon that is told of it has not started the step."""
    fails = "printf %s hunter2; sleep 0.2; echo hunter2; echo $v | base64; echo no $v; exit 7"
    line.run("c1", f"#!/bin/sh\n{ask}\n{fails}\n")
    asked = line.receive("request")
    if restarted:
        machine.kill_daemon()
        line = machine.attach()
        line.run("c1", "#!/bin/sh\n")
        asked = line.receive("request")
    line.send(protocol.reply(asked["id"], 0, value, "", secret=True))
    ended = line.ended("c1")

    assert (ended["exit_code"], ended["words"]) == (7, "no ***")
    # In base64 the last letter also holds bits of the line end.
    assert line.output("c1") == b"***\n***K\nno ***\n"
    files = [file for file in machine.home.rglob("*") if file.is_file()]
    assert [file for file in files if CANARY.encode() in file.read_bytes()] == []
    assert not list((machine.home / "hush").iterdir())
