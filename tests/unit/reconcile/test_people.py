"""What people may ask for, and what they are answered."""

import pytest

from fakes.builders import deployment, key, node
from fakes.house import House
from headwater.errors import Refused

TWO, NONE_LEFT = deployment(node("web", 2)), deployment(node("web", 0))


@pytest.fixture
async def house() -> House:
    house = House()
    await house.want(TWO)
    await house.rest()
    return house


async def blocked(house: House) -> str:
    """The digest that the guard asks for, after a commit that asks for nothing any more."""
    await house.want(NONE_LEFT, revision="r2")
    await house.rest()
    return house.status().blocked.partition("approve ")[2][:16]


def due(house: House) -> str | None:
    """Who is looked at next, without being asked again."""
    return house.dispatch.agenda.take(float("inf"))


async def failed(house: House) -> House:
    house.machines.failing[key("web.1")] = "boom"
    await house.want(deployment(node("web", 2, deploy="#!/bin/sh\nboom\n")), revision="r2")
    await house.rest()
    return house


class TestApprove:
    async def test_the_plan_that_waits_for_it_goes_on(self, house):
        digest = await blocked(house)
        said = house.people.approve(digest)

        assert said == f"{digest} is approved; shop goes on"
        assert due(house) == "shop"
        await house.rest()
        assert house.instances() == []
        assert house.status().is_ready

    async def test_an_approval_may_come_before_its_plan(self, house):
        early = House()
        await early.want(TWO)
        await early.rest()
        said = early.people.approve(await blocked(house))
        await blocked(early)

        assert said.endswith("no plan waits for it at present")
        assert early.instances() == []

    async def test_one_for_another_plan_moves_nothing(self, house):
        await blocked(house)
        said = house.people.approve("0123456789abcdef")
        await house.rest()

        assert said.endswith("no plan waits for it at present")
        assert due(house) is None
        assert len(house.instances()) == 2

    @pytest.mark.parametrize("digest", ["", "shop", "0123456", "0123456789ABCDEF", "a" * 17])
    async def test_what_can_be_no_digest_is_refused(self, house, digest):
        with pytest.raises(Refused, match="is no digest of a plan; `headwater plan` shows them"):
            house.people.approve(digest)

    async def test_a_plan_that_waits_in_an_aborted_run_goes_on_too(self, house):
        digest = await blocked(house)
        house.people.abort("shop", "enough")
        await house.rest()
        said = house.people.approve(digest)
        await house.rest()

        assert said.endswith("shop goes on")
        assert house.instances() == []


class TestSuspend:
    async def test_it_says_why_who_and_until_when(self, house):
        said = house.people.suspend("shop", "an exam", "ada", "2030-01-01T15:00+01:00")

        assert said == "shop is suspended: an exam (by ada, until 2030-01-01 15:00)"
        assert due(house) == "shop"

    async def test_its_status_says_so_and_is_at_rest(self, house):
        house.people.suspend("shop", "an exam", "ada", "")
        await house.rest()

        assert house.status().suspended == "an exam (by ada)"
        assert house.status().at_rest

    async def test_the_next_look_is_at_its_end(self, house):
        house.people.suspend("shop", "an exam", "ada", "2030-01-01T12:01Z")
        following = await house.reconcile()

        assert following.again == 60.0

    @pytest.mark.parametrize(("reason", "by"), [("", "ada"), ("an exam", "")])
    async def test_one_without_a_reason_or_a_name_is_refused(self, house, reason, by):
        with pytest.raises(Refused, match="a reason and a name"):
            house.people.suspend("shop", reason, by, "")

    @pytest.mark.parametrize("until", ["tomorrow", "2030-01-01T13:00", "13:00"])
    async def test_an_end_is_a_time_with_a_zone(self, house, until):
        with pytest.raises(Refused, match="is no time with a zone, such as 2026-12-01T08:00"):
            house.people.suspend("shop", "an exam", "ada", until)

    async def test_an_end_that_has_passed_is_refused(self, house):
        with pytest.raises(Refused, match="2030-01-01T12:00Z has passed"):
            house.people.suspend("shop", "an exam", "ada", "2030-01-01T12:00Z")

    async def test_a_resumed_one_goes_on(self, house):
        house.people.suspend("shop", "an exam", "ada", "")
        due(house)
        house.dispatch.agenda.done("shop", 0.0)

        assert house.people.resume("shop") == "shop goes on"
        assert due(house) == "shop"
        assert house.people.resume("shop") == "shop was not suspended"


class TestRetryAndAbort:
    async def test_what_has_failed_is_tried_again(self, house):
        await failed(house)
        house.machines.failing.clear()
        said = house.people.retry("shop")
        await house.rest()

        assert said == "shop: trying again"
        assert house.status().is_ready

    async def test_what_has_not_failed_is_left_alone(self, house):
        assert house.people.retry("shop") == "shop has not failed; nothing to retry"
        assert due(house) is None

    async def test_what_is_under_way_is_not_begun_again(self, house):
        house.machines.held.add(key("web.1"))
        await house.want(deployment(node("web", 2, deploy="#!/bin/sh\nslow\n")), revision="r2")
        await house.rest()

        with pytest.raises(Refused, match="shop is still under way; nothing to retry"):
            house.people.retry("shop")

    async def test_the_first_reason_of_an_abort_holds(self, house):
        said = [house.people.abort("shop", reason) for reason in ("too dear", "another")]

        assert "a new commit or `headwater retry shop` goes on" in said[0]
        assert said[1] == "shop is aborted already: too dear"

    @pytest.mark.parametrize("verb", ["retry", "resume"])
    async def test_a_deployment_that_is_not_there_is_refused_with_those_that_are(self, house, verb):
        with pytest.raises(Refused, match="there is no deployment sohp; known: shop"):
            getattr(house.people, verb)("sohp")
