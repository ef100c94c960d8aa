"""Whole deployments on EC2: the real program, real machines, and moto behind a socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.program import Program
from e2e.program import program as started_on
from e2e.systems import document, nothing, resource, system
from fakes.ec2.account import IMAGE, REGION
from fakes.ec2.endpoint import KEY, SECRET, Ec2Endpoint, ec2_endpoint
from harness.guest import KEY as HOST_KEY
from harness.guests import Guests, guests


@dataclass
class Amazon:
    endpoint: Ec2Endpoint
    machines: Guests
    program: Program


@contextmanager
def amazon(folder: Path) -> Iterator[Amazon]:
    with (
        guests(folder / "machines") as machines,
        ec2_endpoint() as endpoint,
        started_on(folder, "") as program,
    ):
        endpoint.account.guest = machines.hook()
        endpoint.account.timing.boot = 1.0
        secrets = program.state / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "aws.toml").write_text(f'key = "{KEY}"\nsecret = "{SECRET}"\n')
        yield Amazon(endpoint, machines, program)


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Amazon]:
    with amazon(tmp_path) as aws:
        yield aws


def site(aws: Amazon) -> dict[str, str]:
    options = {
        "host": "127.0.0.1",
        "port": aws.endpoint.port,
        "secure": False,
        "ssh_port": aws.machines.port,
    }
    cloud = {"driver": "ec2", "region": REGION, "credentials": "aws", "options": options}
    return {
        "clouds/local.toml": document(
            resource("Cloud", "local", {**cloud, "sizes": {"small": "t3.micro"}})
        ),
        "images/host.toml": document(resource("Image", "host", {"ids": {"local": IMAGE}})),
    }


WORK = {"size": {"name": "small"}, "network": {"open": ["8080/tcp"]}}


def test_a_deployment_converges_is_repaired_and_goes(aws: Amazon) -> None:
    program, endpoint = aws.program, aws.endpoint
    program.repository.commit(site(aws) | nothing() | system(replicas=3, component=WORK))
    program.start()
    program.until_ready("box")

    assert endpoint.counted()["RunInstances"] == 1
    assert {i._state.name for i in endpoint.account.present} == {"running"}
    given = {_given(aws, i.id) for i in endpoint.account.present}
    own = {_key(aws, i.id) for i in endpoint.account.present}
    assert len(given) == 1
    assert len(own) == 3
    assert not given & own

    lost = program.instances("box")["one.2"].machine
    aws.machines.stop(lost)
    endpoint.account.become(lost, "terminated")
    program.until(
        lambda status: any(
            i.instance == "one.2" and i.machine != lost and i.state == "ready"
            for d in status.deployments
            for i in d.instances
        ),
        "one.2 is repaired",
    )
    assert program.instances("box")["one.2"].incarnation == 2

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")
    assert endpoint.account.present == []
    assert endpoint.counted()["TerminateInstances"] == 1
    assert not endpoint.refused


def test_machines_are_known_by_their_own_keys_after_a_kill_and_the_loss_of_the_journal(
    aws: Amazon,
) -> None:
    program = aws.program
    program.repository.commit(site(aws) | nothing() | system(replicas=2, component=WORK))
    program.start()
    program.until_ready("box")
    program.kill()
    for file in program.state.glob("headwater.db*"):
        file.unlink()
    program.repository.edit("box/deploy.sh", "echo run", "echo again")

    program.start()
    program.until_ready("box")

    assert aws.endpoint.counted()["RunInstances"] == 1
    for machine in aws.endpoint.account.present:
        assert (aws.machines.root(machine.id) / "runs").read_text() == "run\nagain\n"


def _given(aws: Amazon, id: str) -> str:
    said = json.loads((aws.machines.root(id) / "user-data").read_text().split("\n", 1)[1])
    key: str = said["ssh_keys"]["ed25519_private"]
    return key


def _key(aws: Amazon, id: str) -> str:
    return (aws.machines.root(id) / HOST_KEY).read_text()
