"""What the loop may rely on of volumes, of clouds in memory and all that have them."""

from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fakes.cloud import FakeClouds
from fakes.ec2.account import IMAGE
from fakes.ec2.endpoint import ec2_endpoint
from fakes.openstack import glance
from fakes.openstack.endpoint import openstack_endpoint
from headwater.cloud.gateway import Gateway
from headwater.errors import Transient
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.reconcile.ports import Clouds
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import CreateOrder, Machine, MachineSpec, Tags, machine_name
from headwater.topology.volumes import (
    Volume,
    VolumeKey,
    VolumeOrder,
    VolumeState,
    VolumeTags,
    volume_name,
)

GIBIBYTE = 1 << 30
LOCAL = ResolvedCloud("local", "local", options={"level": "process"})
CLOUDS = {"local": LOCAL, "annexe": replace(LOCAL, name="annexe")}
"""They share a host, or an account."""


SPEC = MachineSpec("local", "host", IMAGE, Size(name="t3.micro"))
LAB = replace(SPEC, image_id=glance.IMAGE, size=Size(name="m1.tiny"))
ENDPOINTS: dict[str, Callable[[], Any]] = {"ec2": ec2_endpoint, "openstack": openstack_endpoint}


@dataclass
class World:
    clouds: Clouds
    login: str
    spec: MachineSpec = SPEC

    async def machine(self, index: int = 1, incarnation: int = 1) -> Machine:
        key = InstanceKey("hello", "web", index)
        order = CreateOrder(
            name=machine_name(key, incarnation),
            token=f"{index}-{incarnation}",
            spec=self.spec,
            tags=Tags("ours", key, incarnation, "digest", "f" * 40),
            authorized_key=self.login,
        )
        [made] = await self.clouds.create([order])
        assert isinstance(made, Machine)
        return made

    async def make(self, machine: Machine, name: str = "store", token: str = "") -> Volume:
        return await self.clouds.create_volume(order(machine, name, token))

    async def plugged(self, machine: Machine, name: str = "store", *taken: str) -> Volume:
        made = await self.make(machine, name)
        return await self.clouds.attach_volume(made, machine, frozenset(taken))

    async def listed(self) -> tuple[Volume, ...]:
        listing = await self.clouds.observe_volumes("local")
        assert listing.complete, listing.error
        return listing.volumes


def at_rest(made: Volume) -> Volume:
    """Some clouds answer before a volume is there."""
    assert made.state in {VolumeState.CREATING, VolumeState.AVAILABLE}
    return replace(made, state=VolumeState.AVAILABLE)


def order(machine: Machine, name: str = "store", token: str = "") -> VolumeOrder:
    key = VolumeKey(machine.key, name)
    tags = VolumeTags("ours", key, retain=True)
    return VolumeOrder(volume_name(key), token or f"{key}", tags, 3 * GIBIBYTE, machine)


@pytest.fixture(params=["memory", "embedded", *ENDPOINTS])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    login = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    if request.param == "memory":
        fake = FakeClouds()
        await fake.configure(CLOUDS)
        yield World(fake, login)
        return
    gateway = Gateway("ours", tmp_path)
    with ENDPOINTS.get(request.param, nullcontext)() as endpoint:
        clouds = CLOUDS if endpoint is None else {name: endpoint.cloud(name) for name in CLOUDS}
        await gateway.configure(clouds)
        try:
            yield World(gateway, login, LAB if request.param == "openstack" else SPEC)
        finally:
            for machine in (await gateway.observe("local")).machines:
                await gateway.terminate(machine)
            for volume in (await gateway.observe_volumes("local")).volumes:
                await gateway.delete_volume(volume)
            await gateway.close()


async def test_a_volume_that_was_made_is_listed_as_it_was_ordered(world: World) -> None:
    machine = await world.machine()
    made = await world.make(machine)

    [listed] = await world.listed()

    assert listed == at_rest(made)
    assert (listed.tags, listed.size) == (order(machine).tags, 3 * GIBIBYTE)
    assert (listed.state, listed.machine, listed.devices) == (VolumeState.AVAILABLE, "", ())
    assert listed.name == "hello-web-1-store"


async def test_a_volume_is_listed_by_its_own_cloud_and_by_no_other(world: World) -> None:
    await world.make(await world.machine())

    listing = await world.clouds.observe_volumes("annexe")

    assert (listing.complete, listing.volumes) == (True, ())


async def test_a_repeated_order_makes_no_second_volume(world: World) -> None:
    machine = await world.machine()

    assert at_rest(await world.make(machine)) == await world.make(machine)
    assert len(await world.listed()) == 1


async def test_a_deleted_volume_does_not_answer_for_the_next(world: World) -> None:
    machine = await world.machine()
    first = await world.make(machine)
    await world.clouds.delete_volume(first)

    second = await world.make(machine, token="another")  # noqa: S106  # no secret

    assert second.id != first.id
    assert await world.listed() == (at_rest(second),)


async def test_an_attached_volume_tells_who_has_it_and_where(world: World) -> None:
    machine = await world.machine()
    plugged = await world.plugged(machine)

    [listed] = await world.listed()

    assert listed == plugged
    assert (listed.state, listed.machine) == (VolumeState.ATTACHED, machine.id.id)
    assert all(device.startswith("/") for device in listed.devices)
    assert listed.devices


async def test_attaching_again_changes_nothing(world: World) -> None:
    machine = await world.machine()
    plugged = await world.plugged(machine)

    assert await world.clouds.attach_volume(plugged, machine, frozenset()) == plugged
    free = replace(plugged, state=VolumeState.AVAILABLE, machine="", devices=())
    assert await world.clouds.attach_volume(free, machine, frozenset()) == plugged


async def test_volumes_of_one_machine_have_different_devices(world: World) -> None:
    machine = await world.machine()
    first = await world.plugged(machine, "first")
    second = await world.plugged(machine, "second", *first.devices)

    assert not set(first.devices) & set(second.devices)


async def test_a_volume_is_on_one_machine_at_a_time(world: World) -> None:
    plugged = await world.plugged(await world.machine())
    other = await world.machine(1, 2)

    with pytest.raises(Transient, match="has"):
        await world.clouds.attach_volume(plugged, other, frozenset())


async def test_a_machine_that_ends_lets_its_volumes_go_to_the_next(world: World) -> None:
    machine = await world.machine()
    plugged = await world.plugged(machine)
    await world.clouds.terminate(machine)

    [free] = await world.listed()
    assert (free.id, free.state, free.machine) == (plugged.id, VolumeState.AVAILABLE, "")

    other = await world.machine(1, 2)
    again = await world.clouds.attach_volume(free, other, frozenset())
    assert (again.id, again.machine) == (plugged.id, other.id.id)


async def test_a_volume_in_use_is_not_deleted(world: World) -> None:
    plugged = await world.plugged(await world.machine())

    with pytest.raises(Transient, match="has"):
        await world.clouds.delete_volume(plugged)

    assert await world.listed() == (plugged,)


async def test_deleting_what_is_gone_succeeds(world: World) -> None:
    made = await world.make(await world.machine())

    await world.clouds.delete_volume(made)
    await world.clouds.delete_volume(made)

    assert await world.listed() == ()


async def test_what_a_volume_says_of_itself_can_be_changed_and_changed_back(world: World) -> None:
    made = await world.make(await world.machine())
    ended = replace(made.tags, retain=False, ended=datetime(2030, 1, 1, 12, tzinfo=UTC))

    await world.clouds.retag_volume(made, ended)
    assert [volume.tags for volume in await world.listed()] == [ended]

    await world.clouds.retag_volume(made, made.tags)
    assert [volume.tags for volume in await world.listed()] == [made.tags]
