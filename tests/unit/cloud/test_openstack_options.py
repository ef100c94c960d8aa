import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from headwater.cloud.openstack.options import Options, read
from headwater.errors import Stalled
from headwater.manifests.cloud import Cloud
from headwater.manifests.resolved import ResolvedCloud

README = Path(__file__).parents[3] / "controller/headwater/cloud/README.md"
WHERE = {"auth_url": "https://cloud.example.org:5000/v3/"}
WHO = {"username": "ada", "password": "geheim", "project": "lab"}
USER = {"name": "ada", "domain": {"name": "Default"}, "password": "geheim"}


def options(credentials: Mapping[str, object] | None = None, /, **said: object) -> Options:
    return read(ResolvedCloud("lab", "openstack", options={**WHERE, **said}), credentials or {})


def test_the_version_is_no_part_of_the_address() -> None:
    assert options(WHO).auth_url == "https://cloud.example.org:5000"
    assert options(WHO, auth_url="https://c/identity").auth_url == "https://c/identity"


@pytest.mark.parametrize(
    "said",
    [
        WHO,
        {"username": "ada", "password": "geheim", "project_name": "lab"},
        {"key": "ada", "secret": "geheim", "ex_tenant_name": "lab"},
        {**WHO, "user_domain_name": "Default", "ex_force_auth_version": "3.x_password"},
    ],
)
def test_passwords_are_told_to_keystone_by_any_of_their_names(said: dict[str, object]) -> None:
    assert options(said).identity == {
        "identity": {"methods": ["password"], "password": {"user": USER}},
        "scope": {"project": {"name": "lab", "domain": {"name": "Default"}}},
    }


def test_domains_are_those_that_are_said() -> None:
    both = options({**WHO, "domain": "hpc"}).identity
    apart = options({**WHO, "user_domain_id": "d1", "project_domain_name": "lab"}).identity
    ids = options({"user_id": "u1", "password": "geheim", "project_id": "p1"}).identity

    assert _user(both)["domain"] == _project(both)["domain"] == {"name": "hpc"}
    assert (_user(apart)["domain"], _project(apart)["domain"]) == ({"id": "d1"}, {"name": "lab"})
    assert _user(ids) == {"id": "u1", "password": "geheim"}
    assert _project(ids) == {"id": "p1"}


@pytest.mark.parametrize(
    "said",
    [
        {"application_credential_id": "a1", "application_credential_secret": "geheim"},
        {"key": "a1", "secret": "geheim", "ex_force_auth_version": "3.x_appcred"},
    ],
)
def test_an_application_credential_needs_no_project(said: dict[str, object]) -> None:
    method = {"id": "a1", "secret": "geheim"}

    assert options(said).identity == {
        "identity": {"methods": ["application_credential"], "application_credential": method}
    }


def test_what_is_not_said_is_the_usual() -> None:
    found = options(WHO)

    assert (found.region, found.interface, found.networks) == ("", "public", ())
    assert (found.floating_network, found.config_drive, found.ssh_port) == ("", False, 22)


def test_the_region_of_the_manifest_comes_first() -> None:
    cloud = ResolvedCloud("lab", "openstack", region="one", options={**WHERE, "region_name": "two"})

    assert read(cloud, WHO).region == "one"
    assert options(WHO, region_name="two").region == "two"


def test_networks_are_one_or_several() -> None:
    assert options(WHO, network="a").networks == ("a",)
    assert options(WHO, network=("a", "b")).networks == ("a", "b")


def test_the_readme_says_what_is_understood() -> None:
    blocks = map(tomllib.loads, re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL))
    clouds = [Cloud.model_validate(block) for block in blocks if block.get("kind") == "Cloud"]
    [spec] = [cloud.spec for cloud in clouds if cloud.spec.driver == "openstack"]

    found = read(ResolvedCloud("lab", spec.driver, spec.region, options=spec.options), WHO)

    assert (found.networks, found.floating_network) == (("private",), "public")


def test_passwords_are_not_shown() -> None:
    assert "geheim" not in repr(options(WHO))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"auth_url": ""}, "no auth_url"),
        ({"floating_netwrok": "public"}, r"'floating_netwrok' \(near: floating_network"),
        ({"password": ""}, "keystone wants username, password and project"),
        ({"application_credential_id": "a1", "username": ""}, "application_credential_secret"),
        ({"ex_force_auth_version": "2.0_password"}, "neither 3.x_password nor 3.x_appcred"),
        ({"interface": "secret"}, "'secret' is none of public, internal, admin"),
        ({"config_drive": "yes"}, "config_drive = 'yes' is neither true nor false"),
        ({"timeout": 0}, "timeout = 0"),
        ({"timeout": True}, "timeout = True"),
        ({"ssh_port": 70000}, "ssh_port"),
    ],
)
def test_what_cannot_be_meant_is_said(said: dict[str, object], words: str) -> None:
    with pytest.raises(Stalled, match=rf"cloud 'lab': .*{words}") as refused:
        options(**{**WHO, **said})

    assert "geheim" not in str(refused.value)


def _user(identity: object) -> dict[str, object]:
    return identity["identity"]["password"]["user"]  # type: ignore[index,no-any-return]


def _project(identity: object) -> dict[str, object]:
    return identity["scope"]["project"]  # type: ignore[index,no-any-return]
