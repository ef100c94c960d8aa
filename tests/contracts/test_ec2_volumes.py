"""EBS volumes over EC2's own wire: what they cost, and what happens when it says no."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.ec2.account import IMAGE
from fakes.ec2.endpoint import HTML, Ec2Endpoint, ec2_endpoint
from fakes.ec2.refusals import Refused, throttled
from headwater.cloud.gateway import Gateway
from headwater.errors import QuotaExceeded, Stalled, Throttled, Transient
from headwater.manifests.resolved import Size
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import CreateOrder, Machine, MachineSpec, Tags, machine_name
from headwater.topology.volumes import Volume, VolumeKey, VolumeOrder, VolumeState, VolumeTags

GIBIBYTE = 1 << 30
WEB = InstanceKey("hello", "web", 1)
SPEC = MachineSpec("aws", "debian", IMAGE, Size(name="t3.micro"))


@pytest.fixture
def endpoint() -> Iterator[Ec2Endpoint]:
    with ec2_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def gateway(endpoint: Ec2Endpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway("ours", tmp_path)
    await gateway.configure({"aws": endpoint.cloud("aws")})
    yield gateway
    await gateway.close()


async def machine(gateway: Gateway, incarnation: int = 1, zone: str = "") -> Machine:
    order = CreateOrder(
        name=machine_name(WEB, incarnation),
        token=f"machine-{incarnation}",
        spec=SPEC,
        tags=Tags("ours", WEB, incarnation, "digest", "f" * 40),
        authorized_key="ssh-ed25519 AAAA",
        zone=zone,
    )
    [made] = await gateway.create(batched([order], {}))
    assert isinstance(made, Machine)
    return made


def order(machine: Machine, size: int = 3 * GIBIBYTE) -> VolumeOrder:
    tags = VolumeTags("ours", VolumeKey(WEB, "store"))
    return VolumeOrder("hello-web-1-store", "token", tags, size, machine)


async def plugged(gateway: Gateway, machine: Machine) -> Volume:
    made = await gateway.create_volume(order(machine))
    return await gateway.attach_volume(made, machine, frozenset())


async def test_a_listing_of_volumes_is_one_call(gateway, endpoint) -> None:
    await plugged(gateway, await machine(gateway))
    endpoint.clear()

    listing = await gateway.observe_volumes("aws")

    assert (listing.complete, len(listing.volumes)) == (True, 1)
    assert endpoint.counted() == {"DescribeVolumes": 1}


async def test_a_volume_is_one_call_to_make_and_two_to_attach(gateway, endpoint) -> None:
    there = await machine(gateway)
    endpoint.clear()

    await plugged(gateway, there)

    assert endpoint.counted() == {"CreateVolume": 1, "AttachVolume": 1, "DescribeVolumes": 1}


async def test_a_volume_is_made_in_the_zone_of_its_machine_and_the_next_machine_in_its(
    gateway,
) -> None:
    first = await machine(gateway, zone="us-east-1c")
    volume = await plugged(gateway, first)
    await gateway.terminate(first)

    second = await machine(gateway, 2, volume.zone)
    again = await gateway.attach_volume(volume, second, frozenset())

    assert (volume.zone, second.facts["zone"]) == ("us-east-1c", "us-east-1c")
    assert again.machine == second.id.id


async def test_sizes_are_rounded_up_to_what_ec2_sells(gateway) -> None:
    made = await gateway.create_volume(order(await machine(gateway), size=1_500_000_000))

    assert made.size == 2 * GIBIBYTE


async def test_devices_are_named_as_newer_and_older_machines_name_them(gateway) -> None:
    volume = await plugged(gateway, await machine(gateway))

    number = volume.id.id.removeprefix("vol-")
    assert volume.devices == (
        f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol{number}",
        "/dev/xvdf",
        "/dev/sdf",
    )


async def test_an_order_that_was_begun_with_another_size_finds_what_it_made(gateway) -> None:
    there = await machine(gateway)
    first = await gateway.create_volume(order(there))

    again = await gateway.create_volume(order(there, size=5 * GIBIBYTE))

    assert again == first


async def test_a_machine_that_is_shutting_down_still_has_its_volume(gateway, endpoint) -> None:
    endpoint.account.timing.end = 3600.0
    first = await machine(gateway)
    volume = await plugged(gateway, first)
    await gateway.terminate(first)
    second = await machine(gateway, 2)

    [listed] = (await gateway.observe_volumes("aws")).volumes
    assert (listed.state, listed.machine) == (VolumeState.ATTACHED, first.id.id)
    with pytest.raises(Transient, match=f"{first.id.id} still has it"):
        await gateway.attach_volume(volume, second, frozenset())
    with pytest.raises(Transient, match=f"{first.id.id} still has it"):
        await gateway.delete_volume(volume)


async def test_a_machine_that_is_not_up_yet_gets_its_volume_later(gateway, endpoint) -> None:
    endpoint.account.timing.boot = 3600.0
    there = await machine(gateway)
    made = await gateway.create_volume(order(there))

    with pytest.raises(Transient):
        await gateway.attach_volume(made, there, frozenset())


@pytest.mark.parametrize(
    ("said", "consequence"),
    [
        (throttled(), Throttled),
        (Refused("VolumeLimitExceeded", "You have exceeded your maximum storage"), QuotaExceeded),
        (Refused("InvalidParameterValue", "Volume of 1GiB is too small"), Stalled),
    ],
)
async def test_a_refusal_to_make_a_volume_says_what_to_do_next(
    gateway, endpoint, said, consequence
) -> None:
    there = await machine(gateway)

    def before(action: str) -> None:
        if action == "CreateVolume":
            raise said

    endpoint.before = before

    with pytest.raises(consequence):
        await gateway.create_volume(order(there))


async def test_a_listing_that_is_a_web_page_is_incomplete(gateway, endpoint) -> None:
    await plugged(gateway, await machine(gateway))
    endpoint.before = lambda action: HTML if action == "DescribeVolumes" else None

    listing = await gateway.observe_volumes("aws")

    assert not listing.complete
    assert "instead of an answer of its API" in listing.error


async def test_no_more_volumes_than_a_machine_has_names_for(gateway) -> None:
    there = await machine(gateway)
    made = await gateway.create_volume(order(there))
    taken = frozenset(f"/dev/sd{letter}" for letter in "fghijklmnop")

    with pytest.raises(Stalled, match="has 11 volumes already"):
        await gateway.attach_volume(replace(made), there, taken)
