"""What the loop may rely on, of clouds in memory, of clouds behind sockets, of real machines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fakes import droplets, quays
from fakes.cloud import FakeClouds
from fakes.ec2.account import IMAGE
from fakes.ec2.endpoint import ec2_endpoint
from fakes.openstack.endpoint import openstack_endpoint
from fakes.openstack.glance import IMAGE as DEBIAN
from harness import qemu
from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.reconcile.ports import Clouds
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import (
    CreateOrder,
    Machine,
    MachineSpec,
    MachineState,
    Tags,
    machine_name,
)

OURS = "ours"
LOCAL = ResolvedCloud("local", "local", options={"level": "process"})
CLOUDS = {"local": LOCAL, "annexe": replace(LOCAL, name="annexe")}
"""They share a host, or an account."""
SPEC = MachineSpec("local", "host", IMAGE, Size(name="t3.micro"))


@dataclass
class World:
    """Two installations in one account."""

    clouds: Clouds
    others: Clouds
    login: str
    spec: MachineSpec = SPEC

    def order(self, index: int, installation: str = OURS, incarnation: int = 1) -> CreateOrder:
        key = InstanceKey("hello", "web", index)
        return CreateOrder(
            name=machine_name(key, incarnation),
            token=f"{installation}-{index}-{incarnation}",
            spec=self.spec,
            tags=Tags(installation, key, incarnation, "digest", "f" * 40),
            authorized_key=self.login,
        )

    async def make(self, *indexes: int) -> list[Machine]:
        return await self.carry_out([self.order(index) for index in indexes])

    async def carry_out(self, orders: list[CreateOrder]) -> list[Machine]:
        made = await self.clouds.create(orders)
        assert all(isinstance(machine, Machine) for machine in made), made
        return [machine for machine in made if isinstance(machine, Machine)]


SPECS = {
    "openstack": replace(SPEC, image_id=DEBIAN, size=Size(name="m1.tiny")),
    "droplets": replace(SPEC, image_id=droplets.IMAGE, size=Size(name=droplets.SIZE)),
    "quay": replace(SPEC, image_id=quays.IMAGE, size=Size(cpus=1)),
    "qemu": replace(SPEC, image_id=qemu.IMAGE, size=Size(memory=64 << 20)),
}
_ENDPOINTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "embedded": nullcontext,
    "ec2": ec2_endpoint,
    "openstack": openstack_endpoint,
    "droplets": droplets.droplets,
    "quay": quays.installed_quay,
    "qemu": qemu.host,
}


@pytest.fixture(params=["memory", *_ENDPOINTS])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    login = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    if request.param == "memory":
        fake = FakeClouds()
        await fake.configure(CLOUDS)
        yield World(fake, _Strangers(fake), login)
        return
    gateways = Gateway(OURS, tmp_path), Gateway("theirs", tmp_path)
    with _ENDPOINTS[request.param]() as endpoint:
        clouds = CLOUDS if endpoint is None else {name: endpoint.cloud(name) for name in CLOUDS}
        for gateway in gateways:
            await gateway.configure(clouds)
        async with _emptied(gateways):
            yield World(*gateways, login, SPECS.get(request.param, SPEC))


@asynccontextmanager
async def _emptied(gateways: tuple[Gateway, ...]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for gateway in gateways:
            for machine in (await gateway.observe("local")).machines:
                await gateway.terminate(machine)
            await gateway.close()


class _Strangers(FakeClouds):
    """Another installation's view of the account: what it makes is unknown to ours."""

    def __init__(self, ours: FakeClouds) -> None:
        super().__init__()
        self._ours = ours

    def _create(self, order: CreateOrder) -> Machine | Exception:
        self._ours.unknown[order.spec.cloud] += 1
        return super()._create(order)


async def test_a_created_machine_is_listed_as_it_was_answered(world: World) -> None:
    [machine] = await world.make(1)

    listing = await world.clouds.observe("local")

    assert listing.complete
    assert [m.id for m in listing.machines] == [machine.id]
    assert listing.machines[0].tags == world.order(1).tags
    assert listing.machines[0].name == world.order(1).name


async def test_a_machine_is_listed_by_the_cloud_that_made_it_and_by_no_other(world: World) -> None:
    await world.make(1)

    listing = await world.clouds.observe("annexe")

    assert (listing.complete, listing.machines, listing.unknown) == (True, (), 0)


async def test_a_running_machine_tells_where_and_with_which_key_it_answers(world: World) -> None:
    await world.make(1)

    [machine] = (await world.clouds.observe("local")).machines

    assert machine.state is MachineState.RUNNING
    assert machine.address
    assert machine.host_key
    assert machine.host_key.startswith("ssh-ed25519 ")
    assert machine.created is not None
    assert machine.created.tzinfo is not None


async def test_answers_come_in_the_order_of_the_orders(world: World) -> None:
    made = await world.make(5, 3, 9, 1)

    assert [machine.key.index for machine in made] == [5, 3, 9, 1]
    assert len({machine.id for machine in made}) == 4


async def test_nothing_ordered_is_nothing_made(world: World) -> None:
    assert list(await world.clouds.create([])) == []
    assert (await world.clouds.observe("local")).machines == ()


async def test_a_repeated_order_makes_no_second_machine(world: World) -> None:
    first = await world.make(1)
    again = await world.make(1)

    assert [m.id for m in again] == [m.id for m in first]
    assert len((await world.clouds.observe("local")).machines) == 1


async def test_the_next_incarnation_is_another_machine(world: World) -> None:
    [first] = await world.make(1)
    [second] = await world.clouds.create([world.order(1, incarnation=2)])

    assert isinstance(second, Machine)
    assert second.id != first.id
    assert second.tags.incarnation == 2


async def test_machines_of_a_batch_are_told_apart(world: World) -> None:
    orders = batched([world.order(index) for index in (1, 2, 3, 7)], {})

    made = await world.carry_out([orders[2], orders[0], orders[1], orders[3]])

    assert [machine.key.index for machine in made] == [3, 1, 2, 7]
    listed = (await world.clouds.observe("local")).machines
    assert {(m.id, m.name, m.tags) for m in listed} == {(m.id, m.name, m.tags) for m in made}
    assert {m.name for m in listed} == {order.name for order in orders}


async def test_a_batch_that_is_repeated_makes_nothing_twice(world: World) -> None:
    orders = batched([world.order(index) for index in (1, 2, 3)], {})
    first = await world.carry_out(orders)

    again = await world.carry_out(orders)

    assert [m.id for m in again] == [m.id for m in first]
    assert len((await world.clouds.observe("local")).machines) == 3


async def test_machines_that_are_ended_together_are_all_gone(world: World) -> None:
    made = await world.carry_out(batched([world.order(index) for index in (1, 2, 3, 4)], {}))

    async with asyncio.TaskGroup() as group:
        for machine in [*made[:3], replace(made[0], id=MachineId("local", "never-was"))]:
            group.create_task(world.clouds.terminate(machine))

    assert [m.id for m in (await world.clouds.observe("local")).machines] == [made[3].id]


async def test_a_terminated_machine_is_not_listed(world: World) -> None:
    kept, ended = await world.make(1, 2)

    await world.clouds.terminate(ended)

    assert [m.id for m in (await world.clouds.observe("local")).machines] == [kept.id]


async def test_terminating_what_is_gone_succeeds(world: World) -> None:
    [machine] = await world.make(1)
    await world.clouds.terminate(machine)

    await world.clouds.terminate(machine)
    await world.clouds.terminate(replace(machine, id=MachineId("local", "never-was")))

    assert (await world.clouds.observe("local")).machines == ()


async def test_machines_of_others_are_counted_and_never_returned(world: World) -> None:
    await world.make(1)
    await world.others.create([world.order(7, installation="theirs")])

    listing = await world.clouds.observe("local")

    assert [m.key.index for m in listing.machines] == [1]
    assert listing.unknown == 1


async def test_observers_at_the_same_time_see_the_same(world: World) -> None:
    await world.make(1, 2)

    listings = await asyncio.gather(*(world.clouds.observe("local") for _ in range(10)))

    assert {frozenset(m.id for m in listing.machines) for listing in listings} == {
        frozenset(m.id for m in listings[0].machines)
    }


async def test_a_cloud_tells_what_it_can_do(world: World) -> None:
    assert world.clouds.capabilities("local").description


async def test_an_order_for_a_cloud_that_fails_is_answered_with_an_error(world: World) -> None:
    order = replace(world.order(1), spec=replace(world.spec, cloud="nowhere"))
    if isinstance(world.clouds, FakeClouds):
        world.clouds.refused[order.tags.key] = HeadwaterError("no such cloud")

    answers = await world.clouds.create([order, world.order(2)])

    assert isinstance(answers[0], HeadwaterError)
    assert isinstance(answers[1], Machine)
