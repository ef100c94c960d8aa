"""What holds of the double of OpenStack, and of a real one.

HEADWATER_TEST_OPENSTACK_CLOUD names a TOML file: the options and credentials of a Cloud manifest,
as one table. HEADWATER_TEST_OPENSTACK_IMAGE and HEADWATER_TEST_OPENSTACK_SIZE are those of its
machines; two are made there, and a volume where it has any, and go again.
"""

import asyncio
import os
import tomllib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from libcloud.compute.types import NodeState

from fakes.openstack.endpoint import openstack_endpoint
from fakes.openstack.glance import IMAGE
from headwater.cloud import groups
from headwater.cloud.gateway import Gateway
from headwater.cloud.openstack.driver import Driver
from headwater.cloud.openstack.options import read
from headwater.cloud.openstack.session import Session
from headwater.errors import Stalled
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import (
    Ability,
    CreateOrder,
    Machine,
    MachineSpec,
    MachineState,
    Tags,
    machine_name,
)
from headwater.topology.volumes import Volume, VolumeKey, VolumeOrder, VolumeState, VolumeTags

PREFIX = "HEADWATER_TEST_OPENSTACK_"


@dataclass(frozen=True)
class Site:
    cloud: ResolvedCloud
    spec: MachineSpec
    installation: str
    login: str
    seconds: float
    """Within which a machine comes or goes."""

    def orders(self, *indexes: int) -> list[CreateOrder]:
        return batched([self._order(InstanceKey("hello", "web", index)) for index in indexes], {})

    def _order(self, key: InstanceKey) -> CreateOrder:
        tags = Tags(self.installation, key, 1, "digest", "f" * 40)
        return CreateOrder(machine_name(key, 1), f"{key}.1", self.spec, tags, self.login)

    def driver(self) -> Driver:
        """Libcloud's own reading of what the services answer."""
        return Driver(Session("lab", read(self.cloud, {})))

    @asynccontextmanager
    async def opened(self, directory: Path, **options: object) -> AsyncIterator[Gateway]:
        """Nothing of ours is left there."""
        gateway = Gateway(self.installation, directory)
        cloud = replace(self.cloud, options={**self.cloud.options, **options})
        await gateway.configure({"lab": cloud})
        try:
            yield gateway
        finally:
            for machine in (await gateway.observe("lab")).machines:
                await gateway.terminate(machine)
            await gateway.close()

    async def volume(self, gateway: Gateway, *states: VolumeState) -> Volume:
        """The only one that there is, when it is in one of these."""
        async with asyncio.timeout(self.seconds):
            while True:
                for volume in (await gateway.observe_volumes("lab")).volumes:
                    if volume.state in states:
                        return volume
                await asyncio.sleep(self.seconds / 200)

    async def until(
        self, gateway: Gateway, condition: Callable[[Sequence[Machine]], bool]
    ) -> list[Machine]:
        async with asyncio.timeout(self.seconds):
            machines = (await gateway.observe("lab")).machines
            while not condition(machines):
                await asyncio.sleep(self.seconds / 200)
                machines = (await gateway.observe("lab")).machines
        return sorted(machines, key=lambda machine: machine.key.index)


@pytest.fixture(params=["double", "real"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    login = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    installation = f"test-{uuid.uuid4().hex[:8]}"
    if request.param == "double":
        spec = MachineSpec("lab", "debian", IMAGE, Size(name="m1.tiny"), open=("80/tcp",))
        with openstack_endpoint() as endpoint:
            endpoint.project.nova.timing.boot = endpoint.project.nova.timing.end = 0.1
            endpoint.project.cinder.pending = 0.1
            cloud = endpoint.cloud("lab", floating_network="public")
            yield Site(cloud, spec, installation, login, 20.0)
        return
    if (file := os.environ.get(f"{PREFIX}CLOUD")) is None:
        pytest.skip(f"{PREFIX}CLOUD names no real OpenStack")
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in tomllib.loads(Path(file).read_text()).items()
    }
    cloud = ResolvedCloud("lab", "openstack", options=options)
    image, size = (os.environ[f"{PREFIX}{each}"] for each in ("IMAGE", "SIZE"))
    spec = MachineSpec("lab", "debian", image, Size(name=size), open=("80/tcp",))
    yield Site(cloud, spec, installation, login, 600.0)


async def test_machines_come_are_told_apart_and_leave_nothing(site, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    monkeypatch.setattr(groups, "PATIENCE", 0.0)
    driver = site.driver()
    before = _left(driver, site)
    async with site.opened(tmp_path) as gateway:
        made = await gateway.create(site.orders(1, 2))
        listed = await site.until(
            gateway,
            lambda found: len(found) == 2 and all(machine.is_reachable for machine in found),
        )
        again = await gateway.create(site.orders(1, 2))

        assert [m.id for m in listed] == [m.id for m in made] == [m.id for m in again]
        assert [m.name for m in listed] == ["hello-web-1", "hello-web-2"]
        assert [m.tags for m in listed] == [order.tags for order in site.orders(1, 2)]
        assert len({m.address for m in listed}) == 2
        assert listed[0].host_key == listed[1].host_key

        await asyncio.gather(*(gateway.terminate(machine) for machine in listed))
        await site.until(gateway, lambda found: not found and _left(driver, site) == before)


def _left(driver: Any, site: Site) -> tuple[int, int]:
    """How many security groups and floating addresses of ours there are."""
    ours = [g for g in driver.ex_list_security_groups() if site.installation in g.name]
    floating = driver.network_connection.request("/v2.0/floatingips").object["floatingips"]
    return len(ours), len([each for each in floating if site.installation in each["description"]])


async def test_a_volume_goes_from_machine_to_machine_and_leaves_nothing(site, tmp_path) -> None:
    async with site.opened(tmp_path) as gateway:
        if Ability.VOLUMES not in gateway.capabilities("lab").abilities:
            pytest.skip("it has no block storage")
        await gateway.create(site.orders(1, 2))
        first, second = await site.until(
            gateway,
            lambda found: len(found) == 2 and all(machine.is_reachable for machine in found),
        )
        tags = VolumeTags(site.installation, VolumeKey(first.key, "store"))
        order = VolumeOrder("hello-web-1-store", "token", tags, 1 << 30, first)
        made = await gateway.create_volume(order)
        try:
            for machine in (first, second):
                free = await site.volume(gateway, VolumeState.AVAILABLE)
                begun = await gateway.attach_volume(free, machine, frozenset())
                held = await site.volume(gateway, VolumeState.ATTACHED)
                assert (held.id, held.tags, held.machine) == (made.id, tags, machine.id.id)
                assert held.devices == begun.devices
                await gateway.terminate(machine)
        finally:
            rest = await site.volume(gateway, VolumeState.AVAILABLE, VolumeState.FAILED)
            await gateway.delete_volume(rest)

        assert (await gateway.observe_volumes("lab")).volumes == ()


async def test_libcloud_reads_the_same_in_the_answers(site, tmp_path) -> None:
    driver: Any = site.driver()
    async with site.opened(tmp_path) as gateway:
        [machine] = await gateway.create(site.orders(1))
        await site.until(gateway, lambda found: found[0].state is MachineState.RUNNING)

        [node] = [node for node in driver.list_nodes() if node.id == machine.id.id]
        names = [group.name for group in driver.ex_get_node_security_groups(node)]

        assert node.state == NodeState.RUNNING
        assert node.extra["metadata"]["headwater:installation"] == site.installation
        assert node.public_ips + node.private_ips
        assert len([name for name in names if site.installation in name]) == 2
    sizes = {name for size in driver.list_sizes() for name in (size.id, size.name)}
    assert site.spec.size.name in sizes
    images = {name for image in driver.list_images() for name in (image.id, image.name)}
    assert site.spec.image_id in images
    assert driver.ex_list_networks()
    assert {subnet.network_id for subnet in driver.ex_list_subnets()}


async def test_what_there_is_is_told(site, tmp_path) -> None:
    async with site.opened(tmp_path) as gateway:
        able = gateway.capabilities("lab")
        limits = await gateway.limits("lab")
        image = await gateway.image(site.spec)

    assert any(site.spec.size.name in (offer.id, offer.name) for offer in able.sizes or ())
    assert all(offer.cpus and offer.memory for offer in able.sizes or ())
    assert "maxTotalInstances" in limits or "totalInstancesUsed" in limits
    assert site.spec.image_id in image


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": str(uuid.UUID(int=0))}, r"spec\.ids\.lab"),
        ({"image_id": "no-such-image"}, r"spec\.ids\.lab"),
        ({"size": Size(name="no-such-size")}, r"spec\.sizes"),
    ],
)
async def test_what_there_is_not_names_its_field(site, tmp_path, change, words) -> None:
    async with site.opened(tmp_path) as gateway:
        asked = [replace(o, spec=replace(o.spec, **change)) for o in site.orders(1)]
        [answer] = await gateway.create(asked)

    with pytest.raises(Stalled, match=words):
        raise answer


async def test_a_network_that_there_is_not_names_its_option(site, tmp_path) -> None:
    async with site.opened(tmp_path, network="no-such-network") as gateway:
        [answer] = await gateway.create(site.orders(1))

    with pytest.raises(Stalled, match="correct its option network"):
        raise answer


async def test_wrong_credentials_are_said(site, tmp_path) -> None:
    secrets = {"password", "secret", "application_credential_secret"} & set(site.cloud.options)
    async with site.opened(tmp_path, **dict.fromkeys(secrets, "wrong-1")) as gateway:
        listing = await gateway.observe("lab")

    assert not listing.complete
    assert "check the credentials" in listing.error
    assert "wrong-1" not in listing.error
