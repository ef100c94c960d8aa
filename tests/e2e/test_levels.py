"""The main job at the other levels of isolation; all other tests run at the usual one."""

import pytest

from e2e.program import Program
from e2e.systems import example, nothing


@pytest.mark.parametrize("level", ["process", "machine"], indirect=True)
def test_hello_world_lives_its_whole_life_at_this_level(program: Program):
    program.repository.commit(example("hello-world", program.level) | nothing())
    program.start()
    before = {i.instance: i.machine for i in program.until_ready("hello-world").instances}
    assert {m["level"] for m in program.machines().values()} == {program.level}

    program.said("local", "kill", before["apache1.1"])
    program.until(
        lambda status: any(
            d.is_ready and i.instance == "apache1.1" and i.incarnation == 2
            for d in status.deployments
            for i in d.instances
        ),
        "the server is repaired",
    )
    server = program.instances("hello-world")["apache1.1"]
    fetched = program.parameters("hello-world")["testclient1.1"]["fetched"]
    assert fetched == f"http://{server.address}:8080/"

    program.repository.git("rm", "-qr", "hello-world")
    program.repository.commit({})
    program.until_gone("hello-world")
    assert program.machines() == {}
