"""What is begun goes on without the controller, and is found again by the next one."""

import signal

import pytest

from e2e.program import Program
from e2e.systems import RUNS, site, system
from local_cloud import wait_until

BLOCKS = (
    RUNS + 'until [ -e "$HOME/go" ]; do sleep 0.05; done\necho done >"$HOME/done"\necho the end\n'
)


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def test_a_recipe_that_outlives_its_controller_has_run_once_and_its_outcome_counts(
    program: Program,
):
    begin(program, system(BLOCKS))
    machine = program.until_running("box").machine
    home = program.layout.home(machine)

    program.kill()
    (home / "go").touch()
    wait_until((home / "done").exists, "the recipe ends without a controller")
    program.start()
    status = program.until_ready("box")

    assert (home / "runs").read_text() == "run\n"
    assert [i.machine for i in status.instances] == [machine] == list(program.machines())
    assert program.said("logs", "box", "one.1") == "the end\n"
    assert program.repository.until_answered(program.repository.head).startswith("success")


def test_a_recipe_that_still_runs_is_followed_to_its_end_by_the_next_controller(program: Program):
    begin(program, system(BLOCKS + "exit 7\n"))
    home = program.layout.home(program.until_running("box").machine)

    program.kill()
    program.start()
    program.until_running("box")
    (home / "go").touch()
    status = program.until_stalled("box")

    assert (home / "runs").read_text() == "run\n"
    assert status.instances[0].message == "deploy exited with 7: the end"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_machines_outlive_their_controller_and_are_found_again(
    program: Program, end: signal.Signals
):
    begin(program, system(replicas=3))
    program.until_ready("box")
    before = program.machines()

    if end is signal.SIGKILL:
        program.kill()
    else:
        assert program.stop(seconds=10) == 0
    assert program.machines() == before
    program.start()
    program.until_ready("box")

    assert program.machines() == before
    assert len(program.events("action.ended")) == 6  # each was made and contextualised, once
    assert (program.home("box", "one.3") / "runs").read_text() == "run\n"


def test_a_controller_killed_while_it_makes_machines_leaves_no_double(program: Program):
    begin(program, system(replicas=6))
    wait_until(program.layout.ids, "the first machine is being made")

    program.kill()
    program.start()
    status = program.until_ready("box")

    names = sorted(machine["name"] for machine in program.machines().values())
    assert names == [f"box-one-{n}" for n in range(1, 7)]
    assert {i.machine for i in status.instances} == set(program.machines())


def test_machines_outlive_the_process_that_serves_them(program: Program):
    begin(program, system(replicas=2))
    program.until_ready("box")
    before = program.machines()
    host = program.host_pid

    program.kill_host()

    assert program.machines().keys() == before.keys()
    assert program.host_pid != host
    changed = system(RUNS + "# changed\n", replicas=2)
    program.repository.commit(changed)
    status = program.until_ready("box")
    assert {i.machine for i in status.instances} == set(program.machines()) == before.keys()
    assert (program.home("box", "one.1") / "runs").read_text() == "run\nrun\n"


def test_what_happened_to_machines_without_a_controller_is_repaired_by_the_next_one(
    program: Program,
):
    begin(program, system(replicas=3))
    before = {i.instance: i.machine for i in program.until_ready("box").instances}
    program.kill()

    program.said("local", "kill", before["one.1"])
    program.said("local", "remove", before["one.2"])
    program.start()
    program.until(
        lambda status: any(
            d.is_ready and [i.incarnation for i in d.instances] == [2, 2, 1]
            for d in status.deployments
        ),
        "both are repaired",
    )

    assert len(program.machines()) == 3
    assert program.instances("box")["one.3"].machine == before["one.3"]
