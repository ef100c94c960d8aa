"""Checks, from what machines tell to what becomes of them, with a clock that stands still."""

import pytest

from fakes.builders import PAGE, deployment, key, node
from fakes.house import House
from headwater.manifests.resolved import CommandCheck, Health, Recipe, TcpCheck, Update
from headwater.planning.events import ActionEnded, HealthChanged
from headwater.planning.records import Record
from headwater.topology.progress import Checked, HealthState

TCP = Health(TcpCheck(22), interval=1.0, failures=2)
COMMAND = Health(CommandCheck(Recipe("web", "#!/bin/sh\n", "web/check.sh")), 1.0, 2)
ONE = deployment(node(health=PAGE))
CAREFUL = Update(max_unavailable=1, max_surge=0)


@pytest.fixture
def house() -> House:
    return House()


async def converged(house: House, *nodes_health: Health | None, replicas: int = 1) -> None:
    [health] = nodes_health or (PAGE,)
    await house.want(deployment(node(replicas=replicas, health=health), update=CAREFUL))
    await house.rest()
    assert house.status().is_ready


def record(house: House, instance: str = "web.1") -> Record:
    return house.ledger.records[house.machine(key(instance)).id]


async def test_an_instance_is_ready_when_its_check_holds(house):
    house.machines.sick[key()] = "no answer"
    await house.want(ONE)
    await house.rest()

    assert house.status().instances[0].state == "checking"
    assert not house.status().is_ready

    house.machines.recover(house.machine(key()).id)
    await house.rest()
    assert house.status().is_ready
    assert [e.state for e in house.told(HealthChanged)] == ["unhealthy", "healthy"]


async def test_a_check_that_never_holds_fails_the_run(house):
    house.machines.sick[key()] = "HTTP 500"
    await house.want(ONE)
    following = await house.rest()
    assert following.again == 1800.0

    house.clock.move(1800)
    await house.rest()
    stalled = house.status().condition("Stalled")
    assert (stalled.status, stalled.message) == (
        True,
        "web.1: not healthy within 1800 s: HTTP 500",
    )
    assert house.status().instances[0].state == "unhealthy"
    assert house.status().at_rest


async def test_an_unhealthy_machine_is_replaced(house):
    await converged(house, replicas=2)
    ill = house.machine(key("web.2")).id
    house.machines.fall_ill(ill, "HTTP 500")
    await house.rest()

    assert house.status().is_ready
    assert house.instances() == ["web.1#1", "web.2#2"]
    reasons = [e.reason for e in house.told(ActionEnded) if e.instance == "web.2"]
    assert reasons[-3:] == ["unhealthy: HTTP 500", "unhealthy: HTTP 500", "new machine"]
    assert ill in house.machines.forgotten


async def test_an_instance_that_stays_unhealthy_is_replaced_ever_more_seldom_and_then_not(house):
    await converged(house)
    for wait, count in ((0, 2), (120, 3), (480, 4)):
        house.machines.fall_ill(house.machine(key()).id)
        following = await house.rest()
        if wait:
            assert house.instances() == [f"web.1#{count - 1}"]
            assert following.again == wait
            house.clock.move(wait)
            await house.rest()
        assert house.instances() == [f"web.1#{count}"]
        assert house.status().is_ready
    house.machines.fall_ill(house.machine(key()).id)
    following = await house.rest()
    house.clock.move(24 * 3600)
    await house.rest()

    assert (house.instances(), following.again) == (["web.1#4"], None)
    assert house.status().condition("Stalled").reason == "Unhealthy"

    house.people.retry("shop")
    await house.rest()
    assert house.instances() == ["web.1#5"]
    assert house.status().is_ready


async def test_replacements_are_remembered_over_a_restart(house):
    await converged(house)
    house.machines.fall_ill(house.machine(key()).id)
    await house.rest()
    house.machines.fall_ill(house.machine(key()).id)

    again = house.restarted()
    again.machines = house.machines
    await again.want(deployment(node(health=PAGE), update=CAREFUL))
    following = await again.reconcile()
    while following.again == 0.0:
        following = await again.reconcile()

    assert again.instances() == ["web.1#2"]
    assert following.again is not None


async def test_a_removed_deployment_leaves_no_memory_of_its_replacements(house):
    await converged(house)
    house.machines.fall_ill(house.machine(key()).id)
    await house.rest()
    assert house.ledger.note("replaced/shop")

    other = deployment(node(), name="other")
    await house.want(other, revision="r2")
    for _ in range(4):
        if (await house.reconcile()).result == "removed":
            break
        await house.look()
    assert house.ledger.note("replaced/shop") is None


async def test_health_outlives_the_controller(house):
    await converged(house)
    before = record(house)
    again = house.restarted()

    assert again.ledger.records[house.machine(key()).id] == before
    assert before.health is not None
    assert before.health.state is HealthState.HEALTHY


async def test_a_check_has_all_its_time_again_after_a_restart(house):
    house.machines.sick[key()] = "no answer"
    await house.want(ONE)
    await house.rest()
    house.clock.move(1700)
    again = House(house.clouds, house.machines.agents, house.store.disk, clock=house.clock)

    assert record(again).ended == house.clock.now


@pytest.mark.parametrize("other", [TCP, COMMAND, None])
async def test_another_check_runs_no_recipe_again(house, other):
    await converged(house)
    begun = list(house.machines.agents.begun)
    await house.want(deployment(node(health=other), update=CAREFUL), revision="r2")
    following = await house.reconcile()
    while following.again == 0.0:
        following = await house.reconcile()

    assert house.status().is_ready is (other is None)
    await house.rest()
    assert house.status().is_ready
    assert house.machines.agents.begun == begun
    assert house.reconciler.executor.ledger.runs["shop"].number == 2


async def test_another_check_that_does_not_hold_fails_the_run_and_replaces_nothing(house):
    await converged(house)
    house.machines.sick[key()] = "connection refused"
    await house.want(deployment(node(health=TCP), update=CAREFUL), revision="r2")
    await house.rest()
    house.clock.move(1800)
    await house.rest()

    assert house.instances() == ["web.1#1"]
    assert "connection refused" in house.status().condition("Stalled").message


async def test_a_new_version_that_never_gets_healthy_is_stopped_before_it_touches_the_rest(house):
    await converged(house, replicas=3)
    house.machines.sick[key()] = "HTTP 500"
    broken = node(replicas=3, health=PAGE, deploy="#!/bin/sh\nbroken\n")
    await house.want(deployment(broken, update=CAREFUL), revision="r2")
    await house.rest()
    house.clock.move(1800)
    await house.rest()

    begun = [k.instance for k, _ in house.machines.agents.begun]
    assert sorted(begun) == ["web.1", "web.1", "web.2", "web.3"]
    assert house.status().condition("Stalled").reason == "RunFailed"


async def test_a_new_version_that_never_gets_healthy_is_rolled_back(house):
    back = Update(max_unavailable=1, max_surge=0, on_failure="rollback")
    await house.want(deployment(node(replicas=3, health=PAGE), update=back))
    await house.rest()
    house.machines.sick[key()] = "HTTP 500"
    broken = node(replicas=3, health=PAGE, deploy="#!/bin/sh\nbroken\n")
    await house.want(deployment(broken, update=back), revision="r2")
    await house.rest()
    house.clock.move(1800)
    house.machines.sick.clear()
    await house.rest()

    assert house.status().condition("Stalled").reason == "RolledBack"
    assert house.status().condition("Healthy").status is True
    assert "HTTP 500; rolled back to r1" in house.status().condition("Stalled").message
    assert [i.state for i in house.status().instances] == ["ready"] * 3


async def test_most_of_a_deployment_unhealthy_at_once_waits_for_a_person(house):
    await converged(house, replicas=5)
    for n in (1, 2, 3):
        house.machines.fall_ill(house.machine(key(f"web.{n}")).id)
    await house.rest()

    assert house.instances() == [f"web.{n}#1" for n in range(1, 6)]
    assert "3 of 5 instances are unhealthy at once" in house.status().blocked

    house.people.approve(house.status().blocked.split("`")[1].split()[-1])
    await house.rest()
    assert house.status().is_ready
    assert house.instances() == ["web.1#2", "web.2#2", "web.3#2", "web.4#1", "web.5#1"]
    assert house.ledger.runs["shop"].approved == frozenset()


async def test_what_is_told_of_another_context_or_check_counts_for_nothing(house):
    await converged(house)
    machine, before = house.machine(key()).id, record(house)
    for context, check in ((before.context, "other"), ("other", before.check)):
        house.conversation.on_event(Checked(machine, context, check, HealthState.UNHEALTHY, "no"))

    assert record(house) == before


async def test_a_check_may_be_told_before_the_end_of_its_context(house):
    """Output is told at leisure, and the end after it."""
    house.machines.held.add(key())
    await house.want(ONE)
    await house.rest()
    machine, before = house.machine(key()).id, record(house)
    told = Checked(machine, before.context, before.check, HealthState.HEALTHY)
    house.conversation.on_event(told)
    assert not record(house).is_in_order

    house.machines.held.clear()
    house.machines.release(key())
    assert record(house).is_in_order


async def test_the_same_state_told_again_writes_nothing(house):
    await converged(house)
    machine, before = house.machine(key()).id, record(house)
    house.store.writes.clear()
    house.conversation.on_event(Checked(machine, before.context, before.check, HealthState.HEALTHY))

    assert house.store.writes == []
