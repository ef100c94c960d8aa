"""The whole loop, on a world in memory and a clock that jumps."""

import asyncio
from typing import Any

import pytest

from fakes.builders import deployment, key, node
from fakes.looptime import run
from fakes.machines import Guest
from fakes.site import Site
from fakes.storm import Storm
from headwater.errors import Stalled, Transient
from headwater.manifests.resolved import Reference, ResolvedDeployment
from headwater.planning.events import RevisionRead, SourceFailed
from headwater.planning.status import DeploymentStatus
from headwater.topology.desired import expand


def shop(replicas: int = 2, **rest: Any) -> ResolvedDeployment:
    return deployment(node("web", replicas, **rest))


BLOG = deployment(node("app"), name="blog")
WISHES = {
    "two": [shop(2), BLOG],
    "four": [shop(4), BLOG],
    "image": [shop(2, image="debian-13"), BLOG],
    "recipe": [shop(2, deploy="#!/bin/sh\nother\n"), BLOG],
    "alone": [BLOG],
    "nothing": [],
    "talking": [
        deployment(
            node("server", outputs=["ready"]),
            node(
                "client", 2, inputs={"server": Reference("server", 1, "hostname")}, outputs=["seen"]
            ),
            name="hello",
        )
    ],
}

CALM_WISHES = ["two", "four", "image", "recipe", "alone", "nothing"]


def settled(site: Site, *wishes: str) -> Site:
    """Commit each, and wait for its answer; the loop runs throughout."""

    async def scene() -> Any:
        async with site.running():
            for wish in wishes:
                await site.settled(site.commit(wish))

    run(scene())
    return site


def test_a_commit_becomes_machines_and_an_answer():
    site = settled(Site(WISHES), "two")
    revision = site.source.history[-1].revision

    assert site.instances() == ["blog/app.1", "shop/web.1", "shop/web.2"]
    assert site.answers.of(revision, "headwater")[-1] == "success"
    assert site.answers.last(revision).description == "2/2 deployments ready"
    assert site.answers.of(revision, "headwater/shop")[-1] == "success"


def ended(states: list[str]) -> list[str]:
    """The final ones: a plan that waits for an approval is pending again."""
    return [state for state in states if state != "pending"]


@pytest.mark.parametrize(
    ("wish", "instances"),
    [
        ("four", ["blog/app.1", "shop/web.1", "shop/web.2", "shop/web.3", "shop/web.4"]),
        ("image", ["blog/app.1", "shop/web.1", "shop/web.2"]),
        ("recipe", ["blog/app.1", "shop/web.1", "shop/web.2"]),
        ("alone", ["blog/app.1"]),
        ("nothing", []),
    ],
)
def test_the_next_commit_is_followed(wish, instances):
    site = settled(Site(WISHES), "two", wish)
    revision = site.source.history[-1].revision

    assert site.instances() == instances
    assert ended(site.answers.of(revision, "headwater/shop")) == ["success"]
    assert ended(site.answers.of(revision, "headwater/blog")) == (
        ["success"] if wish == "nothing" else []
    )


def test_machines_talk_and_nobody_polls():
    site = Site(WISHES)
    order: list[tuple[str, object]] = []

    async def server(guest: Guest) -> None:
        seen = [await guest.get(f"client.{n}:seen") for n in (1, 2)]
        order.append(("server", seen))
        await guest.set("ready", "yes")

    async def client(guest: Guest) -> None:
        address = await guest.get("server")
        await asyncio.sleep(30.0)
        await guest.set("seen", address)
        order.append((guest.key.instance, await guest.get("server.ready")))

    async def scene() -> Any:
        async with site.running() as house:
            house.machines.scripts.update(server=server, client=client)
            await site.settled(site.commit("talking"))

    run(scene())
    address = site.clouds.of(key("server.1", "hello"))[0].address

    assert order[0] == ("server", [address, address])
    assert sorted(order[1:], key=str) == [("client.1", "yes"), ("client.2", "yes")]


def test_a_broken_manifest_is_answered_and_touches_nothing():
    site = settled(Site(WISHES), "two", "broken:shop")
    revision = site.source.history[-1].revision

    assert "shop/web.1" in site.instances()
    assert site.answers.of(revision, "headwater/shop")[-1] == "failure"
    assert "shop.toml:1:1: wrong" in site.answers.last(revision).description


def test_a_killed_machine_is_repaired_without_a_commit():
    site = Site(WISHES)

    async def scene() -> Any:
        async with site.running():
            revision = site.commit("two")
            await site.settled(revision)
            site.clouds.lose(site.clouds.of(key("web.1"))[0].id)
            await asyncio.sleep(30.0)
            await site.settled(revision)
            return revision

    revision = run(scene())

    assert site.instances() == ["blog/app.1", "shop/web.1", "shop/web.2"]
    assert site.clouds.of(key("web.1"))[0].tags.incarnation == 2
    assert site.answers.of(revision, "headwater") == ["pending", "success"]


def test_a_broken_line_makes_the_loop_look_sooner():
    site = Site(WISHES)

    async def scene() -> Any:
        async with site.running() as house:
            await site.settled(site.commit("two"))
            await asyncio.sleep(20.0)
            lost = site.clouds.of(key("web.1"))[0].id
            site.clouds.lose(lost)
            house.machines.break_line(lost)
            await asyncio.sleep(4.0)

    run(scene())

    assert len(site.clouds.of(key("web.1"))) == 1


def test_while_nothing_happens_clouds_are_listed_every_ten_seconds_and_nothing_else_is_done():
    site = Site(WISHES)

    async def scene() -> Any:
        async with site.running() as house:
            await site.settled(site.commit("two"))
            before = site.clouds.listings["local"]
            calls, writes = house.machines.calls, len(house.store.writes)
            await asyncio.sleep(600.0)
            return (
                site.clouds.listings["local"] - before,
                house.machines.calls - calls,
                (len(house.store.writes) - writes),
            )

    listings, calls, writes = run(scene())

    assert 50 <= listings <= 70
    assert (calls, writes) == (0, 0)


def test_what_an_incomplete_listing_held_back_goes_on_when_it_is_complete():
    site = Site(WISHES)
    site.clouds.unlistable["local"] = "503"

    async def scene() -> Any:
        async with site.running():
            revision = site.commit("two")
            await asyncio.sleep(60.0)
            before = site.instances()
            site.clouds.unlistable.clear()
            await site.settled(revision)
            return before

    assert run(scene()) == []
    assert len(site.instances()) == 3


def test_a_source_that_fails_leaves_everything_as_it_is_and_says_so():
    site = Site(WISHES)

    async def scene() -> Any:
        async with site.running() as house:
            await site.settled(site.commit("two"))
            site.source.failure = Transient("the network is down")
            site.source.touch()
            await asyncio.sleep(60.0)
            said = house.whole.source_error, house.whole.succeeded
            site.source.failure = None
            await site.settled(site.commit("four"))
            return said, house.whole.source_error, house.told(SourceFailed)

    said, after, told = run(scene())

    assert (said, after) == (("the network is down", False), "")
    assert len(told) >= 1
    assert len(site.instances()) == 5


def test_a_rewound_branch_is_refused_and_nothing_is_removed():
    site = Site(WISHES)

    async def scene() -> Any:
        async with site.running() as house:
            await site.settled(site.commit("two"))
            site.source.rewind({"wish": "nothing"})
            await asyncio.sleep(60.0)
            return house.whole.source_error

    assert "force-pushed" in run(scene())
    assert len(site.instances()) == 3


def test_a_cloud_that_fails_for_a_while_delays_and_loses_nothing():
    site = Site(WISHES)
    site.clouds.refused[key("web.1")] = Transient("503")

    settled(site, "two")

    assert site.instances() == ["blog/app.1", "shop/web.1", "shop/web.2"]


def test_a_failed_deployment_does_not_hold_up_the_others():
    site = Site(WISHES)
    site.clouds.refused[key("web.1")] = Stalled("no such image")

    settled(site, "two")
    revision = site.source.history[-1].revision

    assert site.answers.of(revision, "headwater/blog")[-1] == "success"
    assert site.answers.of(revision, "headwater/shop")[-1] == "failure"
    assert "no such image" in site.answers.last(revision).description


def test_a_newer_commit_overtakes_one_that_is_still_under_way():
    site = Site(WISHES)

    async def slow(_: Guest) -> None:
        await asyncio.sleep(300.0)

    async def scene() -> Any:
        async with site.running() as house:
            house.machines.scripts["web"] = slow
            first = site.commit("two")
            await asyncio.sleep(10.0)
            second = site.commit("recipe")
            await site.settled(second)
            return first, second

    first, second = run(scene())

    assert site.answers.of(first, "headwater") == ["pending", "failure"]
    assert site.answers.last(first).description == f"superseded by {second[:10]}"
    assert site.answers.of(second, "headwater")[-1] == "success"


def test_one_look_is_enough_for_scripts():
    site = Site(WISHES)

    async def scene() -> Any:
        loop = site.house.looping(site.source, site.read, site.answers)
        site.commit("two")
        await loop.run_once()
        return len(site.instances()), [
            e.deployments for e in site.house.events if isinstance(e, RevisionRead)
        ]

    assert run(scene()) == (3, [2])


class TestRestart:
    def test_a_restarted_controller_goes_on_where_it_was_killed(self):
        site = Site(WISHES)

        async def scene() -> Any:
            revision = site.commit("two")
            for seconds in (0.0, 0.01, 0.1, 1.0):
                async with site.running():
                    await asyncio.sleep(seconds)
            async with site.running():
                await site.settled(revision)
            return revision

        revision = run(scene())

        assert site.instances() == ["blog/app.1", "shop/web.1", "shop/web.2"]
        assert len(site.clouds.created) == 3
        assert len(site.agents.begun) == 3
        assert [s for s in site.answers.of(revision, "headwater") if s != "pending"] == ["success"]

    def test_a_restart_without_changes_does_nothing_and_says_nothing(self):
        site = settled(Site(WISHES), "two")
        said, made, begun = (
            len(site.answers.given),
            len(site.clouds.created),
            len(site.agents.begun),
        )

        async def scene() -> Any:
            async with site.running() as house:
                await asyncio.sleep(60.0)
                return house.whole.is_settled

        assert run(scene())
        assert (len(site.answers.given), len(site.clouds.created)) == (said, made)
        assert len(site.agents.begun) == begun

    def test_a_manifest_removed_while_nobody_watched_is_acted_upon(self):
        site = settled(Site(WISHES), "two")

        settled(site, "alone")

        assert site.instances() == ["blog/app.1"]


@pytest.mark.parametrize("seed", range(12))
def test_after_any_storm_the_system_is_what_the_last_commit_says(seed):
    """Commits, deaths, outages, lost answers and restarts, in any order; then quiet."""
    site = Site(WISHES)
    storm = Storm(site, [*CALM_WISHES, "broken:shop"], seed)
    wish = storm.rng.choice(CALM_WISHES)

    async def scene() -> tuple[str, dict[str, DeploymentStatus]]:
        site.commit("two")
        for _ in range(4):
            async with site.running():
                for _ in range(8):
                    await asyncio.sleep(storm.strike())
        storm.calm()
        async with site.running() as house:
            last = site.commit(wish)
            await site.settled(last)
            await asyncio.sleep(120.0)
            await site.settled(last)
            return last, dict(house.reconciler.statuses)

    last, statuses = run(scene())

    assert site.instances() == sorted(
        str(key) for wished in WISHES[wish] for key in expand(wished).instances
    )
    assert {name for name, status in statuses.items() if status.is_ready} == {
        wished.name for wished in WISHES[wish]
    }
    assert len(ended(site.answers.of(last, "headwater"))) == 1
    for revision in {snapshot.revision for snapshot in site.source.history}:
        assert len(ended(site.answers.of(revision, "headwater"))) <= 1
