"""Machines and clouds that do not behave: said where people look, and nothing is doubled."""

import json
import os
import signal

import asyncssh
import pytest

from e2e.program import Program
from e2e.systems import RUNS, site, system
from local_cloud import wait_until


def begin(program: Program, files: dict[str, str]) -> str:
    """The first machine, Ready."""
    program.repository.commit(site(program.level) | files)
    program.start()
    return program.until_ready(next(iter(files)).split("/")[0]).instances[0].machine


def test_a_machine_that_answers_with_another_host_key_is_not_spoken_to(program: Program):
    machine = begin(program, system())
    program.kill()
    program.kill_host()
    file = program.layout.record(machine)
    record = json.loads(file.read_text())
    impostor = asyncssh.generate_private_key("ssh-ed25519")
    record["private_key"] = impostor.export_private_key().decode()
    file.write_text(json.dumps(record))

    program.repository.commit(system(RUNS + "# changed\n"))
    program.start()
    status = program.until_stalled("box")

    assert "host key" in status.instances[0].message
    assert (program.home("box", "one.1") / "runs").read_text() == "run\n"
    assert program.verb("ssh", "box", "one.1", "--", "true").code == 255
    assert list(program.machines()) == [machine]


@pytest.mark.parametrize("level", ["machine"], indirect=True)
def test_a_machine_that_does_not_answer_any_more_fails_at_the_provision_deadline(program: Program):
    machine = begin(program, system(timeouts={"provision": "3s"}))
    program.said("ssh", "box", "one.1", "--", "(sleep 0.2; ip link set eth0 down) >&- 2>&- &")
    program.kill()

    program.repository.commit(system(RUNS + "# changed\n", timeouts={"provision": "3s"}))
    program.start()
    status = program.until_stalled("box")

    [stalled] = [c for c in status.conditions if c.type == "Stalled"]
    assert stalled.message.startswith("one.1: no contact within 3 s: ")
    assert list(program.machines()) == [machine]


def test_a_cloud_that_does_not_answer_for_a_while_loses_nothing(program: Program):
    machine = begin(program, system())
    host = program.host_pid

    os.kill(host, signal.SIGSTOP)
    try:
        revision = program.repository.commit(system(RUNS + "# changed\n", replicas=2))
        program.until(lambda status: status.revision == revision, "the commit is read")
    finally:
        os.kill(host, signal.SIGCONT)
    status = program.until_ready("box")

    assert len(program.machines()) == 2
    assert machine in {i.machine for i in status.instances}
    assert program.host_pid == host


def test_packages_that_the_level_cannot_install_are_refused_before_anything_is_made(
    program: Program,
):
    revision = program.repository.commit(
        site(program.level) | system(component={"packages": ["nfs-common"]}) | system(name="good")
    )

    plan = program.verb("plan", "--repo", ".")
    program.start()
    status = program.until_stalled("box")
    program.until_ready("good")

    words = "node one needs packages (nfs-common), and cloud local installs none"
    assert words in plan.out
    assert words in (status.condition("Stalled") or status.conditions[0]).message
    assert words in program.repository.until_answered(revision, "headwater/box")
    assert [machine["name"] for machine in program.machines().values()] == ["good-one-1"]


def test_a_level_that_does_not_exist_is_named_before_anything_is_made(program: Program):
    program.repository.commit(site("submarine") | system())

    plan = program.verb("plan", "--repo", ".")
    program.start()
    status = program.until_stalled("box")

    assert "submarine" in plan.out
    assert any("submarine" in c.message for c in status.conditions)
    assert "submarine" in program.status().clouds[0].description
    assert program.machines() == {}


def test_a_machine_that_is_lost_while_its_recipe_runs_is_made_again(program: Program):
    program.repository.commit(site(program.level) | system(RUNS + "sleep 1000\n"))
    program.start()
    lost = program.until_running("box").machine

    program.said("local", "remove", lost)
    again = program.until(
        lambda status: next(
            (
                i
                for d in status.deployments
                for i in d.instances
                if i.machine not in ("", lost) and i.step
            ),
            None,
        ),
        "the recipe runs on another machine",
    )

    assert (again.instance, again.incarnation) == ("one.1", 2)
    wait_until(lambda: list(program.machines()) == [again.machine], "one machine is left")
