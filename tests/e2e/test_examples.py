"""Every example converges, stays so, and follows what is committed."""

import re

import pytest

from e2e.program import Program
from e2e.systems import example, nothing

EXAMPLES = {"hello-world": 2, "mission-control": 3, "gpod-cluster": 5}


def begin(program: Program, name: str, workers: int = 4) -> None:
    """The example is Ready, with few workers where it has many."""
    files = example(name, program.level)
    manifest = f"{name}/deployment.toml"
    files[manifest] = files[manifest].replace("replicas = 30", f"replicas = {workers}")
    program.repository.commit(files | nothing())
    program.start()
    program.until_ready(name)


@pytest.mark.parametrize(("name", "machines"), EXAMPLES.items())
def test_an_example_converges_stays_so_and_goes_without_a_trace(
    program: Program, name: str, machines: int
):
    begin(program, name)
    created = program.machines()

    plan = program.verb("plan", "--repo", ".")

    assert (plan.code, plan.err) == (0, "")
    assert [m["state"] for m in created.values()] == ["running"] * machines
    assert len(program.events("context.ended")) >= machines

    program.repository.git("rm", "-qr", name)
    removed = program.repository.commit({})
    program.until_gone(name)

    assert program.machines() == {}
    assert not program.layout.ids()
    assert program.repository.until_answered(removed, f"headwater/{name}") == "success - removed"


@pytest.mark.parametrize(
    ("name", "instance"),
    [("hello-world", "apache1.1"), ("mission-control", "backup.1"), ("gpod-cluster", "wn.3")],
)
def test_a_killed_machine_of_an_example_is_repaired_with_its_index(
    program: Program, name: str, instance: str
):
    begin(program, name)
    before = program.instances(name)

    program.said("local", "kill", before[instance].machine)
    program.until(
        lambda status: any(
            i.instance == instance and i.incarnation == 2 and d.is_ready
            for d in status.deployments
            for i in d.instances
        ),
        f"{instance} is repaired",
    )

    after = program.instances(name)
    assert after.keys() == before.keys()
    assert {i for i in before if after[i].machine != before[i].machine} == {instance}
    assert set(program.machines()) == {i.machine for i in after.values()}


@pytest.mark.parametrize(
    ("name", "old", "instances"),
    [
        ("hello-world", 'component = "testclient"', {f"testclient1.{n}" for n in (1, 2, 3)}),
        ("gpod-cluster", "replicas = 4", {f"wn.{n}" for n in (1, 2, 3)}),
    ],
)
def test_an_example_is_scaled_by_a_commit(
    program: Program, name: str, old: str, instances: set[str]
):
    begin(program, name)
    kept = program.instances(name)
    manifest = f"{name}/deployment.toml"

    new = "replicas = 3" if old.startswith("replicas") else f"{old}\nreplicas = 3"
    program.repository.edit(manifest, old, new)
    scaled = {i.instance: i for i in program.until_ready(name).instances}

    assert instances <= scaled.keys()
    assert all(scaled[i].machine == kept[i].machine for i in scaled.keys() & kept.keys())

    program.repository.edit(manifest, "replicas = 3", "replicas = 1")
    left = program.until_ready(name)

    assert len(left.instances) == 2
    assert set(program.machines()) == {i.machine for i in left.instances}


def test_the_client_of_hello_world_has_fetched_the_page_of_its_server(program: Program):
    begin(program, "hello-world")

    parameters = program.parameters("hello-world")

    server = program.instances("hello-world")["apache1.1"].address
    assert parameters["testclient1.1"]["fetched"] == f"http://{server}:8080/"
    assert parameters["apache1.1"]["page"] == "Hello, world"
    assert "Fetched" in program.said("logs", "hello-world", "testclient1.1")


def test_a_new_greeting_is_served_and_fetched_again(program: Program):
    begin(program, "hello-world")
    before = program.machines()

    program.repository.edit("hello-world/deployment.toml", "Hello, world", "Good evening")
    program.until_ready("hello-world")

    assert program.parameters("hello-world")["apache1.1"]["page"] == "Good evening"
    assert "Good evening" in program.said("logs", "hello-world", "testclient1.1")
    assert program.machines().keys() == before.keys()


def test_prime_of_mission_control_knows_all_three_host_names(program: Program):
    begin(program, "mission-control")

    written = program.home("mission-control", "prime.1") / "scm_configuration/SDCF_MICONYS.xml"
    parameters = program.parameters("mission-control")

    hosts = re.findall(r'host="([^"]+)"', written.read_text())
    assert hosts == ["client.1", "prime.1", "backup.1"]
    for instance in ("prime.1", "backup.1", "client.1"):
        own = parameters[instance]
        assert own["ready"] == "true"
        assert own["vncserver"] == f"{own['hostname']}:5900"


def test_the_computing_element_knows_a_repaired_and_an_added_worker(program: Program):
    name = "gpod-cluster"
    begin(program, name, workers=2)

    def nodes() -> set[str]:
        return set((program.home(name, "ce.1") / "gpod/nodes").read_text().split())

    def addresses() -> set[str]:
        return {i.address for i in program.instances(name).values() if i.instance != "ce.1"}

    assert nodes() == addresses()
    assert program.parameters(name)["ce.1"]["workers"] == "2"

    program.repository.edit(f"{name}/deployment.toml", "replicas = 2", "replicas = 3")
    program.until_ready(name)

    assert nodes() == addresses()
    assert program.parameters(name)["ce.1"]["workers"] == "3"


def test_the_whole_cluster_of_thirty_workers_converges(program: Program):
    begin(program, "gpod-cluster", workers=30)

    parameters = program.parameters("gpod-cluster")

    assert parameters["ce.1"]["workers"] == "30"
    assert all(int(str(parameters[f"wn.{n}"]["slots"])) >= 1 for n in range(1, 31))
    assert len(program.machines()) == 31
