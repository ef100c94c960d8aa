"""Tests and deployments with an end of their own, on a world in memory."""

from dataclasses import replace

import pytest

from fakes.builders import deployment, key, node
from fakes.house import House
from headwater.errors import Refused, Transient
from headwater.manifests.resolved import Keep, ResolvedDeployment
from headwater.planning.events import RunEnded
from headwater.planning.status import Phase
from headwater.reconcile.safety import Suspension

SERVICE = deployment(node("web", 2))
TEST = replace(SERVICE, lifecycle="test")
HOUR = 3600.0


def kept(policy: str, seconds: float | None = None) -> ResolvedDeployment:
    return replace(TEST, keep=Keep(policy, seconds))


@pytest.fixture
def house() -> House:
    return House()


async def ended(house: House, wished: ResolvedDeployment = TEST, *, well: bool = True) -> House:
    if not well:
        house.machines.failing[key("web.2")] = "boom"
    await house.want(wished)
    await house.rest()
    return house


def results(house: House) -> list[str]:
    return [run.result for run in house.reconciler.publisher.history.of("shop")]


def contexts(house: House) -> int:
    return len(house.machines.agents.begun)


class TestOfATest:
    async def test_one_that_passes_takes_its_machines_away_and_is_done(self, house):
        await ended(house)
        status = house.status()

        assert (status.phase, status.verdict) == (Phase.DONE, "passed")
        assert (status.is_ready, status.at_rest) == (True, True)
        assert house.instances() == []
        assert [event.result for event in house.told(RunEnded)] == ["success"]

    async def test_one_that_fails_takes_its_machines_away_and_is_aborted(self, house):
        await ended(house, well=False)
        status = house.status()

        assert (status.phase, status.verdict) == (Phase.ABORTED, "failed")
        assert status.condition("Stalled").message == "web.2: deploy exited with 7: boom"
        assert house.instances() == []
        assert [event.result for event in house.told(RunEnded)] == ["failure"]

    async def test_what_is_over_makes_nothing_again(self, house):
        await ended(house)
        house.events.clear()
        before = contexts(house)
        await house.want(TEST, revision="r2")
        following = await house.rest()

        assert (contexts(house), house.instances()) == (before, [])
        assert (following.result, following.again) == ("unchanged", None)

    async def test_a_kept_machine_that_is_lost_is_not_repaired(self, house):
        await ended(house, kept("always"))
        house.clouds.lose(house.machine(key("web.1")).id)
        await house.look()
        await house.look()
        await house.rest()

        assert house.instances() == ["web.2#1"]
        assert house.status().verdict == "passed"

    async def test_before_the_verdict_a_lost_machine_is_repaired(self, house):
        house.machines.held.add(key("web.2"))
        await ended(house)
        house.clouds.lose(house.machine(key("web.1")).id)
        await house.look()
        await house.look()
        await house.rest()

        assert house.instances() == ["web.1#2", "web.2#1"]
        house.machines.release(key("web.2"))
        await house.rest()
        assert house.status().verdict == "passed"

    async def test_a_commit_that_changes_it_runs_it_again_and_no_other_one(self, house):
        await ended(house)
        await house.want(replace(TEST, execute_timeout=60.0), revision="r2")
        await house.rest()

        assert contexts(house) == 4
        assert results(house) == ["success", "success"]
        assert house.status().attempted_revision == "r2"

    async def test_a_retry_runs_the_whole_of_it_again_on_new_machines(self, house):
        await ended(house, kept("always"))
        before = house.instances()
        house.people.retry("shop")
        await house.rest()

        assert before == ["web.1#1", "web.2#1"]
        assert house.instances() == ["web.1#2", "web.2#2"]
        assert contexts(house) == 4

    async def test_a_test_of_another_revision_begins_on_new_machines_too(self, house):
        await ended(house, kept("always"))
        await house.want(replace(kept("always"), execute_timeout=60.0), revision="r2")
        await house.rest()

        assert house.instances() == ["web.1#2", "web.2#2"]

    async def test_its_end_needs_no_approval_although_it_is_protected(self, house):
        await ended(house, replace(TEST, protect=True))

        assert house.instances() == []
        assert not house.status().blocked

    async def test_one_that_is_suspended_does_not_end(self, house):
        house.machines.held.add(key("web.2"))
        await ended(house)
        house.reconciler.safety.suspend("shop", Suspension("lunch", "Ada"))
        house.machines.release(key("web.2"))
        await house.rest()
        there = house.instances()
        house.people.resume("shop")
        await house.rest()

        assert there == ["web.1#1", "web.2#1"]
        assert (house.instances(), house.status().verdict) == ([], "passed")

    async def test_an_abort_ends_it_with_its_reason(self, house):
        house.machines.held.add(key("web.1"))
        await ended(house)
        house.people.abort("shop", "lunch time")
        await house.rest()

        assert (house.status().verdict, house.status().reason) == ("failed", "lunch time")
        assert house.instances() == []

    async def test_what_is_over_is_not_aborted(self, house):
        await ended(house)

        with pytest.raises(Refused, match="over"):
            house.people.abort("shop", "late")

    async def test_the_verdict_and_its_end_survive_a_restart(self, house):
        await ended(house, kept("on-error", HOUR), well=False)
        again = house.restarted()
        again.clock.now = house.clock.now
        await again.want(kept("on-error", HOUR))
        following = await again.rest()

        assert (again.status().verdict, again.instances()) == ("failed", ["web.1#1", "web.2#1"])
        assert following.again == HOUR
        again.clock.move(HOUR)
        await again.rest()
        assert again.instances() == []

    async def test_a_machine_that_does_not_stop_holds_the_end_up_for_a_while_only(self, house):
        house.machines.held.add(key("web.1"))
        await ended(house)
        house.machines.stop_steps = lambda *_: None
        house.people.abort("shop", "enough")
        following = await house.rest()

        assert (house.status().verdict, following.again) == ("", 30.0)
        house.clock.move(30.0)
        following = await house.rest()
        assert (house.status().verdict, house.instances()) == ("failed", ["web.1#1"])
        house.clock.move(following.again)  # What it may take for its report.
        await house.rest()
        assert house.instances() == []


@pytest.mark.parametrize(
    ("policy", "well", "stay"),
    [
        ("never", True, False),
        ("never", False, False),
        ("always", True, True),
        ("always", False, True),
        ("on-success", True, True),
        ("on-success", False, False),
        ("on-error", True, False),
        ("on-error", False, True),
    ],
)
async def test_machines_stay_by_the_keep_policy_for_its_time(house, policy, well, stay):
    await ended(house, kept(policy, 2 * HOUR), well=well)
    left = 2 if stay else 0
    following = await house.rest()

    assert len(house.instances()) == left
    assert following.again == (2 * HOUR if stay else None)
    house.clock.move(2 * HOUR)
    await house.rest()
    assert house.instances() == []
    assert house.status().phase is (Phase.DONE if well else Phase.ABORTED)


async def test_a_person_may_have_machines_kept_whatever_the_manifest_says(house):
    house.machines.held.add(key("web.2"))
    await ended(house)
    number = house.people.test("shop", keep=True)
    house.machines.release(key("web.2"))
    await house.rest()

    assert number == 1
    assert house.instances() == ["web.1#1", "web.2#1"]
    assert house.people.test("shop", keep=False) == 2
    await house.rest()
    assert house.instances() == []


class TestOfATtl:
    LIVES = replace(SERVICE, ttl=HOUR)

    async def test_its_machines_go_when_its_time_is_up(self, house):
        await house.want(self.LIVES)
        following = await house.rest()
        house.clock.move(HOUR)
        await house.rest()
        status = house.status()

        assert following.again == HOUR
        assert (status.phase, status.verdict, house.instances()) == (Phase.DONE, "expired", [])
        assert status.condition("Ready").message == (
            "expired at 2030-01-01 13:00:00 UTC (ttl 3600 s)"
        )
        assert not status.is_ready
        assert status.at_rest

    async def test_the_next_commit_that_changes_it_brings_it_back(self, house):
        await house.want(self.LIVES)
        await house.rest()
        house.clock.move(HOUR)
        await house.rest()
        await house.want(self.LIVES, revision="r2")
        await house.rest()
        same = house.instances()
        await house.want(replace(self.LIVES, execute_timeout=9.0), revision="r3")
        await house.rest()

        assert same == []
        assert house.instances() == ["web.1#2", "web.2#2"]
        assert house.status().verdict == ""

    async def test_its_deadline_survives_a_restart(self, house):
        await house.want(self.LIVES)
        await house.rest()
        again = house.restarted()
        again.clock.move(HOUR - 10)
        await again.want(self.LIVES)
        following = await again.rest()

        assert following.again == 10
        again.clock.move(10)
        await again.rest()
        assert again.instances() == []

    async def test_a_protected_one_waits_for_an_approval(self, house):
        await house.want(replace(self.LIVES, protect=True))
        await house.rest()
        house.clock.move(HOUR)
        await house.rest()

        assert len(house.instances()) == 2
        assert "protected" in house.status().blocked

    async def test_a_test_whose_time_is_up_goes_although_it_is_kept(self, house):
        await ended(house, replace(kept("always"), ttl=HOUR))
        house.clock.move(HOUR)
        await house.rest()

        assert (house.instances(), house.status().verdict) == ([], "expired")

    async def test_a_run_that_is_not_over_by_then_has_expired(self, house):
        house.machines.held.add(key("web.1"))
        await house.want(self.LIVES)
        await house.rest()
        house.clock.move(HOUR)
        await house.rest()

        assert results(house) == ["expired"]

    async def test_numbers_beyond_every_calendar_never_come(self, house):
        await house.want(replace(SERVICE, ttl=86400.0 * 999_999_999))
        await house.rest()

        assert house.status().is_ready


class TestOfDeadlines:
    async def test_a_test_fails_when_no_machine_comes_up_in_its_time(self, house):
        await self.refused(house, TEST)
        status = house.status()

        assert (status.verdict, status.reason) == ("failed", "web.1: no machine within 600 s")
        assert house.instances() == []

    async def test_a_service_waits_for_its_machines_as_long_as_it_takes(self, house):
        await self.refused(house, SERVICE)
        await house.rest()

        assert house.status().is_ready

    async def test_a_test_goes_on_without_those_that_may_be_missing(self, house):
        tolerant = deployment(replace(node("web", 2), tolerate_failures=1))
        await self.refused(house, replace(tolerant, lifecycle="test"))

        assert (house.status().verdict, house.status().reason) == ("passed", "")

    async def refused(self, house: House, wished: ResolvedDeployment) -> None:
        """web.1 cannot be made, for as long as machines may take to come."""
        for seconds in (0, wished.provision_timeout):
            house.clock.move(seconds)
            house.clouds.refused[key("web.1")] = Transient("no answer")
            await house.want(wished)
            await house.rest()

    async def test_an_agent_that_tells_no_end_fails_the_run_after_the_execute_timeout(self, house):
        house.machines.held.add(key("web.1"))
        wished = replace(SERVICE, execute_timeout=100.0)
        await house.want(wished)
        following = await house.rest()
        house.clock.move(160.0)
        await house.rest()

        assert following.again == 160.0
        assert house.status().condition("Stalled").message == (
            "web.1: deploy told no end within 100 s and 60 s more: its agent is silent"
        )
