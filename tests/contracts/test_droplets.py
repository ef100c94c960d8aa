"""A driver of libcloud that is like most: one machine per call, labels, pages, no tokens."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.test_clouds import World
from fakes.droplets import IMAGE, SIZE, Droplets, droplets
from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError, QuotaExceeded, Stalled
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.topology.machines import Machine, MachineSpec

LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgCkqlWDLce6dkOpYsgNJ+fWbSQ5Y40GNadVZJ4hmtN"
SPEC = MachineSpec("local", "debian", IMAGE, Size(name=SIZE))


@pytest.fixture
async def ocean(tmp_path: Path) -> AsyncIterator[tuple[World, Droplets]]:
    with droplets() as account:
        gateway = Gateway("ours", tmp_path)
        await gateway.configure({"local": account.cloud("local", **{"ex_create_attr.ipv6": True})})
        yield World(gateway, gateway, LOGIN, SPEC), account
        await gateway.close()


async def refusal(tmp_path: Path, cloud: ResolvedCloud) -> HeadwaterError | None:
    gateway = Gateway("ours", tmp_path)
    await gateway.configure({"local": cloud})
    try:
        gateway.capabilities("local")
    except HeadwaterError as error:
        return error
    finally:
        await gateway.close()
    return None


async def test_a_call_says_who_may_log_in_and_what_the_options_say(ocean) -> None:
    world, account = ocean
    [machine] = await world.make(1)

    [said] = account.created
    assert said["user_data"].startswith("#cloud-config\n")
    assert LOGIN in said["user_data"]
    assert machine.host_key in said["user_data"]
    assert machine.one_time
    assert said["ipv6"] is True
    assert said["region"] == "fra1"


async def test_machines_of_every_page_are_seen(ocean) -> None:
    world, _ = ocean
    await world.make(1, 2, 3, 4, 5)

    listing = await world.clouds.observe("local")

    assert sorted(machine.key.index for machine in listing.machines) == [1, 2, 3, 4, 5]


async def test_what_comes_before_the_limit_is_kept_and_the_rest_told(ocean) -> None:
    world, account = ocean
    account.limit = 2

    made = await world.clouds.create([world.order(index) for index in (1, 2, 3)])

    assert [type(each) for each in made] == [Machine, Machine, QuotaExceeded]


async def test_a_key_that_is_not_known_is_told_as_such(tmp_path: Path) -> None:
    with droplets() as account:
        cloud = account.cloud("local")
        wrong = replace(cloud, options={**cloud.options, "key": "wrong"})

        error = await refusal(tmp_path, wrong)

    assert isinstance(error, Stalled)
    assert "check the credentials" in str(error)
    assert "wrong" not in str(error)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"region": "fra2"}, "there is no location 'fra2' (near: fra1"),
        ({"region": ""}, "set spec.region of the Cloud"),
        ({"driver": "digitalocaen"}, "near: digitalocean"),
    ],
)
async def test_a_manifest_that_cannot_work_says_what_to_correct(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    with droplets() as account:
        cloud = account.cloud("local")
        error = await refusal(
            tmp_path,
            ResolvedCloud(
                "local",
                change.get("driver", cloud.driver),
                region=change.get("region", cloud.region),
                options=cloud.options,
            ),
        )

    assert isinstance(error, Stalled)
    assert words in str(error)
