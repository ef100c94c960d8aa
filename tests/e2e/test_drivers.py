"""A deployment on a cloud whose driver is a package of its own: `tests/quay`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.program import Program
from e2e.program import program as started_on
from e2e.systems import document, nothing, resource, system
from fakes.quays import IMAGE, KEY, Quay, install, quay
from harness.guests import Guests, guests


@dataclass
class Site:
    quay: Quay
    machines: Guests
    program: Program
    packages: Path

    @property
    def files(self) -> dict[str, str]:
        options = {**self.quay.options, "ssh_port": self.machines.port}
        cloud = {"driver": "quay", "credentials": "quay", "options": options}
        return {
            "clouds/local.toml": document(resource("Cloud", "local", cloud)),
            "images/host.toml": document(resource("Image", "host", {"ids": {"local": IMAGE}})),
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with (
        guests(tmp_path / "machines") as machines,
        quay() as account,
        started_on(tmp_path, "") as program,
    ):
        account.start, account.stop = machines.start, machines.stop
        secrets = program.state / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "quay.toml").write_text(f'key = "{KEY}"\n')
        yield Site(account, machines, program, tmp_path / "site")


def test_a_deployment_converges_over_a_driver_that_was_installed_and_goes(site: Site) -> None:
    install(site.packages)
    program = site.program
    program.repository.commit(site.files | nothing() | system(replicas=2))

    checked = program.verb("cloud", "check", "local", PYTHONPATH=str(site.packages))
    program.start(PYTHONPATH=str(site.packages))
    program.until_ready("box")

    assert checked.code == 0, checked
    assert "quay: Quay; idempotency tokens, prices, tags at creation, user data" in checked.out
    assert site.quay.calls.count("POST /v1/machines") == 2
    for machine in site.quay.machines:
        assert (site.machines.root(machine) / "runs").read_text() == "run\n"
        given = json.loads((site.machines.root(machine) / "user-data").read_text()[14:])
        own = (site.machines.root(machine) / "etc/ssh/ssh_host_ed25519_key").read_text()
        assert own != given["ssh_keys"]["ed25519_private"]

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")
    assert not site.quay.machines


def test_a_driver_that_is_not_installed_is_a_problem_of_the_plan(site: Site) -> None:
    site.program.repository.commit(site.files | system())

    planned = site.program.verb("plan")

    assert "there is no driver 'quay'" in planned.out + planned.err
