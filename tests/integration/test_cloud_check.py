"""`headwater cloud check` and prices in plans, as people type them; EC2 is moto behind a socket."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from e2e.systems import document, resource, site, system
from fakes.ec2.account import IMAGE, REGION
from fakes.ec2.endpoint import KEY, SECRET, Ec2Endpoint, ec2_endpoint
from headwater.cli.cloud import group
from headwater.cli.plan import plan
from headwater.errors import Refused
from local_cloud import local_cloud


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with local_cloud(tmp_path / "state/local", "process"):
        yield tmp_path


@pytest.fixture
def aws() -> Iterator[Ec2Endpoint]:
    with ec2_endpoint() as endpoint:
        yield endpoint


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / "repository" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def amazon(folder: Path, aws: Ec2Endpoint, *, secret: str = SECRET, **cloud: object) -> None:
    """The cloud `local` of the manifests is EC2."""
    options = {"host": "127.0.0.1", "port": aws.port, "secure": False}
    spec = {"driver": "ec2", "region": REGION, "credentials": "aws", "options": options, **cloud}
    secrets = folder / "state/secrets"
    secrets.mkdir(parents=True)
    (secrets / "aws.toml").write_text(f'key = "{KEY}"\nsecret = "{secret}"\n')
    image = resource("Image", "host", {"ids": {"local": IMAGE}})
    write(folder, {"cloud.toml": document(resource("Cloud", "local", spec), image)})


def invoke(folder: Path, command: Any, *arguments: str) -> Result:
    where = ["--worktree", "--repo", str(folder / "repository"), "--state", str(folder / "state")]
    return CliRunner().invoke(command, [*arguments, *where])


def check(folder: Path) -> tuple[int, list[tuple[bool, str, str]]]:
    done = invoke(folder, group, "check", "local", "--output", "json")
    found = json.loads(done.stdout)["findings"]
    return done.exit_code, [(each["ok"], each["check"], each["words"]) for each in found]


def problems(folder: Path) -> list[tuple[str, str]]:
    code, found = check(folder)
    wrong = [(check, words) for ok, check, words in found if not ok]
    assert code == bool(wrong)
    return wrong


def test_an_ec2_that_has_all_is_ok_and_nothing_is_created(folder, aws):
    amazon(folder, aws, quota={"instances": 4, "cpus": 8})
    write(folder, system(replicas=2, component={"size": {"name": "t3.micro"}}))

    done = invoke(folder, group, "check", "local")

    assert done.exit_code == 0, done.output
    shown = [(line.split()[:2], line) for line in done.stdout.splitlines()]
    assert [words for words, _ in shown] == [
        ["ok", "access"],
        ["ok", "limits"],
        ["ok", "limits"],
        ["ok", "limits"],
        ["ok", "capabilities"],
        ["ok", "images"],
        ["ok", "sizes"],
    ]
    assert "quota of 8 cpus: 0 cpus there, 4 cpus asked for" in done.stdout
    assert "max-instances" in done.stdout
    assert f"host ({IMAGE}) for box/one: x86_64" in done.stdout
    assert "'t3.micro' for box/one: t3.micro (2 cpus, 1 GiB of memory, 0.0" in done.stdout
    assert set(aws.counted()) == {
        "DescribeInstances",
        "DescribeAccountAttributes",
        "DescribeImages",
    }


def test_wrong_credentials_are_all_that_is_found(folder, aws):
    amazon(folder, aws, secret="wrong")  # noqa: S106  # it is one
    write(folder, system())

    [(check, words)] = problems(folder)

    assert check == "access"
    assert "check the credentials" in words


def test_an_image_and_a_size_that_there_are_not_are_told_with_the_next_step(folder, aws):
    amazon(folder, aws)
    write(folder, system(component={"size": {"name": "t3.tiny"}}))
    other = resource("Image", "lost", {"ids": {"local": "ami-00000000"}})
    write(folder, {"lost.toml": document(other)})
    write(folder, system(name="lost", component={"image": "lost"}))

    (image, words), (size, said) = problems(folder)

    assert (image, size) == ("images", "sizes")
    assert "correct its spec.ids.local = 'ami-00000000'" in words
    assert said.startswith("'t3.tiny' for box/one: there is none; change spec.size")


def test_a_size_that_the_drivers_table_lacks_is_asked_of_ec2(folder, aws):
    amazon(folder, aws)
    write(folder, system(component={"size": {"name": "c8a.2xlarge"}}))

    code, [*_, size] = check(folder)

    assert code == 0
    assert size[2] == (
        "'c8a.2xlarge' for box/one: c8a.2xlarge (8 cpus, 16 GiB of memory, price unknown)"
    )


def test_a_region_whose_sizes_the_driver_does_not_know_is_no_cloud_without_sizes(folder, aws):
    amazon(folder, aws, region="af-south-1")
    write(folder, system(component={"size": {"cpus": 2}}))

    assert ("sizes", "2 cpus for box/one: there is none;") in [
        (check, words.partition(" change")[0]) for check, words in problems(folder)
    ]


def test_the_embedded_cloud_is_checked_against_its_quota(folder):
    files = site("process")
    cloud = {"driver": "local", "options": {"level": "process"}, "quota": {"cpus": 3}}
    write(folder, {**files, "clouds/local.toml": document(resource("Cloud", "local", cloud))})
    write(folder, system(replicas=2, component={"size": {"cpus": 2}}))

    [(check, words)] = problems(folder)

    assert check == "limits"
    assert words == (
        "quota of 3 cpus: 0 cpus there, 4 cpus asked for; raise spec.quota.cpus of the Cloud, or"
        " ask for less"
    )


def test_a_driver_that_lacks_what_we_need_says_so(folder):
    dummy = {"driver": "dummy", "options": {"creds": 0}}
    image = resource("Image", "host", {"ids": {"local": "1"}})
    write(folder, {"cloud.toml": document(resource("Cloud", "local", dummy), image), **system()})

    code, [*_, last] = check(folder)

    assert code == 1
    assert last[:2] == (False, "access")
    assert "cannot carry tags" in last[2]


def test_broken_manifests_are_no_answer(folder):
    write(folder, {**site("process"), **system(component={"image": "gone"})})

    [(check, words)] = problems(folder)

    assert check == "manifests"
    assert words.startswith("box cannot be read")


def test_a_cloud_that_no_manifest_defines_is_refused(folder):
    write(folder, site("process"))

    with pytest.raises(Refused, match="no sound Cloud lab; known: local"):
        CliRunner().invoke(
            group,
            ["check", "lab", "--worktree", "--repo", str(folder / "repository")],
            catch_exceptions=False,
        )


class TestPlan:
    def test_it_shows_what_the_size_costs(self, folder, aws):
        amazon(folder, aws)
        write(folder, system(replicas=2, component={"size": {"name": "t3.micro"}}))

        shown = invoke(folder, plan).stdout

        assert "\n  price per hour: +0.0" in shown

    def test_the_price_file_wins(self, folder, aws):
        amazon(folder, aws)
        write(folder, system(replicas=2, component={"size": {"name": "t3.micro"}}))
        prices = folder / "prices.toml"
        prices.write_text('[local]\n"t3.micro" = 1.5\n')

        shown = invoke(folder, plan, "--prices", str(prices)).stdout

        assert "\n  price per hour: +3.0000, -0.0000, then 3.0000\n" in shown

    def test_what_the_cpus_do_not_suffice_for_is_held(self, folder, aws):
        amazon(folder, aws, quota={"cpus": 5})
        write(folder, system(replicas=3, component={"size": {"name": "t3.micro"}}))

        done = invoke(folder, plan, "--output", "json")
        [box] = json.loads(done.stdout)["deployments"]

        assert [each["kind"] for each in box["actions"]] == ["create", "create"]
        assert box["held"] == ["the quota of cloud local is 1 cpus too small"]
