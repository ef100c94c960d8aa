"""Volumes through passes, on clouds and machines in memory."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from fakes.builders import STORE, deployment, key, node
from fakes.cloud import FakeClouds
from fakes.house import House
from fakes.store import Disk
from headwater.errors import Stalled, Transient
from headwater.manifests.resolved import ResolvedDeployment, Update, VolumeSpec
from headwater.planning.events import ActionEnded
from headwater.reconcile.stocktaking import leaks
from headwater.reconcile.sweep import sweep
from headwater.topology.machines import Ability, Capabilities
from headwater.topology.volumes import (
    Volume,
    VolumeKey,
    VolumeOrder,
    VolumeState,
    VolumeTags,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ABLE = Capabilities(
    abilities=frozenset({Ability.TAGS, Ability.TOKENS, Ability.PORTS, Ability.VOLUMES})
)
KEPT = replace(STORE, retain=True)
DAY = timedelta(days=1)


def shop(*volumes: VolumeSpec, replicas: int = 1, image: str = "debian") -> ResolvedDeployment:
    return deployment(node("web", replicas, image=image, volumes=volumes))


@pytest.fixture
def house() -> House:
    return House(FakeClouds(ABLE))


def volumes(house: House) -> dict[str, str]:
    """Which machine has each: `{"web.1/store": "m-1"}`; empty for none."""
    there = house.clouds.volumes.there.values()
    return {volume.key.label: volume.machine for volume in there}


def volume(house: House, label: str = "web.1/store") -> Volume:
    (found,) = house.clouds.volumes.of(label)
    return found


async def converged(house: House, wished: ResolvedDeployment, revision: str = "r1") -> House:
    await house.want(wished, revision=revision)
    await house.rest()
    assert house.status().is_ready, house.status()
    return house


async def gone(house: House, revision: str = "r9") -> None:
    """The manifest is removed, another one stays, and all that follows has happened."""
    await house.want(deployment(name="other"), revision=revision)
    await house.rest()


# Made once, and on the machine before its recipes.


async def test_each_instance_gets_a_volume_of_its_own_before_its_recipes_run(house):
    await converged(house, shop(STORE, replicas=2))

    machines = {i: house.machine(key(i)).id.id for i in ("web.1", "web.2")}
    assert volumes(house) == {"web.1/store": machines["web.1"], "web.2/store": machines["web.2"]}
    for _, context in house.machines.lines.values():
        [mount] = context.steps[0].mounts
        assert (context.steps[0].name, mount.name, mount.path) == ("volumes", "store", "/data")
        assert mount.devices
    assert [i for i, _ in house.machines.agents.begun] == [key("web.1"), key("web.2")]


async def test_a_settled_deployment_with_volumes_asks_for_nothing(house):
    await converged(house, shop(STORE))
    house.clouds.gate.clear()  # Any call would hang.
    house.store.writes.clear()

    following = await house.reconcile()

    assert (following.result, house.store.writes) == ("unchanged", [])


async def test_a_controller_without_volumes_never_asks_for_any(house):
    await converged(house, shop())
    await house.look()
    await gone(house)

    assert not house.clouds.volumes.calls


async def test_no_recipe_begins_while_the_volume_is_still_being_made(house):
    house.clouds.volumes.slow = True
    await house.want(shop(STORE))
    await house.rest()
    assert not house.machines.agents.begun
    assert "web.1/store: it is creating" in house.status().diagnostics
    assert house.observer.has_moving_volumes

    made = volume(house)
    house.clouds.volumes.put(replace(made, state=VolumeState.AVAILABLE))
    await house.look()
    await house.rest()

    assert house.status().is_ready
    assert volumes(house) == {"web.1/store": "m-1"}


async def test_a_cloud_without_volumes_is_a_plan_error():
    house = House(FakeClouds())
    await house.want(shop(STORE))
    await house.rest()

    [told] = [c for c in house.status().conditions if c.type == "Stalled"]
    assert told.reason == "Unsupported"
    assert "node web asks for volumes (spec.volumes: store), and cloud local has none" in (
        told.message
    )
    assert house.instances() == []


async def test_several_volumes_are_mounted_in_the_order_of_their_places(house):
    inner = VolumeSpec("inner", 1 << 30, "/data/inner")
    await converged(house, shop(STORE, inner))

    [(_, context)] = house.machines.lines.values()
    devices = [mount.devices for mount in context.steps[0].mounts]
    assert [mount.path for mount in context.steps[0].mounts] == ["/data", "/data/inner"]
    assert len(set(devices)) == 2


# Replaced.


async def test_a_replacement_breaks_before_it_is_made_and_has_the_same_volume(house):
    await converged(house, shop(STORE))
    before = volume(house)

    await house.want(shop(STORE, image="later"), revision="r2")
    await house.rest()

    assert house.instances() == ["web.1#2"]
    assert volume(house).id == before.id
    assert volume(house).machine == house.machine(key("web.1")).id.id
    assert house.clouds.volumes.calls["create"] == 1
    assert house.clouds.volumes.calls["delete"] == 0
    assert house.status().is_ready


async def test_only_as_many_instances_break_as_may_be_unavailable(house):
    wished = replace(shop(STORE, replicas=4), update=Update(max_unavailable=1, max_surge=4))
    await converged(house, wished)
    later = replace(shop(STORE, replicas=4, image="later"), update=wished.update)
    await house.want(later, revision="r2")

    await house.reconcile()

    assert len(house.clouds.terminated) == 1
    assert len(house.clouds.created) == 5


async def test_a_lost_machine_is_repaired_with_the_volume_it_had(house):
    await converged(house, shop(STORE))
    before = volume(house)
    house.clouds.lose(house.machine(key("web.1")).id)
    await house.look()
    await house.rest()
    await house.look()
    await house.rest()

    assert house.instances() == ["web.1#2"]
    assert volume(house).id == before.id
    assert house.status().is_ready


async def test_a_machine_waits_as_long_as_another_one_has_its_volume(house):
    await converged(house, shop(STORE))
    before = volume(house)
    house.clouds.lose(house.machine(key("web.1")).id)
    house.clouds.volumes.put(before)  # the listing of machines lies: it is still there
    await house.look()
    await house.rest()
    await house.look()
    await house.rest()
    assert house.instances() == ["web.1#2"]
    assert f"web.1/store: {before.machine} still has it" in house.status().diagnostics
    assert not house.status().is_ready

    house.clouds.volumes.put(replace(before, state=VolumeState.AVAILABLE, machine="", devices=()))
    await house.look()
    await house.rest()
    assert house.status().is_ready


# Ended.


async def test_a_volume_goes_with_its_instance(house):
    await converged(house, shop(STORE, replicas=2))
    await converged(house, shop(STORE), revision="r2")

    assert volumes(house) == {"web.1/store": "m-1"}
    reasons = [e.reason for e in house.told(ActionEnded) if e.action == "discard"]
    assert reasons == ["its instance web.2 is gone"]


async def test_a_retained_volume_is_there_when_its_instance_comes_back(house):
    await converged(house, shop(KEPT, replicas=2))
    before = volume(house, "web.2/store")
    await converged(house, shop(KEPT), revision="r2")
    assert volume(house, "web.2/store").machine == ""
    [row] = [row for row in house.status().volumes if row.volume == "web.2/store"]
    assert (row.state, row.message) == ("available", "is kept (retain)")

    await converged(house, shop(KEPT, replicas=2), revision="r3")

    again = volume(house, "web.2/store")
    assert again.id == before.id
    assert again.machine == house.machine(key("web.2")).id.id


async def test_a_removed_deployment_leaves_its_retained_volumes_and_nothing_else(house):
    scratch = VolumeSpec("scratch", 1 << 30, "/scratch")
    await converged(house, shop(KEPT, scratch))
    await gone(house)
    assert "shop" not in house.reconciler.statuses
    assert volumes(house) == {"web.1/store": ""}
    assert house.observer.depot.counts("local", ()) == [("available", 1)]
    before = volume(house)

    house = house.restarted()
    await converged(house, shop(KEPT, scratch), revision="r3")

    assert volume(house).id == before.id
    assert set(volumes(house)) == {"web.1/store", "web.1/scratch"}


async def test_a_deployment_is_gone_only_with_its_volumes(house):
    await converged(house, shop(STORE))
    before = volume(house)
    await house.want(deployment(name="other"), revision="r2")
    await house.reconcile()
    house.clouds.volumes.put(before)  # its machine is slow to let it go
    await house.look()
    await house.rest()
    assert "shop" in house.reconciler.statuses

    house.clouds.volumes.put(replace(before, state=VolumeState.AVAILABLE, machine=""))
    await house.look()
    await house.rest()
    assert "shop" not in house.reconciler.statuses
    assert volumes(house) == {}


async def test_a_volume_that_the_manifest_drops_goes_when_no_machine_has_it(house):
    await converged(house, shop(STORE))
    await converged(house, shop(), revision="r2")
    assert volumes(house) == {"web.1/store": "m-1"}
    [row] = house.status().volumes
    assert row.message == "goes when m-1 lets it go"

    await converged(house, shop(image="later"), revision="r3")
    assert volumes(house) == {}


async def test_a_retained_volume_that_the_manifest_drops_is_kept_and_said(house):
    await converged(house, shop(KEPT))
    await converged(house, shop(), revision="r2")
    await converged(house, shop(image="later"), revision="r3")

    assert volumes(house) == {"web.1/store": ""}
    assert [row.message for row in house.status().volumes] == ["is kept (retain)"]


async def test_what_is_retained_from_now_on_says_so_at_its_cloud(house):
    await converged(house, shop(STORE))
    await converged(house, shop(KEPT), revision="r2")
    assert volume(house).tags.retain
    assert house.instances() == ["web.1#1"]

    await gone(house)
    assert volumes(house) == {"web.1/store": ""}


async def test_a_volume_of_another_size_stays_as_it_is_and_says_so(house):
    await converged(house, shop(STORE))
    await converged(house, shop(replace(STORE, size=5 << 30)), revision="r2")

    assert volume(house).size == 3 << 30
    assert [row.message for row in house.status().volumes] == [
        "stays at 3 GiB, although the manifest says 5 GiB"
    ]


async def test_an_added_volume_is_attached_to_the_running_machine_which_mounts_it(house):
    await converged(house, shop())
    await converged(house, shop(STORE), revision="r2")

    assert house.instances() == ["web.1#1"]
    assert volumes(house) == {"web.1/store": "m-1"}
    [(_, context)] = house.machines.lines.values()
    assert [mount.name for mount in context.steps[0].mounts] == ["store"]
    assert len(house.machines.agents.begun) == 2


# Quarantine.


async def test_an_ended_volume_is_kept_for_its_quarantine_and_then_deleted(house):
    house.observer.depot.quarantine = DAY
    await converged(house, shop(STORE))
    await gone(house)
    assert volume(house).tags.ended == house.clock()
    assert house.observer.depot.counts("local", ()) == [("ended", 1)]

    house.clock.move(DAY.total_seconds() - 1)
    await house.look()
    await sweep(house.reconciler.survey)
    assert volumes(house) == {"web.1/store": ""}

    house.clock.move(1)
    await sweep(house.reconciler.survey)
    assert volumes(house) == {}


async def test_what_comes_back_within_its_quarantine_has_its_volume_again(house):
    house.observer.depot.quarantine = DAY
    await converged(house, shop(STORE))
    before = volume(house)
    await gone(house)
    await converged(house, shop(STORE), revision="r3")
    house.clock.move(2 * DAY.total_seconds())
    await house.look()
    await sweep(house.reconciler.survey)

    assert volume(house).id == before.id
    assert volume(house).tags.ended is None


async def test_a_quarantine_does_not_end_what_cannot_be_listed(house):
    house.observer.depot.quarantine = DAY
    await converged(house, shop(STORE))
    await gone(house)
    house.clock.move(2 * DAY.total_seconds())
    house.clouds.volumes.unlistable["local"] = "half of it"
    await house.look()

    await sweep(house.reconciler.survey)

    assert volumes(house) == {"web.1/store": ""}


# What goes wrong.


async def test_a_creation_without_an_answer_is_repeated_as_the_same_order(house):
    lost = VolumeKey(key("web.1"), "store")
    house.clouds.volumes.lost_answers[lost] = Transient("no answer")
    await house.want(shop(STORE))
    await house.rest()
    await house.look()
    await house.rest()

    assert len(house.clouds.volumes.there) == 1
    assert house.status().is_ready


async def test_a_creation_without_an_answer_is_found_by_its_tags_after_a_kill(house):
    lost = VolumeKey(key("web.1"), "store")
    house.clouds.volumes.lost_answers[lost] = Transient("no answer")
    await house.want(shop(STORE))
    await house.rest()
    house = house.restarted()

    await converged(house, shop(STORE))

    assert len(house.clouds.volumes.there) == 1
    assert house.clouds.volumes.calls["create"] == 1


async def test_what_a_cloud_refuses_for_good_fails_the_run_and_says_why(house):
    lost = VolumeKey(key("web.1"), "store")
    house.clouds.volumes.lost_answers[lost] = Stalled("no such size")
    await house.want(shop(STORE))
    await house.rest()

    assert house.status().reason == "web.1: no such size"
    assert not house.machines.agents.begun


async def test_an_incomplete_listing_of_volumes_makes_and_ends_nothing(house):
    house.clouds.volumes.unlistable["local"] = "half of it"
    await house.want(shop(STORE))
    await house.rest()
    assert house.instances() == []
    words = "nothing is created or deleted: the volumes of cloud local could not be listed"
    assert f"{words}: half of it" in house.status().diagnostics

    house.clouds.volumes.unlistable.clear()
    await house.look()
    await house.rest()
    assert house.status().is_ready

    house.clouds.volumes.unlistable["local"] = "half of it"
    await gone(house)
    assert house.instances() == ["web.1#1"]
    assert volumes(house) == {"web.1/store": "m-1"}


async def test_a_volume_that_one_listing_leaves_out_is_not_made_again(house):
    await converged(house, shop(STORE))
    missing = volume(house)
    house.clouds.volumes.omitted.add(missing.id)
    await house.look()
    await house.rest()
    assert house.clouds.volumes.calls["create"] == 1
    assert "web.1/store: it was missing once; looking again" in house.status().diagnostics

    house.clouds.volumes.omitted.clear()
    await house.look()
    await house.rest()
    assert house.status().is_ready
    assert house.clouds.volumes.calls["create"] == 1
    assert len(house.machines.agents.begun) == 1


async def test_a_volume_that_two_listings_miss_is_made_anew_and_mounted(house):
    await converged(house, shop(STORE))
    del house.clouds.volumes.there[volume(house).id]
    await house.look()
    await house.rest()
    await house.look()
    await house.rest()

    assert house.status().is_ready
    [(_, context)] = house.machines.lines.values()
    assert [mount.volume for mount in context.steps[0].mounts] == [volume(house).id.id]
    reasons = [e.reason for e in house.told(ActionEnded) if e.action == "attach"]
    assert reasons == ["new", "repair: the volume is gone"]


async def test_a_volume_missing_from_the_first_listing_after_a_restart_is_not_made_again(house):
    await converged(house, shop(STORE))
    house = house.restarted()
    house.clouds.volumes.omitted.add(volume(house).id)
    await house.want(shop(STORE))
    await house.rest()

    assert house.clouds.volumes.calls["create"] == 1


async def test_a_lost_journal_deletes_no_volume_that_nobody_wants(house):
    await converged(house, shop(STORE, replicas=2))
    house.store.disk.documents.clear()
    house = house.restarted()
    for _ in range(2):
        await house.want(shop(STORE))
        await house.rest()

    assert volumes(house)["web.1/store"] == "m-1"
    assert "web.2/store" in volumes(house)
    [row] = [row for row in house.status().volumes if row.volume == "web.2/store"]
    assert "left alone" in row.message


async def test_a_second_volume_of_the_same_name_is_left_alone_and_said(house):
    await converged(house, shop(STORE))
    first = volume(house)
    house.clouds.volumes.put(
        replace(first, id=replace(first.id, id="v-99"), machine="", state=VolumeState.AVAILABLE)
    )
    await house.look()
    await gone(house)

    assert [v.id.id for v in house.clouds.volumes.there.values()] == ["v-99"]


async def test_a_volume_is_not_looked_for_at_another_cloud(house):
    await converged(house, shop(STORE))
    before = volume(house)
    elsewhere = replace(before, id=replace(before.id, cloud="annexe"), machine="", devices=())
    house.clouds.volumes.there.clear()
    house.clouds.volumes.put(replace(elsewhere, state=VolumeState.AVAILABLE))
    house.observer.depot.watch(["annexe"])
    for _ in range(2):
        await house.observer.refresh(["local", "annexe"])
        await house.rest()

    assert house.clouds.volumes.calls["create"] == 1
    said = "web.1/store: it is at cloud annexe, and cannot come to local"
    assert said in house.status().diagnostics


async def test_a_replacement_is_made_in_the_zone_of_its_volume(house):
    await converged(house, shop(STORE))
    house.clouds.volumes.put(replace(volume(house), zone="west"))
    await house.look()

    await converged(house, shop(STORE, image="later"), revision="r2")

    assert [order.zone for order in house.clouds.created] == ["", "west"]


async def test_a_volume_that_vanished_does_not_answer_for_the_next_one(house):
    await converged(house, shop(STORE))
    tokens: list[str] = []
    create: Callable[[VolumeOrder], Awaitable[Volume]] = house.clouds.create_volume

    async def watched(order: VolumeOrder) -> Volume:
        tokens.append(order.token)
        return await create(order)

    house.clouds.create_volume = watched
    for _ in range(2):
        del house.clouds.volumes.there[volume(house).id]
        for _ in range(2):
            await house.look()
            await house.rest()

    assert house.status().is_ready
    assert len(set(tokens)) == 2


async def test_volumes_alone_are_no_deployment(house):
    await converged(house, shop(KEPT))
    await gone(house)
    house.events.clear()

    following = await house.reconcile()

    assert (following.result, house.events) == ("unchanged", [])
    assert "shop" not in house.ledger.runs


class Killed(BaseException):
    """As when the kernel ends the controller."""


async def test_killed_at_any_of_its_writes_the_controller_doubles_and_loses_no_volume():
    """From the first order over a replacement to the removal; it goes on where it was."""
    count = 0
    while True:
        disk, wrote = Disk(), count
        house = House(FakeClouds(ABLE), disk=disk)
        killed = False
        for wish, revision in (
            (shop(STORE), "r1"),
            (shop(STORE, image="later"), "r2"),
            (None, "r3"),
        ):
            wrote, was = await _interrupted(house, wish, revision, wrote)
            killed |= was
            house = House(house.clouds, house.machines.agents, disk) if was else house
            if was:
                await _wish(house, wish, revision)
            made = house.clouds.volumes
            if wish is not None:
                assert house.status().is_ready
                assert len(made.there) == 1, (count, revision)
                assert made.calls["delete"] == 0, (count, revision)
                assert volume(house).machine == house.machine(key("web.1")).id.id
        assert house.clouds.volumes.there == {}, count
        if not killed:
            assert count > 20
            return
        count += 1


async def _wish(house: House, wish: ResolvedDeployment | None, revision: str) -> None:
    for _ in range(3):
        await house.want(*([wish] if wish else []), deployment(name="other"), revision=revision)
        await house.rest()


async def _interrupted(
    house: House,
    wish: ResolvedDeployment | None,
    revision: str,
    writes: int,
) -> tuple[int, bool]:
    """After so many writes the controller is killed; what is left of them, and whether it was."""
    left, save = [writes], house.store.save

    def dying(key: str, document: str | None) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        save(key, document)

    house.store.save = dying  # type: ignore[method-assign]
    try:
        await _wish(house, wish, revision)
    except Killed:
        return 10**6, True
    except BaseExceptionGroup as group:
        if group.subgroup(Killed) is None:
            raise
        return 10**6, True
    finally:
        house.store.save = save  # type: ignore[method-assign]
    return left[0], False


async def test_leaks_are_counted_on_the_second_sight_and_left_alone(house):
    await converged(house, shop(STORE))
    stray = VolumeTags("house", VolumeKey(key("db.1", "gone"), "store"))
    first = volume(house)
    house.clouds.volumes.put(
        replace(first, id=replace(first.id, id="v-9"), tags=stray, machine="", devices=())
    )
    depot, wanted = house.observer.depot, house.reconciler.wanted
    await house.look()
    once = leaks(depot, house.ledger, wanted)
    await house.look()
    twice = leaks(depot, house.ledger, wanted)
    await sweep(house.reconciler.survey)

    assert (list(once), [id.id for id in twice]) == ([], ["v-9"])
    assert dict(depot.counts("local", twice))["leaked"] == 1
    assert len(house.clouds.volumes.there) == 2
