"""What people have said about safety, over passes, commits and restarts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fakes.builders import NOON, deployment, desired, key, node, run, situation
from fakes.house import Clock, House
from fakes.store import Disk, MemoryStore
from headwater.errors import Transient
from headwater.manifests.resolved import ResolvedDeployment, Update
from headwater.planning.planner import Plan
from headwater.planning.records import next_run
from headwater.planning.situation import Fleet
from headwater.planning.status import Condition
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.safety import KEPT_APPROVALS, Safety, Suspension
from headwater.topology.machines import MachineState

BLOG = deployment(node("app"), name="blog")


class Desk:
    """Safety on a disk; `restarted` is another process on the same one."""

    def __init__(self, disk: Disk | None = None, clock: Clock | None = None) -> None:
        self.disk = disk or Disk()
        self.clock = clock or Clock()
        self.ledger = Ledger(MemoryStore(self.disk))
        self.safety = Safety(self.ledger, self.clock, "2")

    def restarted(self) -> "Desk":
        return Desk(self.disk, self.clock)

    def weighed(self, name: str = "shop", **of_run: Any) -> Any:
        here = replace(situation(desired(name=name)), run=replace(run(), **of_run))
        return self.safety.weigh(here, Fleet(5, 2))

    def together(self, name: str) -> set[str]:
        return set(self.weighed(name).fleet.removed)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def shop(replicas: int, *, orphan: bool = False, **rest: Any) -> ResolvedDeployment:
    policy = "orphan" if orphan else "delete"
    return replace(deployment(node("web", replicas)), deletion_policy=policy, **rest)


class TestApprovals:
    def test_they_survive_a_restart(self, desk):
        desk.safety.approve(["a" * 16])

        assert desk.restarted().weighed().approvals == {"a" * 16}

    def test_the_newest_are_kept(self, desk):
        desk.safety.approve([f"{n:016x}" for n in range(KEPT_APPROVALS + 5)])
        kept = desk.restarted().weighed().approvals

        assert len(kept) == KEPT_APPROVALS
        assert f"{KEPT_APPROVALS + 4:016x}" in kept
        assert f"{0:016x}" not in kept

    def test_what_an_approval_has_let_through_is_asked_for_again_the_next_time(self, desk):
        desk.safety.approve(["a" * 16, "b" * 16])
        desk.safety.spend(Plan("shop", (), approval="a" * 16, approved=frozenset({"to_zero"})))

        assert desk.restarted().weighed().approvals == {"b" * 16}

    def test_a_run_remembers_what_was_approved_and_the_next_one_does_not(self, desk):
        plan = Plan("shop", (), approval="a" * 16, approved=frozenset({"to_zero"}))
        after = desk.safety.remember(run(), desired(), plan)

        assert after.approved == {"to_zero"}
        assert next_run(after, "r2", "d2", NOON).approved == frozenset()


class TestRemoved:
    def test_what_one_revision_removes_is_a_group_until_it_is_gone(self, desk):
        desk.safety.removed(["shop", "blog"], "r1")
        desk.safety.came_back(["shop"])
        desk.safety.removed(["blog"], "r2")
        again = desk.restarted()
        again.safety.removed(["blog"], "r2")

        assert again.together("blog") == {"shop", "blog"}

    def test_one_after_the_other_are_two_groups(self, desk):
        desk.safety.removed(["shop"], "r1")
        desk.safety.removed(["shop", "blog"], "r2")

        assert desk.together("shop") == {"shop"}
        assert desk.together("blog") == {"blog"}

    def test_what_is_found_later_joins_the_group_of_its_revision(self, desk):
        desk.safety.removed(["shop"], "r1")
        desk.restarted().safety.removed(["shop", "blog"], "r1")
        again = desk.restarted()

        assert again.together("shop") == again.together("blog") == {"shop", "blog"}

    def test_a_deployment_that_comes_back_and_goes_again_is_a_group_of_its_own(self, desk):
        desk.safety.removed(["shop", "blog"], "r1")
        desk.safety.came_back(["shop", "blog"])
        desk.safety.removed(["shop"], "r3")

        assert desk.together("shop") == {"shop"}


class TestShrinking:
    def test_what_is_left_of_a_revision_s_losses_does_not_make_them_smaller(self, desk):
        desk.safety.shrinks("r1", 12)
        desk.restarted().safety.shrinks("r1", 3)

        assert desk.restarted().weighed().fleet.lost == 12

    def test_another_revision_is_counted_anew(self, desk):
        desk.safety.shrinks("r1", 12)
        desk.safety.shrinks("r2", 3)

        assert desk.weighed().fleet.lost == 3


class TestUpgrade:
    def test_the_run_of_another_version_is_looked_at_twice(self, desk):
        assert desk.weighed(version="1").upgraded
        assert not desk.weighed(version="2").upgraded

    def test_a_new_deployment_was_upgraded_from_nothing(self, desk):
        assert not desk.weighed(version="").upgraded

    @pytest.mark.parametrize(
        "unfinished",
        [
            Plan("shop", (), blocked="waits"),
            Plan("shop", (), held=("nothing is created or deleted: the listing is incomplete",)),
            Plan("shop", (), held=("suspended: wait (by ada)",)),
        ],
    )
    def test_it_is_not_over_with_a_plan_that_leaves_something_for_later(self, desk, unfinished):
        before = replace(run(), version="1")

        assert desk.safety.remember(before, desired(), unfinished).version == "1"

    def test_an_aborted_run_does_not_end_it(self, desk):
        before = replace(run(abort="enough"), version="1")

        assert desk.safety.remember(before, desired(), Plan("shop", ())).version == "1"

    def test_it_is_over_with_a_whole_plan(self, desk):
        before = replace(run(), version="1")

        assert desk.safety.remember(before, desired(), Plan("shop", ())).version == "2"


class TestSuspension:
    def test_it_says_why_who_and_until_when_also_after_a_restart(self, desk):
        until = NOON + timedelta(hours=1)
        desk.safety.suspend("shop", Suspension("maintenance", "ada", until))

        assert desk.restarted().weighed().suspended == (
            "maintenance (by ada, until 2030-01-01 13:00)"
        )
        assert desk.restarted().weighed("blog").suspended == ""

    def test_it_ends_by_itself_at_its_time_and_not_before(self, desk):
        desk.safety.suspend("shop", Suspension("wait", "ada", NOON + timedelta(seconds=60)))
        desk.clock.move(59.0)
        before = desk.safety.ends_in("shop"), desk.weighed().suspended
        desk.clock.move(1.0)

        assert before == (1.0, "wait (by ada, until 2030-01-01 12:01)")
        assert desk.weighed().suspended == ""

    def test_one_without_an_end_stays(self, desk):
        desk.safety.suspend("shop", Suspension("wait", "ada"))
        desk.clock.move(1e8)

        assert desk.weighed().suspended == "wait (by ada)"
        assert desk.safety.ends_in("shop") is None

    def test_one_that_cannot_be_read_any_more_still_holds(self, desk):
        desk.ledger.set_note("suspension/shop", {"reasons": 3})

        assert desk.restarted().weighed().suspended != ""
        assert desk.safety.resume("shop")
        assert desk.weighed().suspended == ""


async def converged(wished: ResolvedDeployment, house: House | None = None) -> House:
    house = house or House()
    await house.want(wished)
    await house.rest()
    assert house.status().is_ready
    return house


async def after(house: House, *wished: ResolvedDeployment, revision: str = "r2") -> House:
    await house.want(*wished, revision=revision)
    await house.rest()
    return house


def digest(house: House, name: str = "shop") -> str:
    return house.status(name).blocked.partition("approve ")[2][:16]


def condition(house: House) -> Condition:
    (ready,) = [each for each in house.status().conditions if each.type == "Ready"]
    return ready


def web(*numbers: str) -> list[str]:
    return [f"web.{number}" for number in numbers]


class TestPasses:
    async def test_an_approved_scale_down_goes_on_through_failures_and_restarts(self):
        house = await after(await converged(shop(4)), shop(1))
        kept = house.instances()
        for machine in house.clouds.present():
            if machine.key.index > 2:
                house.clouds.unterminable[machine.id] = Transient("503")
        house.people.approve(digest(house))
        await house.reconcile()
        some = house.instances()
        house.clouds.unterminable.clear()
        again = await after(house.restarted(), shop(1))

        assert kept == web("1#1", "2#1", "3#1", "4#1")
        assert some == web("1#1", "3#1", "4#1")
        assert again.instances() == web("1#1")
        assert again.status().is_ready

    async def test_the_same_loss_another_time_waits_again(self):
        house = await after(await converged(shop(4)), shop(1))
        house.people.approve(digest(house))
        await house.rest()
        await after(house, shop(4), revision="r3")
        there = house.instances()
        await after(house, shop(1), revision="r4")

        assert len(there) == 4
        assert house.instances() == there
        assert house.status().blocked != ""

    async def test_growing_again_after_a_scale_down_is_no_loss(self):
        house = await after(await converged(shop(6)), shop(3))
        await after(house, shop(6), revision="r3")

        assert house.status().is_ready
        assert house.instances() == web("1#1", "2#1", "3#1", "4#2", "5#2", "6#2")

    async def test_a_replacement_that_could_not_be_made_is_no_loss(self):
        """All were ended first, as the manifest allows, and the cloud refused their successors."""
        at_once = Update(max_surge=0, max_unavailable="100%")
        house = await converged(shop(3, update=at_once))
        for number in (1, 2, 3):
            house.clouds.refused[key(f"web.{number}")] = Transient("503")
        image = replace(deployment(node("web", 3, image="debian-13")), update=at_once)
        await house.want(image, revision="r2")
        await house.reconcile()
        there = house.instances()
        await house.rest()

        assert there == []
        assert house.instances() == web("1#2", "2#2", "3#2")

    async def test_machines_that_vanished_are_repaired_once_somebody_approves(self):
        house = await converged(shop(3))
        for machine in list(house.clouds.present()):
            house.clouds.lose(machine.id)
        for _ in range(2):
            await house.look()
            await house.rest()
        there, why = house.instances(), house.status().blocked
        house.clouds.refused[key("web.1")] = Transient("503")
        house.clouds.refused[key("web.2")] = Transient("503")
        house.people.approve(digest(house))
        first = await house.rest()
        await house.rest()

        assert first.failed
        assert (there, "3 machines vanished at once" in why) == ([], True)
        assert house.instances() == web("1#2", "2#2", "3#2")

    async def test_a_listing_that_lies_for_a_while_makes_nothing_twice(self):
        house = await converged(shop(3))
        house.clouds.omitted = {machine.id for machine in house.clouds.present()}
        for _ in range(4):
            await house.look()
            await house.rest()
        house.clouds.omitted.clear()
        await house.look()
        await house.rest()

        assert house.instances() == web("1#1", "2#1", "3#1")
        assert house.status().is_ready

    async def test_a_suspended_deployment_is_neither_scaled_repaired_nor_removed(self):
        house = await converged(shop(3))
        house.people.suspend("shop", "an exam", "ada", "")
        await after(house, shop(2))
        scaled, extra = house.instances(), condition(house)
        house.clouds.become(house.machine(key("web.1")).id, MachineState.FAILED)
        await house.look()
        await house.rest()
        repaired = house.instances()
        await after(house, BLOG, revision="r3")

        assert scaled == repaired == house.instances() == web("1#1", "2#1", "3#1")
        assert (extra.status, extra.message) == (False, "1 to remove")
        assert not house.status().is_ready
        house.people.resume("shop")
        await house.rest()
        assert house.instances() == []

    async def test_an_orphan_s_machines_outlive_its_manifest_a_restart_and_a_lying_listing(self):
        house = await after(await converged(shop(2, orphan=True)))
        house = await after(house.restarted())
        house.clouds.omitted = {machine.id for machine in house.clouds.present()}
        for _ in range(3):
            await house.look()
            await house.reconcile()
        house.clouds.omitted.clear()
        for _ in range(3):
            await house.look()
            await house.rest()

        assert house.instances() == web("1#1", "2#1")
        assert condition(house).reason == "Orphaned"

    async def test_a_protected_deployment_is_so_in_the_first_pass_without_a_memory(self):
        house = await converged(shop(2))
        forgetful = House(house.clouds, house.machines.agents)
        await forgetful.want(shop(1, protect=True), revision="r2")
        await forgetful.rest()

        assert forgetful.instances() == web("1#1", "2#1")
        assert "protected" in forgetful.status().blocked

    @pytest.mark.parametrize("said", ["protect", "orphan"])
    async def test_what_the_manifest_said_outlives_manifest_and_journal_together(self, said):
        house = await converged(shop(2, protect=said == "protect", orphan=said == "orphan"))
        forgetful = House(house.clouds, house.machines.agents)
        for _ in range(3):
            await forgetful.want(BLOG, revision="r2")
            await forgetful.rest()

        assert forgetful.instances() == web("1#1", "2#1")
        shown = forgetful.status()
        if said == "orphan":
            assert condition(forgetful).reason == "Orphaned"
        else:
            assert "2 instances are protected from this" in shown.blocked

    async def test_a_removed_deployment_is_gone_when_two_listings_lack_it_and_not_one(self):
        house = await converged(shop(2))
        house.clouds.omitted = {machine.id for machine in house.clouds.present()}
        await house.want(BLOG, revision="r2")
        first = await house.reconcile()
        await house.look()
        second = await house.reconcile()

        assert (first.result, first.again, second.result) == ("waiting", 1.0, "removed")

    async def test_a_removed_deployment_is_not_gone_while_its_cloud_cannot_be_listed(self):
        house = (await converged(shop(2))).restarted()
        house.clouds.unlistable["local"] = "503"
        await after(house, shop(2))
        await house.want(BLOG, revision="r3")
        following = await house.rest()

        assert following.result != "removed"
        assert "shop" in house.reconciler.statuses
