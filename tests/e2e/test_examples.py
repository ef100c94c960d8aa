"""Every example converges, stays so, and follows what is committed."""

import re
import tarfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from e2e.program import DEADLINE, Program
from e2e.systems import example, nothing

EXAMPLES = {"hello-world": 2, "mission-control": 3, "gpod-cluster": 5}
TEST = "mission-control/test.toml"
CHECKS = {
    "the configuration names all three machines",
    "it is of the snapshot that was asked for",
    "prime answers on its port",
    "backup answers on its port",
}
PRIMES = "5133 primes up to 50000, counted by {} workers"
"""Of any table of the prime-counting function."""


def begin(program: Program, name: str, workers: int = 4) -> None:
    """The example is Ready, with few workers where it has many; its test is left out."""
    files = example(name, program.level)
    files.pop(TEST, None)
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


def mission_tested(program: Program, *arguments: str) -> tuple[int, dict[str, set[str]]]:
    """`headwater test` of mission control: its exit code, and the checks that failed by name."""
    ended = program.verb(
        "test", "mission-control-test", "--reports", "reports", "--junit", "junit.xml", *arguments
    )
    suites = ET.parse(program.repository.path / "junit.xml").getroot()  # noqa: S314  # our own
    checks = [case for s in suites if "mission control" in s.get("name", "") for case in s]
    assert {case.get("name") for case in checks} == CHECKS, ended
    found: dict[str, set[str]] = {}
    for case in checks:
        if case.find("failure") is not None:
            found.setdefault(str(case.get("name")), set()).add(str(case.get("classname")))
    return ended.code, found


@pytest.mark.parametrize("level", ["process", "sandbox"], indirect=True)
def test_mission_control_is_tested_in_one_line_and_each_machine_reports(program: Program):
    program.repository.commit(example("mission-control", program.level))
    began = time.monotonic()

    code, failed = mission_tested(program, "--timeout", f"{DEADLINE - 5:.0f}s")

    assert (code, failed) == (0, {})
    assert time.monotonic() - began < 2 * DEADLINE
    reports = sorted((program.repository.path / "reports").iterdir())
    assert [path.name.partition("_")[0] for path in reports] == ["backup.1", "client.1", "prime.1"]
    configurations = {content(path)["SDCF_MICONYS.xml"] for path in reports}
    assert len(configurations) == 1


def test_a_configuration_that_names_the_wrong_machine_is_found_by_the_checks(program: Program):
    files = example("mission-control", program.level)
    recipe = "mission-control/configure.sh"
    right = "s/BACKUP_SERVER_HOSTNAME/$BACKUP_SERVER_HOSTNAME/g"
    assert right in files[recipe]
    wrong = files[recipe].replace(right, "s/BACKUP_SERVER_HOSTNAME/$CLIENT_HOSTNAME/g")
    program.repository.commit(files | {recipe: wrong})

    _, failed = mission_tested(program)

    everywhere = {"prime", "backup", "client"}
    assert failed == {
        "the configuration names all three machines": everywhere,
        "backup answers on its port": everywhere,
    }


def content(report: Path) -> dict[str, bytes]:
    """The files in a report, by name."""
    with tarfile.open(report) as archive:
        opened = {m.name: archive.extractfile(m) for m in archive if m.isfile()}
        return {name.removeprefix("./"): file.read() for name, file in opened.items() if file}


def test_the_job_of_the_cluster_is_done_by_its_workers_and_reported(
    program: Program, tmp_path: Path
):
    name = "gpod-cluster"
    begin(program, name, workers=3)

    program.said("reports", name, "--to", str(tmp_path / "fetched"))

    (report,) = (tmp_path / "fetched").iterdir()
    found = content(report)
    assert found["result"].decode().strip() == PRIMES.format(3)
    assert len({line.split()[0] for line in found["counts"].splitlines()}) == 3
    parameters = program.parameters(name)
    assert parameters["ce.1"]["result"] == PRIMES.format(3)
    assert {parameters[f"wn.{n}"]["counted"] for n in (1, 2, 3)} == set(
        found["counts"].decode().splitlines()
    )


def test_a_worker_that_counts_wrong_is_found_out(program: Program):
    name, recipe = "gpod-cluster", "gpod-cluster/wn/deploy.sh"
    files = example(name, program.level)
    manifest = f"{name}/deployment.toml"
    files[manifest] = files[manifest].replace("replicas = 30", "replicas = 2")
    assert "number > 1" in files[recipe]
    files[recipe] = files[recipe].replace("number > 1", "number > 0")
    program.repository.commit(files)
    program.start()

    stalled = program.until_stalled(name).condition("Stalled")

    assert stalled is not None
    assert "wn.1 found 2763 primes in 1..25000: 2762" in stalled.message


def test_the_computing_element_knows_a_repaired_and_an_added_worker(program: Program):
    name = "gpod-cluster"
    begin(program, name, workers=2)

    def nodes() -> set[str]:
        return set((program.home(name, "ce.1") / "gpod/nodes").read_text().split())

    def addresses() -> set[str]:
        return {i.address for i in program.instances(name).values() if i.instance != "ce.1"}

    assert nodes() == addresses()
    assert program.parameters(name)["ce.1"]["workers"] == "2"

    program.said("local", "kill", program.instances(name)["wn.2"].machine)
    program.until(
        lambda status: any(
            i.instance == "wn.2" and i.incarnation == 2 and d.is_ready
            for d in status.deployments
            for i in d.instances
        ),
        "wn.2 is repaired",
    )

    assert nodes() == addresses()
    assert program.parameters(name)["ce.1"]["result"] == PRIMES.format(2)

    program.repository.edit(f"{name}/deployment.toml", "replicas = 2", "replicas = 3")
    program.until_ready(name)

    assert nodes() == addresses()
    assert program.parameters(name)["ce.1"]["workers"] == "3"
    assert program.parameters(name)["ce.1"]["result"] == PRIMES.format(3)


def test_the_whole_cluster_of_thirty_workers_converges(program: Program):
    begin(program, "gpod-cluster", workers=30)

    parameters = program.parameters("gpod-cluster")

    assert parameters["ce.1"]["workers"] == "30"
    assert parameters["ce.1"]["result"] == PRIMES.format(30)
    assert all(int(str(parameters[f"wn.{n}"]["slots"])) >= 1 for n in range(1, 31))
    assert len(program.machines()) == 31
