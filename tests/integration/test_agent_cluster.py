"""Verbs that read over all instances of a node."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from harness.agent_line import AgentLine, eventually, machine_in
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


def end(process: "subprocess.Popen[bytes]") -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=60)
    return process.returncode, output.decode(), errors.decode()


def answer(line: AgentLine, values: Mapping[str, str]) -> list[dict[str, object]]:
    """Answer these questions once all of them have been asked: the questions, as they came."""
    asked = [line.receive("request") for _ in values]
    for request in asked:
        line.send(protocol.reply(request["id"], 0, values[request["key"]], ""))
    return asked


@pytest.mark.parametrize("prefix", ["headwater", "ss"])
def test_all_instances_of_a_node_are_read_at_once_and_in_order(machine, line, prefix):
    asked = machine.verb(f"{prefix}-get-all", "--timeout", "0", "wn", "slots")
    answer(line, {"wn:ids": "1,2,10"})

    requests = answer(line, {"wn.1:slots": "4", "wn.2:slots": "", "wn.10:slots": "a b"})

    assert {(r["wait"], r["patience"]) for r in requests} == {(True, None)}
    assert end(asked) == (0, "wn.1:slots 4\nwn.2:slots \nwn.10:slots a b\n", "")


def test_more_instances_than_wait_together_are_read_too(machine, line):
    asked = machine.verb("headwater-get-all", "wn", "slots")
    answer(line, {"wn:ids": ",".join(str(n) for n in range(1, 101))})
    for first, last in ((1, 64), (65, 100)):
        answer(line, {f"wn.{n}:slots": str(n) for n in range(first, last + 1)})

    code, printed, _ = end(asked)

    assert (code, printed.splitlines()[99]) == (0, "wn.100:slots 100")


def test_a_node_without_instances_has_no_values(machine, line):
    asked = machine.verb("ss-get-all", "wn", "slots")
    answer(line, {"wn:ids": ""})
    assert end(asked) == (0, "", "")


@pytest.mark.parametrize(
    ("second", "ended"),
    [
        ("true", (0, "", "")),
        (
            "false",
            (
                1,
                "wn.1:ready true\nwn.2:ready false\n",
                "ss-get-all: not all of them are 'true'\n",
            ),
        ),
    ],
)
def test_all_may_be_compared_with_an_expected_value(machine, line, second, ended):
    asked = machine.verb("ss-get-all", "--value", "true", "wn", "ready")
    answer(line, {"wn:ids": "1,2"})
    answer(line, {"wn.1:ready": "true", "wn.2:ready": second})
    assert end(asked) == ended


def test_without_waiting_what_is_unset_is_empty(machine, line):
    asked = machine.verb("ss-get-all", "--noblock", "--ignore-abort", "wn", "slots")
    [ids] = answer(line, {"wn:ids": "1"})
    [request] = answer(line, {"wn.1:slots": ""})
    assert (ids["ignore_abort"], request["ignore_abort"], request["wait"]) == (True, True, False)
    assert end(asked) == (0, "wn.1:slots \n", "")


def test_the_first_refusal_is_the_end(machine, line):
    asked = machine.verb("ss-get-all", "wm", "slots")
    request = line.receive("request", key="wm:ids")
    line.send(protocol.reply(request["id"], 7, "", "unknown key 'wm:ids'"))
    assert end(asked) == (7, "", "ss-get-all: unknown key 'wm:ids'\n")


def test_one_timeout_holds_for_all_of_them(machine, line):
    asked = machine.verb("ss-get-all", "--timeout", "1", "wn", "slots")
    answer(line, {"wn:ids": "1,2"})
    assert end(asked) == (9, "", "ss-get-all: wn.1:slots is not set in time\n")
    for _ in range(2):
        line.receive("cancel")


def told(machine, line) -> None:
    line.send(protocol.hosts(["10.0.0.1\tce.1.c ce.1 ce", "10.0.0.2\twn.1.c wn.1 wn"]))
    eventually((machine.home / "hosts").exists)


def test_a_machine_file_has_the_hosts_that_are_up(machine, line):
    assert end(machine.verb("headwater-machinefile")) == (0, "", "")
    told(machine, line)
    assert end(machine.verb("headwater-machinefile")) == (0, "10.0.0.1\n10.0.0.2\n", "")
    assert end(machine.verb("headwater-machinefile", "wn")) == (0, "10.0.0.2\n", "")


def test_a_machine_file_has_slots_by_an_output(machine, line):
    told(machine, line)
    asked = machine.verb("headwater-machinefile", "--slots", "cores")
    answer(line, {"ce.1:cores": "2", "wn.1:cores": "16"})
    assert end(asked) == (0, "10.0.0.1 slots=2\n10.0.0.2 slots=16\n", "")


@pytest.mark.parametrize("value", ["many", "", "0", "-1"])
def test_slots_that_are_no_number_are_named(machine, line, value):
    told(machine, line)
    asked = machine.verb("headwater-machinefile", "--slots", "cores", "wn")
    answer(line, {"wn.1:cores": value})
    words = f"headwater-machinefile: wn.1:cores is {value!r}, which is no number of slots\n"
    assert end(asked) == (7, "", words)
