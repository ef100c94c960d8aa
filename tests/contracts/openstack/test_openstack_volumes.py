"""Cinder's volumes: what they cost, how they come and go, and what happens when it says no."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from contracts.asking import make, opened
from contracts.openstack.asking import SPEC, batch, order, refuse
from fakes.openstack.cinder import Disk
from fakes.openstack.endpoint import HTML, OpenStackEndpoint
from fakes.openstack.refusals import Refused
from fakes.serving import Answer
from headwater.cloud.gateway import Gateway
from headwater.errors import QuotaExceeded, Stalled, Throttled, Transient
from headwater.topology.batches import batched
from headwater.topology.machines import Ability, Machine
from headwater.topology.volumes import (
    Volume,
    VolumeKey,
    VolumeOrder,
    VolumeState,
    VolumeTags,
    volume_name,
)

GIBIBYTE = 1 << 30
NONE = frozenset[str]()


async def machine(gateway: Gateway, index: int = 1, zone: str = "") -> Machine:
    [made] = await make(gateway, batched([replace(order(index), zone=zone)], {}))
    return made


def asked(machine: Machine, size: int = 3 * GIBIBYTE, name: str = "store") -> VolumeOrder:
    key = VolumeKey(machine.key, name)
    return VolumeOrder(volume_name(key), "token", VolumeTags("ours", key), size, machine)


async def plugged(gateway: Gateway, machine: Machine) -> Volume:
    made = await gateway.create_volume(asked(machine))
    return await gateway.attach_volume(made, machine, NONE)


async def listed(gateway: Gateway) -> Sequence[Volume]:
    listing = await gateway.observe_volumes("lab")
    assert listing.complete, listing.error
    return listing.volumes


def disk(endpoint: OpenStackEndpoint) -> Disk:
    [disk] = endpoint.project.cinder.disks.values()
    return disk


async def test_a_listing_of_volumes_is_one_call(gateway, endpoint) -> None:
    await plugged(gateway, await machine(gateway))
    endpoint.clear()

    assert len(await listed(gateway)) == 1

    assert endpoint.counted() == {"GET /volumes/detail": 1}


async def test_a_volume_is_few_calls_to_make_and_two_to_attach(gateway, endpoint) -> None:
    await gateway.create_volume(asked(await machine(gateway)))
    there = await machine(gateway, 2)
    endpoint.clear()

    await plugged(gateway, there)

    assert endpoint.counted() == {
        "GET /volumes/detail": 1,
        "POST /volumes": 1,
        "POST /servers/*/os-volume_attachments": 1,
        "GET /volumes/*": 1,
    }


async def test_every_page_is_read(gateway, endpoint) -> None:
    endpoint.project.cinder.page = 2
    there = await machine(gateway)
    made = [await gateway.create_volume(asked(there, name=name)) for name in "abcde"]

    assert {volume.id for volume in await listed(gateway)} == {volume.id for volume in made}


async def test_a_list_that_changes_while_it_is_read_is_incomplete(gateway, endpoint) -> None:
    endpoint.project.cinder.page = 1
    there = await machine(gateway)
    for name in "ab":
        await gateway.create_volume(asked(there, name=name))
    newest = [*endpoint.project.cinder.disks][-1]

    def after(action: str) -> None:
        if action == "GET /volumes/detail":
            endpoint.project.cinder.disks.pop(newest, None)

    endpoint.after = after
    listing = await gateway.observe_volumes("lab")

    assert not listing.complete
    assert "changed while it was listed" in listing.error


async def test_volumes_of_others_are_not_ours(gateway, endpoint) -> None:
    there = await machine(gateway)
    ours = await gateway.create_volume(asked(there))
    endpoint.project.cinder.create({"name": ours.name, "size": 1, "metadata": {}})
    endpoint.project.cinder.create({"name": ours.name, "size": 1})

    assert [volume.id for volume in await listed(gateway)] == [ours.id]
    assert (await gateway.create_volume(asked(there))).id == ours.id


async def test_devices_are_found_by_the_volume_and_not_by_the_guess_of_nova(gateway) -> None:
    volume = await plugged(gateway, await machine(gateway))

    assert volume.devices == (
        f"/dev/disk/by-id/virtio-{volume.id.id[:20]}",
        f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{volume.id.id[:20]}",
        f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{volume.id.id}",
    )


async def test_sizes_are_rounded_up_to_what_cinder_sells(gateway) -> None:
    made = await gateway.create_volume(asked(await machine(gateway), 1_500_000_000))

    assert made.size == 2 * GIBIBYTE


async def test_a_volume_comes_and_goes_in_phases(gateway, endpoint) -> None:
    cinder = endpoint.project.cinder
    cinder.pending = 3600.0
    first = await machine(gateway)

    def seen(volume: Volume) -> tuple[VolumeState, str]:
        return volume.state, volume.machine

    made = await gateway.create_volume(asked(first))
    assert seen(made) == (VolumeState.CREATING, "")
    assert await gateway.create_volume(asked(first)) == made
    cinder.finish()
    begun = await gateway.attach_volume(made, first, NONE)
    assert seen(begun) == (VolumeState.CHANGING, first.id.id)
    [reserved] = await listed(gateway)
    assert seen(reserved) == (VolumeState.CHANGING, "")
    assert await gateway.attach_volume(made, first, NONE) == begun
    cinder.finish()
    [attached] = await listed(gateway)
    assert attached == replace(begun, state=VolumeState.ATTACHED)
    await gateway.terminate(first)
    [leaving] = await listed(gateway)
    assert seen(leaving) == (VolumeState.CHANGING, first.id.id)
    cinder.finish()
    [free] = await listed(gateway)
    assert seen(free) == (VolumeState.AVAILABLE, "")
    await gateway.delete_volume(free)
    assert await listed(gateway) == ()
    await gateway.delete_volume(free)
    again = await gateway.create_volume(asked(await machine(gateway)))
    assert again.id != free.id


@pytest.mark.parametrize("begun", ["POST /volumes", "POST /servers/*/os-volume_attachments"])
async def test_an_answer_that_is_lost_makes_nothing_twice(gateway, endpoint, begun) -> None:
    there = await machine(gateway)

    def after(action: str) -> None:
        if action == begun:
            endpoint.after = lambda _: None
            raise ConnectionResetError

    endpoint.after = after
    with pytest.raises(Transient):
        await plugged(gateway, there)

    volume = await plugged(gateway, there)

    assert (volume.state, volume.machine) == (VolumeState.ATTACHED, there.id.id)
    assert disk(endpoint).server == there.id.id


async def test_a_machine_that_is_shutting_down_still_has_its_volume(gateway, endpoint) -> None:
    endpoint.project.nova.timing.end = 3600.0
    first = await machine(gateway)
    volume = await plugged(gateway, first)
    await gateway.terminate(first)
    second = await machine(gateway, 2)

    assert await listed(gateway) == (volume,)
    with pytest.raises(Transient, match=f"{first.id.id} still has it"):
        await gateway.attach_volume(volume, second, NONE)
    with pytest.raises(Transient, match=f"{first.id.id} still has it"):
        await gateway.delete_volume(volume)


async def test_a_machine_that_is_not_up_yet_gets_its_volume_later(gateway, endpoint) -> None:
    endpoint.project.nova.timing.boot = 3600.0
    there = await machine(gateway)
    made = await gateway.create_volume(asked(there))

    with pytest.raises(Transient, match="vm_state building"):
        await gateway.attach_volume(made, there, NONE)


async def test_what_is_gone_is_looked_for_again(gateway, endpoint) -> None:
    there = await machine(gateway)
    made = await gateway.create_volume(asked(there))
    await gateway.terminate(there)
    with pytest.raises(Transient, match="no machine"):
        await gateway.attach_volume(made, there, NONE)

    endpoint.project.cinder.disks.clear()
    for change in (
        gateway.attach_volume(made, await machine(gateway, 2), NONE),
        gateway.retag_volume(made, made.tags),
    ):
        with pytest.raises(Transient, match="is not there"):
            await change


@pytest.mark.parametrize(
    ("status", "free", "held"),
    [
        ("creating", VolumeState.CREATING, VolumeState.ATTACHED),
        ("downloading", VolumeState.CREATING, VolumeState.ATTACHED),
        ("available", VolumeState.AVAILABLE, VolumeState.ATTACHED),
        ("in-use", VolumeState.CHANGING, VolumeState.ATTACHED),
        ("detaching", VolumeState.CHANGING, VolumeState.CHANGING),
        ("maintenance", VolumeState.CHANGING, VolumeState.ATTACHED),
        ("backing-up", VolumeState.CHANGING, VolumeState.ATTACHED),
        ("a-new-one", VolumeState.CHANGING, VolumeState.ATTACHED),
        ("error", VolumeState.FAILED, VolumeState.ATTACHED),
        ("error_deleting", VolumeState.FAILED, VolumeState.ATTACHED),
        ("error_extending", VolumeState.FAILED, VolumeState.ATTACHED),
    ],
)
async def test_words_of_cinder_are_told_by_what_can_be_done(
    gateway, endpoint, status, free, held
) -> None:
    there = await machine(gateway)
    await gateway.create_volume(asked(there))
    disk(endpoint).status = status
    assert [volume.state for volume in await listed(gateway)] == [free]

    disk(endpoint).server = there.id.id
    assert [volume.state for volume in await listed(gateway)] == [held]


async def test_a_volume_that_could_not_be_deleted_is_told_of_and_left_to_people(
    gateway, endpoint
) -> None:
    made = await gateway.create_volume(asked(await machine(gateway)))
    endpoint.project.cinder.unlucky = "error_deleting"
    await gateway.delete_volume(made)

    [failed] = await listed(gateway)
    assert failed.state is VolumeState.FAILED
    with pytest.raises(Stalled, match="status must be available or error"):
        await gateway.delete_volume(failed)


async def test_a_volume_in_maintenance_is_retagged_later(gateway, endpoint) -> None:
    made = await gateway.create_volume(asked(await machine(gateway)))
    disk(endpoint).status = "maintenance"

    with pytest.raises(Transient, match="must not be 'maintenance'"):
        await gateway.retag_volume(made, replace(made.tags, retain=True))
    with pytest.raises(Transient, match="is changing"):
        await gateway.delete_volume(made)


# Zones.


async def test_a_volume_is_made_in_the_zone_of_its_machine_and_the_next_machine_in_its(
    gateway, endpoint
) -> None:
    endpoint.project.cinder.zones = ["az1", "az2"]
    endpoint.project.attachments.across = False
    first = await machine(gateway, zone="az2")
    volume = await plugged(gateway, first)
    await gateway.retag_volume(volume, replace(volume.tags, retain=True))
    await gateway.terminate(first)
    [free] = await listed(gateway)

    second = await machine(gateway, 2, free.zone)
    again = await gateway.attach_volume(free, second, NONE)

    assert (free.zone, disk(endpoint).zone, second.facts["zone"]) == ("az2", "az2", "az2")
    assert again.machine == second.id.id


@pytest.mark.parametrize("zones", [["nova"], ["ceph"], ["ceph", "tape"]])
async def test_zones_that_volumes_do_not_share_with_machines_are_not_asked_for(
    gateway, endpoint, zones
) -> None:
    endpoint.project.cinder.zones = zones

    volume = await plugged(gateway, await machine(gateway))

    assert (volume.zone, disk(endpoint).zone) == ("", zones[0])


async def test_zones_that_nobody_may_see_are_not_asked_for(gateway, endpoint) -> None:
    refuse(endpoint, "GET /os-availability-zone", Refused(403, "Policy doesn't allow it"))

    assert (await plugged(gateway, await machine(gateway))).zone == ""


async def test_zones_that_went_are_looked_for_again(gateway, endpoint) -> None:
    endpoint.project.cinder.zones = ["az1", "az2"]
    there = await machine(gateway, zone="az2")
    await gateway.create_volume(asked(there, name="first"))
    endpoint.project.cinder.zones = ["az1", "az3"]

    with pytest.raises(Stalled, match="'az2' is invalid"):
        await gateway.create_volume(asked(there))

    assert (await gateway.create_volume(asked(there))).zone == ""


async def test_a_volume_of_another_zone_is_no_use(gateway, endpoint) -> None:
    endpoint.project.cinder.zones = ["ceph"]
    endpoint.project.attachments.across = False

    with pytest.raises(Stalled, match="not in the same availability_zone"):
        await plugged(gateway, await machine(gateway))


# Refusals.


@pytest.mark.parametrize(
    ("limit", "consequence"),
    [
        ({"volumes": 0}, QuotaExceeded),
        ({"gigabytes": 2}, QuotaExceeded),
        ({"largest": 2}, Stalled),
    ],
)
async def test_limits_say_what_to_do_next(gateway, endpoint, limit, consequence) -> None:
    [(name, value)] = limit.items()
    setattr(endpoint.project.cinder, name, value)

    with pytest.raises(consequence):
        await gateway.create_volume(asked(await machine(gateway)))


async def test_who_asks_for_patience_is_given_it(gateway, endpoint) -> None:
    there = await machine(gateway)
    refuse(endpoint, "POST /volumes", Refused(413, "rate-limited", retry_after="7"), 1)

    with pytest.raises(Throttled) as refused:
        await gateway.create_volume(asked(there))

    assert refused.value.retry_after == 7


async def test_a_listing_that_is_a_web_page_is_incomplete(gateway, endpoint) -> None:
    refuse(endpoint, "GET /volumes/detail", Answer(200, HTML, "text/html"))

    listing = await gateway.observe_volumes("lab")

    assert not listing.complete
    assert "instead of an answer of its API" in listing.error


# Where cinder is.


@pytest.mark.parametrize("place", [("", ""), ("volumev2", "/volume/v2/{project}")])
async def test_a_cloud_without_block_storage_has_machines_and_no_volumes(
    endpoint, tmp_path, place
) -> None:
    endpoint.project.keystone.volumes = place
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        able = gateway.capabilities("lab")
        [there] = await make(gateway, batch(1, spec=SPEC))
        with pytest.raises(Stalled, match="no public endpoint of block-storage or volumev3"):
            await gateway.create_volume(asked(there))

    assert Ability.VOLUMES not in able.abilities


@pytest.mark.parametrize("path", ["/volume/v3/{project}", "/volume/v3/{project}/", "/volume"])
async def test_block_storage_is_found_by_its_newer_name(endpoint, tmp_path, path) -> None:
    endpoint.project.keystone.volumes = ("block-storage", path)
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        volume = await plugged(gateway, await machine(gateway))

        assert Ability.VOLUMES in gateway.capabilities("lab").abilities
    assert disk(endpoint).id == volume.id.id
