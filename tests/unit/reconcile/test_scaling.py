"""Systems that grow, shrink, move, do without some instances, and wait for one another."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import catalog, deployment, key, node
from fakes.house import House
from fakes.looptime import run
from fakes.machines import Guest
from fakes.site import Site
from headwater.errors import QuotaExceeded, Refused
from headwater.manifests.resolved import Reference, ResolvedDeployment
from headwater.planning.status import Phase
from headwater.topology.secrets import Value

READERS = Reference("wn", None, "slots")


def cluster(tolerate: int = 1, **of_workers: Any) -> ResolvedDeployment:
    """A head that reads what all of its three workers say."""
    workers = replace(node("wn", 3, outputs=["slots"], **of_workers), tolerate_failures=tolerate)
    return deployment(node("ce", inputs={"all": READERS}, outputs=["seen"]), workers)


async def slots(guest: Guest) -> None:
    await guest.set("slots", f"{guest.key.index}0")


async def read_all(guest: Guest) -> None:
    await guest.set("seen", ",".join((await guest.get("all")).splitlines()))


@pytest.fixture
def house() -> House:
    return House()


def states(house: House, name: str = "shop") -> dict[str, str]:
    return {i.instance: i.state for i in house.status(name).instances}


def seen(house: House) -> Value | None:
    system = house.exchange.system("shop")
    assert system
    return house.exchange.lookup(system)(key("ce.1"), "seen")


class TestTolerance:
    async def test_a_creation_that_is_refused_for_good_is_not_repeated_and_named(self, house):
        house.clouds.refused[key("wn.2")] = QuotaExceeded("no more cores")
        await house.want(cluster())
        await house.rest()

        assert house.instances() == ["ce.1#1", "wn.1#1", "wn.3#1"]
        assert house.status().phase is Phase.READY
        assert house.status().condition("Ready").message == "without wn.2 (no more cores)"

    async def test_a_restarted_controller_remembers_what_was_refused(self, house):
        house.clouds.refused[key("wn.2")] = QuotaExceeded("no more cores")
        await house.want(cluster())
        await house.rest()
        again = house.restarted()
        await again.want(cluster())
        await again.rest()

        assert again.instances() == ["ce.1#1", "wn.1#1", "wn.3#1"]
        assert again.status().condition("Ready").message == "without wn.2 (no more cores)"

    async def test_one_more_refusal_than_may_be_fails_the_run(self, house):
        for name in ("wn.2", "wn.3"):
            house.clouds.refused[key(name)] = QuotaExceeded("no more cores")
        await house.want(cluster())
        await house.rest()

        assert house.status().condition("Stalled").message == (
            "wn.2: no more cores; 2 of node wn have failed, and 1 may"
        )

    async def test_a_retry_of_a_ready_run_tries_what_is_missing(self, house):
        house.machines.failing[key("wn.3")] = "no space left"
        house.clouds.refused[key("wn.2")] = QuotaExceeded("no more cores")
        await house.want(cluster(tolerate=2))
        await house.rest()
        before = states(house)
        house.machines.failing.clear()
        said = house.people.retry("shop")
        await house.rest()

        assert (before["wn.2"], before["wn.3"]) == ("failed", "failed")
        assert said == "shop: trying again"
        assert set(states(house).values()) == {"ready"}
        assert house.status().condition("Ready").message == ""
        assert house.people.retry("shop") == "shop has not failed; nothing to retry"

    async def test_a_machine_that_never_answers_is_given_up_once_and_heard_when_it_does(
        self, house
    ):
        house.machines.silent.add(key("wn.3"))
        await house.want(cluster())
        before = await house.rest()
        house.clock.move(600)
        after = await house.rest()
        given_up = house.status()
        house.machines.silent.clear()
        await house.rest()

        assert (before.again, after.again) == (600.0, None)
        assert given_up.is_ready
        assert given_up.failed == 1
        assert house.status().failed == 0
        assert house.instances() == ["ce.1#1", "wn.1#1", "wn.2#1", "wn.3#1"]

    async def test_a_lost_machine_of_a_failed_instance_is_repaired(self, house):
        house.machines.failing[key("wn.3")] = "no space left"
        await house.want(cluster())
        await house.rest()
        house.machines.failing.clear()
        house.clouds.lose(house.machine(key("wn.3")).id)
        await house.look()
        await house.rest()
        await house.look()
        await house.rest()

        assert house.instances() == ["ce.1#1", "wn.1#1", "wn.2#1", "wn.3#2"]
        assert set(states(house).values()) == {"ready"}


def test_readers_of_a_list_wait_for_those_that_live_and_run_again_when_one_comes_back():
    wishes = {"cluster": [cluster()]}
    site = Site(wishes)
    heard: list[object] = []

    async def scene() -> None:
        async with site.running() as house:
            house.machines.scripts = {"wn": slots, "ce": read_all}
            house.machines.silent.add(key("wn.2"))
            await site.settled(site.commit("cluster"))
            heard.append(seen(house))
            house.machines.silent.clear()
            house.machines.work()
            await site.settled(site.source.history[-1].revision)
            heard.append(seen(house))
            assert house.status().failed == 0

    run(scene())
    assert heard == ["10,30", "10,20,30"]


class TestOrder:
    DNS = deployment(node("server"), name="dns")
    WEB = replace(deployment(node("web"), name="web"), depends_on=("dns",))

    async def test_a_deployment_is_made_once_those_before_it_are_ready(self, house):
        house.machines.held.add(key("server.1", "dns"))
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")
        waiting = house.status("web")
        house.machines.release(key("server.1", "dns"))
        await house.rest("dns")
        await house.rest("web")

        assert waiting.condition("Reconciling").message == "waits for dns: Executing, 0/1 ready"
        assert waiting.instances[0].state == "missing"
        assert house.status("web").is_ready

    async def test_ready_of_an_older_revision_is_not_enough(self, house):
        await house.want(self.DNS)
        await house.rest("dns")
        await house.want(self.DNS, self.WEB, revision="r2")
        await house.rest("web")
        before = house.instances()
        await house.rest("dns")
        await house.rest("web")

        assert before == ["server.1#1"]
        assert house.instances() == ["server.1#1", "web.1#1"]

    async def test_once_it_runs_trouble_of_the_others_changes_nothing(self, house):
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")
        house.people.abort("dns", "maintenance")
        house.clouds.lose(house.machine(key("web.1", "web")).id)
        for _ in range(2):
            await house.look()
            await house.rest("web")

        assert house.instances() == ["server.1#1", "web.1#2"]
        assert house.status("web").is_ready

    async def test_a_failed_dependency_is_said(self, house):
        house.machines.failing[key("server.1", "dns")] = "boom"
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")

        stalled = house.status("web").condition("Stalled")
        assert stalled.reason == "DependencyFailed"
        assert stalled.message == "waits for dns: server.1: deploy exited with 7: boom"

    async def test_a_suspended_dependency_is_said(self, house):
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        house.clouds.lose(house.machine(key("server.1", "dns")).id)
        house.people.suspend("dns", "holidays", "ann", "")
        for _ in range(2):
            await house.look()
            await house.rest("dns")
        await house.rest("web")

        stalled = house.status("web").condition("Stalled")
        assert stalled.message == "waits for dns: it is suspended: holidays (by ann)"
        assert house.status("web").at_rest

    async def test_dependents_go_first(self, house):
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")
        await house.want(deployment(node("app"), name="blog"), revision="r2")
        await house.rest("dns")
        before = house.instances()
        gone = await house.rest("web")
        last = await house.rest("dns")

        assert before == ["server.1#1", "web.1#1"]
        assert (gone.result, last.result) == ("removed", "removed")
        assert house.instances() == []

    async def test_the_order_of_the_end_outlives_a_restart(self, house):
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")
        again = house.restarted()
        await again.want(deployment(node("app"), name="blog"), revision="r2")
        following = await again.rest("dns")

        assert following.result == "waiting"
        assert again.status("dns").condition("Reconciling").message == (
            "web depends on it and goes first"
        )

    async def test_a_dependency_is_kept_while_one_that_stays_depends_on_it(self, house):
        await house.want(self.DNS, self.WEB)
        await house.rest("dns")
        await house.rest("web")
        await house.want(revision="r2", failed=["web"])
        await house.rest("dns")

        stalled = house.status("dns").condition("Stalled")
        assert stalled.reason == "DependencyHeld"
        assert stalled.message.startswith("web is still there and depends on it")
        assert house.instances() == ["server.1#1", "web.1#1"]


def test_a_chain_of_deployments_comes_up_in_order_and_goes_in_the_other():
    chain = [
        deployment(node("a"), name="a"),
        replace(deployment(node("b"), name="b"), depends_on=("a",)),
        replace(deployment(node("c"), name="c"), depends_on=("b", "a")),
    ]
    site = Site({"chain": chain, "nothing": [deployment(node("z", 0), name="z")]})
    order: list[str] = []

    async def scene() -> None:
        async with site.running():
            revision = site.commit("chain")
            await site.settled(revision)
            order.extend(o.tags.key.deployment for o in site.clouds.created)
            assert site.answers.last(revision).description == "3/3 deployments ready"
            await site.settled(site.commit("nothing"))

    run(scene())
    owners = {order.name: order.tags.key.deployment for order in site.clouds.created}
    assert order == ["a", "b", "c"]
    assert [m.id.removeprefix("m-") for m in site.clouds.terminated] == ["3", "2", "1"]
    assert (site.instances(), len(owners)) == ([], 3)


def test_a_wait_for_a_failed_deployment_fails_the_revision_and_a_retry_goes_on():
    chain = [
        deployment(node("a"), name="a"),
        replace(deployment(node("b"), name="b"), depends_on=("a",)),
    ]
    site = Site({"chain": chain})

    async def scene() -> None:
        async with site.running() as house:
            house.machines.failing[key("a.1", "a")] = "boom"
            revision = site.commit("chain")
            await site.settled(revision)
            assert site.answers.of(revision, "headwater/b")[-1] == "failure"
            house.machines.failing.clear()
            house.people.retry("a")
            await site.settled(revision)
            assert house.status("b").is_ready

    run(scene())


class TestSpread:
    async def want(self, house: House, revision: str, total: int = 0, **spread: int) -> None:
        counts = tuple(spread.items())
        wished = catalog(
            deployment(node("wn", total or sum(spread.values()), clouds=counts)),
            revision=revision,
            clouds=("geneva", "paris"),
        )
        await house.clouds.configure(wished.clouds)
        await house.observer.refresh(wished.clouds)
        house.reconciler.wanted.update(wished)
        await house.rest()

    def where(self, house: House) -> dict[str, str]:
        return {m.key.instance: m.id.cloud for m in house.clouds.present()}

    async def test_growing_at_one_cloud_leaves_everybody_where_they_are(self, house):
        await self.want(house, "r1", geneva=2, paris=1)
        before = {m.key: m.id for m in house.clouds.present()}
        await self.want(house, "r2", geneva=3, paris=1)

        assert self.where(house) == {
            "wn.1": "geneva", "wn.2": "geneva", "wn.3": "paris", "wn.4": "geneva"
        }  # fmt: skip
        assert before.items() <= {m.key: m.id for m in house.clouds.present()}.items()

    async def test_moving_one_instance_replaces_that_one_under_its_index(self, house):
        await self.want(house, "r1", geneva=2, paris=1)
        await self.want(house, "r2", geneva=1, paris=2)

        assert self.where(house) == {"wn.1": "geneva", "wn.2": "paris", "wn.3": "paris"}
        assert house.instances() == ["wn.1#1", "wn.2#2", "wn.3#1"]

    async def test_shrinking_removes_the_highest_index(self, house):
        await self.want(house, "r1", geneva=2, paris=2)
        await self.want(house, "r2", geneva=2, paris=1)

        assert house.instances() == ["wn.1#1", "wn.2#1", "wn.3#1"]
        assert self.where(house) == {"wn.1": "geneva", "wn.2": "geneva", "wn.3": "paris"}

    async def test_places_outlive_a_restart_and_begin_no_new_run(self, house):
        await self.want(house, "r1", geneva=2, paris=1)
        await self.want(house, "r2", geneva=3, paris=1)
        run_before = house.ledger.runs["shop"]
        again = house.restarted()
        await self.want(again, "r2", geneva=3, paris=1)

        assert again.ledger.runs["shop"] == run_before
        assert again.instances() == ["wn.1#1", "wn.2#1", "wn.3#1", "wn.4#1"]

    async def test_a_lost_machine_comes_back_at_its_cloud(self, house):
        await self.want(house, "r1", geneva=2, paris=1)
        await self.want(house, "r2", geneva=3, paris=1)
        house.clouds.lose(house.machine(key("wn.3")).id)
        for _ in range(2):
            await house.observer.refresh(["geneva", "paris"])
            await house.rest()

        assert house.instances() == ["wn.1#1", "wn.2#1", "wn.3#2", "wn.4#1"]
        assert self.where(house)["wn.3"] == "paris"

    async def test_an_instance_that_cannot_be_listed_is_not_given_another_place(self, house):
        await self.want(house, "r1", geneva=1, paris=1)
        await self.want(house, "r2", geneva=2, paris=1)
        house.clouds.unlistable["paris"] = "down"
        again = house.restarted()
        await self.want(again, "r3", geneva=2, paris=1)
        house.clouds.unlistable.clear()
        await self.want(again, "r3", geneva=2, paris=1)

        assert self.where(again) == {"wn.1": "geneva", "wn.2": "paris", "wn.3": "geneva"}
        assert again.instances() == ["wn.1#1", "wn.2#1", "wn.3#1"]


async def test_nothing_is_retried_of_what_nobody_knows(house):
    with pytest.raises(Refused):
        house.people.retry("shop")
