"""Runs that are remembered."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.builders import NOON, deployment, key, node
from fakes.house import House
from headwater.planning.events import RunEnded
from headwater.planning.status import Phase, RunView
from headwater.reconcile.history import KEPT_RUNS, History

TWO = deployment(node("web", 2))
OTHER = deployment(node("app"), name="blog")


@pytest.fixture
def house() -> House:
    return House()


def history(house: House, name: str = "shop") -> list[tuple[int, str, str]]:
    runs = House.restarted(house).reconciler.publisher.history.of(name)
    return [(run.number, run.result, run.reason) for run in runs]


def last(house: House) -> RunView:
    return house.reconciler.publisher.history.of("shop")[-1]


async def converged(house: House) -> None:
    await house.want(TWO, OTHER)
    await house.rest()


async def test_a_run_is_remembered_once_when_it_comes_to_rest(house):
    await converged(house)
    await house.reconcile()
    run = last(house)

    assert history(house) == [(1, "success", "")]
    assert (run.phase, run.revision, run.instances) == (Phase.READY, "r1", 2)


async def test_the_time_in_each_phase_is_told(house):
    house.machines.held |= {key("web.1"), key("web.2")}
    await house.want(TWO)
    await house.rest()
    house.clock.move(30)
    house.machines.release(key("web.1"))
    house.machines.release(key("web.2"))
    await house.rest()

    told = {each.phase: each.seconds for each in last(house).phases}
    assert next(iter(told)) is Phase.INITIALIZING
    assert (told[Phase.EXECUTING], told[Phase.READY]) == (30.0, 0.0)


async def test_what_is_being_stopped_still_executes(house):
    house.machines.held |= {key("web.1"), key("web.2")}
    await house.want(replace(TWO, lifecycle="test"))
    await house.rest()
    house.people.abort("shop", "enough")
    await house.rest()

    told = [each.phase for each in last(house).phases]
    assert told[-1] is Phase.ABORTED
    assert told.index(Phase.EXECUTING) < told.index(Phase.FINALIZING)


async def test_a_failure_is_remembered_with_its_first_reason_and_a_retry_is_another_run(house):
    house.machines.failing[key("web.2")] = "boom"
    await converged(house)
    house.machines.failing.clear()
    house.people.retry("shop")
    await house.rest()

    reason = "web.2: deploy exited with 7: boom"
    assert history(house) == [(1, "failure", reason), (2, "success", "")]


async def test_a_run_that_another_revision_follows_was_cancelled(house):
    house.machines.held.add(key("web.1"))
    await converged(house)
    await house.want(replace(TWO, execute_timeout=9.0), OTHER, revision="r2")
    house.machines.held.clear()
    await house.reconcile()

    assert history(house) == [(1, "cancelled", "superseded by r2")]
    assert [event.result for event in house.told(RunEnded)] == ["cancelled"]


async def test_a_run_whose_manifest_goes_was_cancelled_and_its_removal_is_a_run(house):
    house.machines.held.add(key("web.1"))
    await converged(house)
    await house.want(OTHER, revision="r2")
    await house.rest()

    assert history(house) == [
        (1, "cancelled", "its manifest was removed"),
        (2, "removed", ""),
    ]


async def test_numbers_go_on_when_a_deployment_comes_back(house):
    await converged(house)
    await house.want(OTHER, revision="r2")
    await house.rest()
    await house.want(TWO, OTHER, revision="r3")
    await house.rest()

    assert [number for number, *_ in history(house)] == [1, 2, 3]


async def test_what_waits_for_an_approval_is_not_over_and_says_later_which_one_it_used(house):
    await converged(house)
    await house.want(deployment(node("web", 0)), OTHER, revision="r2")
    await house.rest()
    before = history(house)
    digest = house.status().blocked.partition("approve ")[2][:16]
    house.people.approve(digest)
    await house.rest()

    assert len(before) == 1
    assert last(house).approvals == (digest,)
    assert last(house).result == "success"


async def test_only_the_last_ones_are_kept(house):
    kept = History(house.ledger)
    for number in range(1, KEPT_RUNS + 3):
        kept.add(RunView("shop", number, "r", Phase.READY, "success", NOON, NOON), NOON)

    assert [run.number for run in kept.of("shop")] == list(range(3, KEPT_RUNS + 3))


async def test_what_is_long_gone_is_forgotten_and_what_is_there_is_not(house):
    await converged(house)
    kept = History(house.ledger)
    kept.add(RunView("gone", 1, "r", Phase.DONE, "removed", NOON, NOON), NOON)
    for days in (30, 31):
        now = NOON + timedelta(days=days)
        kept.add(RunView("new", days, "r", Phase.READY, "success", now, now), now)
        assert len(kept.of("gone")) == (days == 30)

    assert len(kept.of("shop")) == 1


async def test_what_cannot_be_read_is_begun_anew(house):
    house.ledger.set_note("history/shop", [{"number": "one"}])
    house.ledger.set_note("steps/shop", {"x": 1})
    kept = History(house.ledger)

    assert (kept.of("shop"), kept.steps("shop", 1)) == ((), ())
    await converged(house)
    assert history(house) == [(1, "success", "")]


class TestSteps:
    async def steps(
        self, house: House, lifecycle: str = "service"
    ) -> list[tuple[str, str, str, str]]:
        await house.want(replace(TWO, lifecycle=lifecycle))
        await house.rest()
        number = house.ledger.runs["shop"].number
        found = house.reconciler.publisher.history.steps("shop", number)
        return [(each.instance, each.step, each.result, each.message) for each in found]

    @pytest.mark.parametrize("lifecycle", ["service", "test"])
    async def test_what_became_of_each_is_kept_with_the_run(self, house, lifecycle):
        house.machines.failing[key("web.2")] = "boom"

        assert await self.steps(house, lifecycle) == [
            ("web.1", "machine", "passed", ""),
            ("web.1", "deploy", "passed", ""),
            ("web.2", "machine", "passed", ""),
            ("web.2", "deploy", "failed", "deploy exited with 7: boom"),
        ]

    async def test_a_machine_that_never_answered_says_why_nothing_ran(self, house):
        house.machines.refusing[key("web.1")] = "another host key"

        found = await self.steps(house)
        assert found[:2] == [
            ("web.1", "machine", "failed", "another host key"),
            ("web.1", "deploy", "skipped", ""),
        ]

    async def test_those_of_an_earlier_run_are_not_told_for_this_one(self, house):
        await self.steps(house)

        assert house.reconciler.publisher.history.steps("shop", 2) == ()
