"""Passes, end to end, on clouds and machines in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from fakes.builders import CLOUD, deployment, key, node
from fakes.house import House
from headwater.errors import Stalled, Throttled, Transient
from headwater.manifests.resolved import Quota, Reference, ResolvedDeployment, Update
from headwater.planning.events import ActionEnded, PassEnded, RunEnded, StatusChanged
from headwater.planning.status import Phase
from headwater.topology.machines import Capabilities, CreateOrder, Machine, MachineState
from headwater.topology.progress import Ended, Reply, Request, Verb

TWO = deployment(node("web", 2))
READER = deployment(node("ce"), node("wn", 2, inputs={"server": Reference("ce", 1, "hostname")}))
Creation = Callable[[Sequence[CreateOrder]], Awaitable[Sequence[Machine | Exception]]]


@pytest.fixture
def house() -> House:
    return House()


async def converged(house: House, wished: ResolvedDeployment = TWO) -> House:
    await house.want(wished)
    await house.rest()
    assert house.status().is_ready
    return house


def contexts(house: House) -> dict[str, int]:
    """How often each instance was given recipes to run."""
    instances = [key.instance for key, _ in house.machines.agents.begun]
    return {instance: instances.count(instance) for instance in sorted(set(instances))}


async def test_a_new_deployment_converges(house):
    await converged(house)

    assert house.instances() == ["web.1#1", "web.2#1"]
    assert house.status().phase is Phase.READY
    assert house.status().applied_revision == "r1"
    assert contexts(house) == {"web.1": 1, "web.2": 1}


async def test_a_pass_without_changes_calls_no_cloud_and_no_machine_and_writes_nothing(house):
    await converged(house)
    house.events.clear()
    house.store.writes.clear()
    house.clouds.gate.clear()  # Any call would hang.
    calls = house.machines.calls

    following = await house.reconcile()

    assert (following.result, following.again) == ("unchanged", None)
    assert (house.store.writes, house.machines.calls) == ([], calls)
    assert [type(event) for event in house.events] == [PassEnded]


async def test_machines_are_ordered_in_one_call_with_names_tokens_and_tags(house):
    await converged(house)
    names = [order.name for order in house.clouds.created]
    tokens = {order.token for order in house.clouds.created}

    assert names == ["shop-web-1", "shop-web-2"]
    assert len(tokens) == 2
    assert house.clouds.created[0].tags.revision == "r1"
    assert house.clouds.created[0].authorized_key == house.machines.public_key


async def test_a_lost_machine_is_repaired_after_two_looks_with_its_index_kept(house):
    await converged(house)
    house.clouds.lose(house.machine(key("web.1")).id)

    await house.look()
    first = await house.rest()
    there = house.instances()
    await house.look()
    await house.rest()

    assert (there, first.again) == (["web.2#1"], 1.0)
    assert house.instances() == ["web.1#2", "web.2#1"]
    assert house.status().is_ready
    assert contexts(house) == {"web.1": 2, "web.2": 1}


async def test_a_stopped_machine_is_repaired_at_once(house):
    await converged(house)
    house.clouds.become(house.machine(key("web.2")).id, MachineState.STOPPED)

    await house.look()
    await house.rest()

    assert house.instances() == ["web.1#1", "web.2#2"]
    assert house.status().is_ready


async def test_a_machine_that_a_listing_leaves_out_once_is_kept(house):
    await converged(house)
    records = dict(house.ledger.records)
    house.clouds.omitted.add(house.machine(key("web.1")).id)
    await house.look()
    await house.rest()
    assert (house.ledger.records, house.machines.forgotten) == (records, [])
    house.clouds.omitted.clear()
    await house.look()
    await house.rest()

    assert house.instances() == ["web.1#1", "web.2#1"]
    assert house.status().is_ready
    assert contexts(house) == {"web.1": 1, "web.2": 1}


async def test_scaling_up_adds_machines_and_touches_no_other(house):
    await converged(house)
    await house.want(deployment(node("web", 4)), revision="r2")
    await house.rest()

    assert house.instances() == ["web.1#1", "web.2#1", "web.3#1", "web.4#1"]
    assert contexts(house) == dict.fromkeys(["web.1", "web.2", "web.3", "web.4"], 1)


async def test_hosts_files_have_the_addresses_that_machines_reach_each_other_at(house):
    await converged(house)
    for number, machine in enumerate([*house.clouds.machines[CLOUD].values()]):
        house.clouds.put(replace(machine, inside=f"10.77.0.{number + 2}"))
    await house.want(deployment(node("web", 3)), revision="r2")
    await house.rest()

    addresses = {host.names[1]: host.address for host in house.machines.hosts["shop"]}
    assert addresses["web.1"] == "10.77.0.2"
    assert addresses["web.2"] == "10.77.0.3"


async def test_scaling_down_removes_the_highest_index_and_its_hosts_line(house):
    await converged(house)
    await house.want(deployment(node("web", 1)), revision="r2")
    await house.rest()

    assert house.instances() == ["web.1#1"]
    assert [host.names for host in house.machines.hosts["shop"]] == [("web.1.shop", "web.1", "web")]
    assert house.status().desired == 1


async def test_a_changed_recipe_runs_again_on_the_same_machines(house):
    await converged(house)
    await house.want(deployment(node("web", 2, deploy="#!/bin/sh\nnew\n")), revision="r2")
    await house.rest()

    assert house.instances() == ["web.1#1", "web.2#1"]
    assert contexts(house) == {"web.1": 2, "web.2": 2}
    assert house.status().applied_revision == "r2"


async def test_a_changed_recipe_runs_on_one_machine_at_a_time(house):
    await converged(house)
    house.machines.held |= {key("web.1"), key("web.2")}
    await house.want(deployment(node("web", 2, deploy="#!/bin/sh\nnew\n")), revision="r2")
    await house.rest()

    assert contexts(house) == {"web.1": 2, "web.2": 1}
    assert house.status().ready == 0
    house.machines.release(key("web.1"))
    await house.rest()
    assert contexts(house) == {"web.1": 2, "web.2": 2}


async def test_a_changed_image_replaces_and_the_old_machine_serves_until_then(house):
    await converged(house, deployment(node("web")))
    old = house.machine(key("web.1"))
    house.machines.held.add(key("web.1"))
    await house.want(deployment(node("web", image="debian-13")), revision="r2")
    await house.rest()
    both = house.instances()
    speaks = house.exchange.system("shop").leads[key("web.1")]
    house.machines.release(key("web.1"))
    await house.rest()

    assert (both, speaks) == (["web.1#1", "web.1#2"], old.id)
    assert house.instances() == ["web.1#2"]
    assert house.clouds.terminated == [old.id]


async def test_without_a_surge_the_old_machine_is_gone_before_the_new_one_is_made(house):
    await converged(house, deployment(node("web")))
    present: list[int] = []
    create: Creation = house.clouds.create

    async def counting(orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        present.append(len(list(house.clouds.present())))
        return await create(orders)

    house.clouds.create = counting
    await house.want(
        deployment(node("web", image="new"), update=Update(max_surge=0)), revision="r2"
    )
    await house.rest()

    assert present == [0]
    assert house.instances() == ["web.1#2"]


async def test_a_removed_deployment_leaves_nothing_behind(house):
    await converged(house)
    await house.want(deployment(node("app"), name="blog"), revision="r2")
    following = await house.rest()

    assert following.result == "removed"
    assert house.instances() == []
    assert house.reconciler.statuses == {}
    kept = {key.partition("/")[0] for key in house.store.disk.documents}
    assert kept == {"history", "steps", "swept"}
    assert house.told(StatusChanged)[-1] == StatusChanged("shop", None)
    assert set(house.machines.lines) == set()


async def test_a_failed_recipe_stalls_and_stops_everything_else(house):
    house.machines.failing[key("web.2")] = "no space left"
    house.machines.held.add(key("web.1"))
    await house.want(TWO)
    await house.rest()

    status = house.status()
    assert status.is_stalled
    assert status.condition("Stalled").message == "web.2: deploy exited with 7: no space left"
    assert [(id, why) for id, why in house.machines.stopped] == [
        (house.machine(key("web.1")).id, "web.2: deploy exited with 7: no space left")
    ]
    assert [event.result for event in house.told(RunEnded)] == ["failure"]


async def test_after_a_failure_nothing_is_tried_again_by_itself(house):
    house.machines.failing[key("web.2")] = "boom"
    await house.want(TWO)
    await house.rest()
    before = contexts(house)
    house.clouds.lose(house.machine(key("web.1")).id)
    await house.look()
    await house.look()
    following = await house.rest()

    assert (contexts(house), following.again) == (before, None)
    assert house.instances() == ["web.2#1"]


async def test_a_retry_runs_what_failed_and_nothing_else(house):
    house.machines.failing[key("web.2")] = "boom"
    await house.want(TWO)
    await house.rest()
    house.machines.failing.clear()
    house.steering.renew("shop")
    await house.rest()

    assert house.status().is_ready
    assert contexts(house) == {"web.1": 1, "web.2": 2}
    assert [event.result for event in house.told(RunEnded)] == ["failure", "success"]


async def test_a_new_commit_retries_too(house):
    house.machines.failing[key("web.2")] = "boom"
    await house.want(TWO)
    await house.rest()
    house.machines.failing.clear()
    await house.want(replace(TWO, execute_timeout=60.0), revision="r2")
    await house.rest()

    assert house.status().is_ready
    assert contexts(house) == {"web.1": 1, "web.2": 2}


async def test_a_machine_that_never_answers_fails_the_run_at_its_deadline(house):
    house.machines.silent.add(key("web.1"))
    await house.want(TWO)
    following = await house.rest()

    assert following.again == TWO.provision_timeout
    house.clock.move(TWO.provision_timeout)
    await house.rest()
    assert house.status().condition("Stalled").message == (
        "web.1: no contact within 600 s: its agent did not answer"
    )


async def test_a_retry_gives_a_silent_machine_its_time_again(house):
    house.machines.silent.add(key("web.1"))
    await house.want(TWO)
    await house.rest()
    house.clock.move(TWO.provision_timeout)
    await house.rest()
    house.steering.renew("shop")
    following = await house.rest()

    assert following.again == TWO.provision_timeout
    house.machines.silent.clear()
    await house.rest()
    assert house.status().is_ready


async def test_a_refused_line_fails_the_run_with_its_reason(house):
    house.machines.refusing[key("web.1")] = "another host key"
    await house.want(TWO)
    await house.rest()

    assert house.status().condition("Stalled").message == "web.1: another host key"


async def test_an_interrupted_recipe_is_run_again(house):
    house.machines.held.add(key("web.1"))
    await house.want(TWO)
    await house.rest()
    house.machines.held.clear()
    house.machines.reboot(house.machine(key("web.1")).id)
    await house.rest()

    assert house.status().is_ready
    assert contexts(house) == {"web.1": 2, "web.2": 1}


class TestClouds:
    async def test_a_passing_error_is_left_to_the_backoff_and_the_others_go_on(self, house):
        house.clouds.refused[key("web.1")] = Transient("503")
        await house.want(TWO)
        first = await house.reconcile()
        there = house.instances()
        await house.rest()

        assert (first.result, first.failed, first.again) == ("failed", True, None)
        assert there == ["web.2#1"]
        assert house.instances() == ["web.1#1", "web.2#1"]
        assert house.status().is_ready

    async def test_a_throttled_cloud_says_when_to_come_back(self, house):
        house.clouds.refused[key("web.1")] = Throttled("slow down", retry_after=7.0)
        await house.want(TWO)

        assert await house.reconcile() == replace(
            await house.reconcile(), result="failed", again=7.0
        )

    async def test_a_lasting_error_stalls_with_its_words(self, house):
        house.clouds.refused[key("web.2")] = Stalled("no such image: debian; see `images`")
        await house.want(TWO)
        await house.reconcile()
        await house.rest()

        assert house.status().is_stalled
        assert house.status().condition("Stalled").message == (
            "web.2: no such image: debian; see `images`"
        )
        assert house.instances() == ["web.1#1"]

    async def test_a_create_whose_answer_was_lost_makes_no_second_machine(self, house):
        house.clouds.lost_answers[key("web.1")] = Transient("timed out")
        await house.want(TWO)
        await house.reconcile()
        await house.rest()

        assert house.instances() == ["web.1#1", "web.2#1"]
        assert len(house.clouds.created) == 2

    async def test_a_controller_killed_while_it_creates_makes_no_second_machine(self, house):
        await house.want(TWO)
        create: Creation = house.clouds.create
        made = asyncio.Event()

        async def deaf(orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
            await create(orders)
            made.set()
            return await asyncio.Future()

        house.clouds.create = deaf
        killed = asyncio.create_task(house.reconcile())
        await made.wait()
        killed.cancel()
        await asyncio.wait([killed])
        house.clouds.create = create
        again = house.restarted()
        await again.want(TWO)
        await again.rest()

        assert again.instances() == ["web.1#1", "web.2#1"]
        assert len(again.clouds.created) == 2

    async def test_an_incomplete_listing_creates_and_deletes_nothing(self, house):
        house.clouds.unlistable["local"] = "the API is down"
        await house.want(TWO)
        following = await house.rest()

        assert (following.result, house.instances()) == ("waiting", [])
        (held,) = house.status().diagnostics
        assert held.startswith("nothing is created or deleted: ")
        assert held.endswith("the listing of cloud local is incomplete: the API is down")
        house.clouds.unlistable.clear()
        await house.look()
        await house.rest()
        assert house.status().is_ready

    async def test_machines_known_before_an_incomplete_listing_keep_their_lines(self, house):
        await converged(house)
        house.clouds.unlistable["local"] = "down"
        await house.look()
        await house.rest()

        assert len(house.machines.lines) == 2
        assert house.status().is_ready

    async def test_a_termination_that_fails_is_tried_again(self, house):
        await converged(house)
        gone = house.machine(key("web.2")).id
        house.clouds.unterminable[gone] = Transient("busy")
        await house.want(deployment(node("web", 1)), revision="r2")
        first = await house.reconcile()
        house.clouds.unterminable.clear()
        await house.rest()

        assert first.failed
        assert house.instances() == ["web.1#1"]

    async def test_what_a_cloud_cannot_do_is_said_and_nothing_is_made(self, house):
        house.clouds.able = Capabilities(packages=False, description="level process")
        await house.want(deployment(node("web", packages=["nginx"])))
        await house.rest()

        assert house.status().condition("Stalled").message == (
            "node web needs packages (nginx), and cloud local installs none (level process)"
        )
        assert house.instances() == []

    async def test_deployments_share_a_quota_of_cpus_and_what_goes_makes_room(self, house):
        house.quota = Quota(cpus=3)
        bakery = deployment(node("web", 2), name="bakery")
        await house.want(TWO, bakery)
        await house.rest()
        await house.rest("bakery")

        assert len(house.observer.machines("bakery")) == 1
        assert house.status("bakery").diagnostics == (
            "the quota of cloud local is 1 cpus too small",
        )

        await house.want(deployment(node("web", 1)), bakery, revision="r2")
        await house.rest()
        await house.rest("bakery")

        assert len(house.observer.machines("bakery")) == 2
        assert house.status("bakery").is_ready

    async def test_an_unusable_cloud_is_said_and_nothing_is_made(self, house):
        house.clouds.unusable["local"] = Stalled("no credentials")
        await house.want(TWO)
        await house.rest()

        assert house.status().condition("Stalled").message == (
            "cloud local cannot be used: no credentials"
        )


class TestInputs:
    async def test_readers_run_again_once_when_what_they_read_is_repaired(self, house):
        await converged(house, READER)
        for wn in ("wn.1", "wn.2"):
            await get(house, wn, "server")
        before = contexts(house)
        house.clouds.lose(house.machine(key("ce.1")).id)
        await house.look()
        await house.look()
        await house.rest()

        assert before == {"ce.1": 1, "wn.1": 1, "wn.2": 1}
        assert contexts(house) == {"ce.1": 2, "wn.1": 2, "wn.2": 2}
        assert house.status().is_ready

    async def test_readers_run_again_when_an_address_changes_under_the_same_machine(self, house):
        await converged(house, READER)
        ce = house.machine(key("ce.1"))
        house.clouds.put(replace(ce, address="10.9.9.9"))
        await house.look()
        await house.rest()

        assert contexts(house) == {"ce.1": 1, "wn.1": 2, "wn.2": 2}
        assert house.machines.lines[ce.id][0].address == "10.9.9.9"

    async def test_scaling_up_runs_the_readers_of_the_whole_list_again_once(self, house):
        def listing(replicas: int) -> ResolvedDeployment:
            return deployment(
                node("ce", inputs={"all": Reference("wn", None, "hostname")}), node("wn", replicas)
            )

        await converged(house, listing(2))
        await house.want(listing(4), revision="r2")
        await house.rest()

        assert contexts(house) == {"ce.1": 2, "wn.1": 1, "wn.2": 1, "wn.3": 1, "wn.4": 1}


async def get(house: House, instance: str, name: str) -> Reply:
    machine = house.machine(key(instance)).id
    return await house.conversation.on_request(Request(machine, Verb.GET, name))


class TestSteering:
    async def test_an_abort_stops_what_runs_and_is_shown(self, house):
        house.machines.held |= {key("web.1"), key("web.2")}
        await house.want(TWO)
        await house.rest()
        house.steering.abort("shop", "a person said so")
        await house.rest()

        assert house.status().condition("Stalled").message == "a person said so"
        assert len(house.machines.stopped) == 2

    async def test_the_first_reason_of_an_abort_wins(self, house):
        await converged(house)
        house.steering.abort("shop", "first")
        house.steering.abort("shop", "second")
        there = house.machine(key("web.2"))
        stray = replace(
            there,
            id=replace(there.id, id="stray"),
            tags=replace(there.tags, key=key("db.1")),
        )
        house.clouds.put(stray)
        house.clouds.unterminable[stray.id] = Stalled("third")
        await house.look()
        await house.reconcile()

        assert house.ledger.runs["shop"].abort == "first"

    async def test_an_abort_while_machines_are_being_made_is_not_lost(self, house):
        await house.want(TWO)
        create: Creation = house.clouds.create

        async def aborting(orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
            house.steering.abort("shop", "in the middle")
            return await create(orders)

        house.clouds.create = aborting
        await house.rest()

        assert house.status().condition("Stalled").message == "in the middle"
        assert contexts(house) == {}

    async def test_an_abort_that_is_taken_back_goes_on(self, house):
        await house.want(TWO)
        await house.reconcile()
        house.steering.abort("shop", "oops")
        await house.rest()
        house.steering.renew("shop")
        await house.rest()

        assert house.status().is_ready


class TestRevisions:
    async def test_a_manifest_that_breaks_keeps_the_system_and_says_what_is_wrong(self, house):
        await converged(house)
        await house.want(revision="r2", failed=["shop"])
        await house.rest()

        assert house.instances() == ["web.1#1", "web.2#1"]
        assert house.status().condition("Stalled").reason == "InvalidManifest"
        assert (house.status().ready, house.status().applied_revision) == (2, "r1")

    async def test_a_system_under_a_broken_manifest_is_still_repaired(self, house):
        await converged(house)
        await house.want(revision="r2", failed=["shop"])
        house.clouds.become(house.machine(key("web.1")).id, MachineState.FAILED)
        await house.look()
        await house.rest()

        assert house.instances() == ["web.1#2", "web.2#1"]

    async def test_a_manifest_that_was_never_right_makes_nothing(self, house):
        await house.want(failed=["shop"])
        await house.rest()

        assert house.status().is_stalled
        assert house.instances() == []

    async def test_an_unchanged_deployment_keeps_its_run_through_a_new_revision(self, house):
        await converged(house)
        await house.want(TWO, revision="r2")
        await house.rest()

        assert house.ledger.runs["shop"].number == 1
        assert house.status().observed_revision == house.status().applied_revision == "r2"
        assert contexts(house) == {"web.1": 1, "web.2": 1}


class TestRestart:
    async def test_a_restarted_controller_does_nothing_that_is_done(self, house):
        again = (await converged(house)).restarted()
        await again.want(TWO)
        await again.rest()

        assert again.status().is_ready
        assert contexts(again) == {"web.1": 1, "web.2": 1}
        assert len(again.machines.lines) == 2

    async def test_a_recipe_that_went_on_without_a_controller_is_heard_out_once(self, house):
        house.machines.held.add(key("web.1"))
        await house.want(TWO)
        await house.rest()
        house.machines.conversation = None  # Nobody listens any more.
        machine, context = house.machine(key("web.1")).id, house.machines.agents.begun[0][1]
        again = house.restarted()
        again.machines.held.clear()
        ended = Ended(machine, context, succeeded=True)
        again.machines.agents.journals[machine] = {context: ended}
        await again.want(TWO)
        await again.rest()

        assert again.status().is_ready
        assert contexts(again) == {"web.1": 1, "web.2": 1}

    async def test_a_machine_that_died_meanwhile_is_repaired_on_the_second_look(self, house):
        again = (await converged(house)).restarted()
        again.clouds.lose(again.machine(key("web.1")).id)
        await again.want(TWO)
        first = await again.rest()
        there = again.instances()
        await again.look()
        await again.rest()

        assert (first.again, there) == (1.0, ["web.2#1"])
        assert again.instances() == ["web.1#2", "web.2#1"]

    async def test_without_its_memory_it_finds_its_machines_by_their_tags(self, house):
        await converged(house)
        forgetful = House(house.clouds, house.machines.agents)
        await forgetful.want(TWO)
        await forgetful.rest()

        assert forgetful.instances() == ["web.1#1", "web.2#1"]
        assert forgetful.status().is_ready
        assert contexts(forgetful) == {"web.1": 1, "web.2": 1}


async def test_the_last_ten_outcomes_are_kept(house):
    await converged(house, deployment(node("web", 8)))

    assert len(house.status().outcomes) == 10
    assert {outcome.action for outcome in house.status().outcomes} == {"create", "contextualise"}


async def test_every_action_is_told_with_its_reason(house):
    house.clouds.refused[key("web.1")] = Transient("503")
    await house.want(TWO)
    await house.reconcile()

    assert [(e.instance, e.action, e.reason, e.error) for e in house.told(ActionEnded)] == [
        ("web.1", "create", "new", "503"),
        ("web.2", "create", "new", ""),
    ]
