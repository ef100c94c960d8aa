"""A whole deployment on OpenStack: the real program, real machines, and a double at its API."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.program import Program
from e2e.program import program as started_on
from e2e.systems import document, nothing, resource, system
from fakes.openstack import keystone
from fakes.openstack.endpoint import OpenStackEndpoint, openstack_endpoint
from fakes.openstack.glance import IMAGE
from harness.guests import Guests, guests
from local_cloud import wait_until


@dataclass
class Stack:
    endpoint: OpenStackEndpoint
    machines: Guests
    program: Program


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with (
        guests(tmp_path / "machines") as machines,
        openstack_endpoint() as endpoint,
        started_on(tmp_path, "") as program,
    ):
        nova = endpoint.project.nova
        nova.guest = machines.hook()
        nova.timing.boot, nova.hears_late, nova.timing.end = 1.0, 3600.0, 0.5
        secrets = program.state / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "lab.toml").write_text(
            f'application_credential_id = "{keystone.APPLICATION}"\n'
            f'application_credential_secret = "{keystone.SECRET}"\n'
        )
        yield Stack(endpoint, machines, program)


def site(stack: Stack) -> dict[str, str]:
    options = {
        "auth_url": stack.endpoint.auth_url,
        "network": "private",
        "floating_network": "public",
        "config_drive": True,
        "ssh_port": stack.machines.port,
    }
    cloud = {"driver": "openstack", "credentials": "lab", "options": options}
    return {
        "clouds/local.toml": document(
            resource("Cloud", "local", {**cloud, "region": keystone.REGION})
        ),
        "images/host.toml": document(resource("Image", "host", {"ids": {"local": IMAGE}})),
    }


WORK = {"size": {"cpus": 1, "memory": "1GiB"}, "network": {"open": ["8080/tcp"]}}


def test_a_deployment_converges_is_repaired_and_goes(stack: Stack) -> None:
    program, endpoint = stack.program, stack.endpoint
    nova, neutron = endpoint.project.nova, endpoint.project.neutron
    program.repository.commit(site(stack) | nothing() | system(replicas=3, component=WORK))
    program.start()
    program.until_ready("box")

    assert endpoint.counted()["POST /servers"] == 1
    assert {server.name for server in nova.servers.values()} == {f"box-one-{n}" for n in (1, 2, 3)}
    assert {each["floating_ip_address"] for each in neutron.floating.values()} == set(
        stack.machines.addresses.values()
    )

    lost = program.instances("box")["one.2"].machine
    stack.machines.stop(lost)
    nova.become(lost, "ERROR", "The host went away.")
    program.until(
        lambda status: any(
            i.instance == "one.2" and i.machine != lost and i.state == "ready"
            for d in status.deployments
            for i in d.instances
        ),
        "one.2 is repaired",
    )
    assert program.instances("box")["one.2"].incarnation == 2
    assert lost not in nova.servers
    assert "The host went away." in program.log.read_text()

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")
    assert neutron.floating == {}
    wait_until(lambda: not nova.present, "the servers are gone")
    assert endpoint.project.keystone.issued == 1
    assert not endpoint.refused
