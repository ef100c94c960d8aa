"""What machines on OpenStack are given, and what is seen of them."""

import base64
from dataclasses import replace

import pytest

from contracts.asking import make, opened
from contracts.openstack.asking import SPEC, batch, server, until
from fakes.openstack.glance import IMAGE
from headwater.manifests.resolved import Size
from headwater.topology.machines import (
    MachineState,
)

# What a machine is given.


async def test_a_machine_is_made_as_its_manifest_says(gateway, endpoint) -> None:
    await make(gateway, batch(1))

    said = server(endpoint)
    assert said["flavorRef"] == "1"
    assert said["imageRef"] == endpoint.project.glance.id(IMAGE)
    assert "networks" not in said
    assert "config_drive" not in said
    data = base64.b64decode(said["user_data"]).decode()
    assert data.startswith("#cloud-config\n")
    assert "ssh-ed25519 AAAA" in data


async def test_options_of_the_cloud_are_heeded(endpoint, tmp_path) -> None:
    neutron = endpoint.project.neutron
    inner = neutron.add_network("inner", "10.7.0.0/16")
    outer = neutron.add_network("outer", "10.8.0.0/16")
    options = {"network": (outer, "inner"), "config_drive": True, "availability_zone": "az-2"}
    async with opened(endpoint.cloud("lab", **options), tmp_path) as gateway:
        await make(gateway, batch(1))
        [machine] = (await gateway.observe("lab")).machines

    said = server(endpoint)
    assert said["networks"] == [{"uuid": outer}, {"uuid": inner}]
    assert said["config_drive"] is True
    assert said["availability_zone"] == "az-2"
    assert machine.address
    assert machine.address.startswith("10.8.")


@pytest.mark.parametrize(
    ("size", "flavor"),
    [
        (Size(name="m1.small"), "2"),
        (Size(name="3"), "3"),
        (Size(), "1"),
        (Size(cpus=1, memory=1 << 30), "2"),
        (Size(cpus=2), "3"),
        (Size(name="c1.bare"), "c4"),
    ],
)
async def test_the_cheapest_flavor_that_fits_is_taken(gateway, endpoint, size, flavor) -> None:
    """Of those without a disk only by name."""
    await make(gateway, batch(1, spec=replace(SPEC, size=size)))

    assert server(endpoint)["flavorRef"] == flavor


async def test_a_flavor_that_was_made_since_is_found(gateway, endpoint) -> None:
    endpoint.project.nova.flavors.append(("9", "g1.new", 8, 32768, 100))

    [offer] = await gateway.offers("lab", ["g1.new", "g1.other"])
    await make(gateway, batch(1, spec=replace(SPEC, size=Size(name="g1.new"))))

    assert (offer.cpus, offer.memory, offer.disk) == (8, 32 << 30, 100 << 30)
    assert server(endpoint)["flavorRef"] == "9"


async def test_images_are_told_by_name_or_id(gateway, endpoint) -> None:
    id = endpoint.project.glance.id(IMAGE)

    assert await gateway.image(SPEC) == f"{IMAGE}, {id}, x86_64"
    assert await gateway.image(replace(SPEC, image_id=id)) == f"{IMAGE}, {id}, x86_64"


async def test_limits_are_told_where_there_are_any(gateway, endpoint) -> None:
    endpoint.project.nova.quota = 20

    told = await gateway.limits("lab")

    assert told["maxTotalInstances"] == 20
    assert "maxTotalRAMSize" not in told


# States.


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("BUILD", MachineState.PENDING),
        ("ACTIVE", MachineState.RUNNING),
        ("REBOOT", MachineState.PENDING),
        ("SHUTOFF", MachineState.STOPPED),
        ("SHELVED_OFFLOADED", MachineState.STOPPED),
        ("ERROR", MachineState.FAILED),
        ("RESCUE", MachineState.UNKNOWN),
        ("SOFT_DELETED", None),
    ],
)
async def test_states_are_seen_as_what_they_are(gateway, endpoint, status, seen) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.project.nova.become(machine.id.id, status)

    listing = await gateway.observe("lab")

    assert [m.state for m in listing.machines] == ([seen] if seen else [])


async def test_a_machine_that_nova_could_not_make_says_why_and_goes(gateway, endpoint) -> None:
    endpoint.project.nova.unlucky = "No valid host was found. "
    [machine] = await make(gateway, batch(1))

    assert machine.state is MachineState.FAILED
    assert machine.address is None
    assert machine.facts["fault"] == "No valid host was found."
    await gateway.terminate(machine)
    assert (await gateway.observe("lab")).machines == ()


async def test_addresses_appear_late(gateway, endpoint) -> None:
    endpoint.project.nova.timing.boot = 0.2
    [machine] = await make(gateway, batch(1))
    assert (machine.state, machine.address) == (MachineState.PENDING, None)

    [machine] = await until(gateway, lambda machines: bool(machines[0].address))

    assert machine.state is MachineState.RUNNING


async def test_a_machine_that_is_going_is_listed_as_that(gateway, endpoint) -> None:
    endpoint.project.nova.timing.end = 0.2
    [machine] = await make(gateway, batch(1))
    await gateway.terminate(machine)
    await gateway.terminate(machine)

    assert [m.state for m in (await gateway.observe("lab")).machines] == [MachineState.STOPPING]
    await until(gateway, lambda machines: not machines)
