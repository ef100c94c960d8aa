"""Gets that nobody can answer end at once, and the recipes decide what that means."""

import asyncio

import pytest

from fakes.builders import deployment, key, node
from fakes.house import House
from fakes.machines import Guest
from headwater.manifests.resolved import Reference, ResolvedDeployment, ResolvedNode, Update
from headwater.planning.status import Phase
from headwater.reconcile.exchange import TIMEOUT
from headwater.topology.progress import Connected, Verb

TURNS = 20
"""Of the event loop, between two passes: enough for everything that can happen."""


@pytest.fixture
async def house() -> House:
    return House()


async def live(house: House, name: str = "shop") -> None:
    """Passes and recipes, until nothing moves any more."""
    for _ in range(60):
        house.looks.clear()
        following = await house.reconcile(name)
        moved = house.machines.work()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if not moved and not house.looks and following.again != 0.0:
            return
    raise AssertionError("it does not come to rest")


def pair(**update: object) -> ResolvedDeployment:
    return deployment(
        node("ce", outputs=["queue", "late"]),
        node("wn", outputs=["slots"]),
        update=Update(**update) if update else None,  # type: ignore[arg-type]
    )


async def idle(_: Guest) -> None:
    pass


def message(house: House) -> str:
    stalled = house.status().condition("Stalled")
    return stalled.message if stalled else ""


async def test_a_writer_that_ends_without_setting_it_fails_the_run_at_once(house):
    async def reader(guest: Guest) -> None:
        await guest.get("ce.queue")

    house.machines.scripts = {"ce": idle, "wn": reader}
    await house.want(pair())
    await live(house)

    assert house.status().phase is Phase.ABORTED
    assert message(house) == (
        "wn.1: deploy exited with 9: ss-get: ce.1:queue will never be set: "
        "ce.1 has ended its recipes without setting it"
    )


async def test_a_get_that_comes_after_the_end_of_its_writer_ends_as_well(house):
    go = asyncio.Event()

    async def reader(guest: Guest) -> None:
        await go.wait()
        await guest.get("ce.queue", patience=None)

    house.machines.scripts = {"ce": idle, "wn": reader}
    await house.want(pair())
    await live(house)
    before = house.status().phase
    go.set()
    for _ in range(TURNS):
        await asyncio.sleep(0)

    assert (before, set(house.looks)) == (Phase.EXECUTING, {"shop"})
    await live(house)
    assert "ce.1:queue will never be set" in message(house)


async def test_a_recipe_with_a_fallback_goes_on(house):
    said = []

    async def reader(guest: Guest) -> None:
        said.append(await guest.ask(Verb.GET, "ce.queue", patience=60.0))

    house.machines.scripts = {"ce": idle, "wn": reader}
    await house.want(pair())
    await live(house)

    assert house.status().phase is Phase.READY
    assert [reply.code for reply in said] == [TIMEOUT]


async def test_a_circle_of_waits_fails_the_run_with_all_of_it_named(house):
    async def first(guest: Guest) -> None:
        await guest.get("wn.slots", patience=None)
        await guest.set("queue", "q")

    async def second(guest: Guest) -> None:
        await guest.get("ce.queue", patience=60.0)
        await guest.set("slots", "4")

    house.machines.scripts = {"ce": first, "wn": second}
    await house.want(pair())
    await live(house)

    assert house.status().phase is Phase.ABORTED
    assert message(house) == (
        "wn.1: deploy exited with 9: ss-get: ce.1:queue will never be set: "
        "wn.1 waits for ce.1:queue, ce.1 waits for wn.1:slots"
    )


async def test_a_circle_that_one_of_them_can_leave_comes_to_a_good_end(house):
    """What the one without a fallback waits for is set after the other has gone on."""
    values = []

    async def first(guest: Guest) -> None:
        values.append(await guest.get("wn.slots", patience=None))

    async def second(guest: Guest) -> None:
        reply = await guest.ask(Verb.GET, "ce.queue", patience=60.0)
        await guest.set("slots", "by myself" if reply.code else "asked")

    house.machines.scripts = {"ce": first, "wn": second}
    await house.want(pair())
    await live(house)

    assert (house.status().phase, values) == (Phase.READY, ["by myself"])


async def test_two_that_set_early_and_read_late_shake_hands(house):
    async def shake(guest: Guest, mine: str, yours: str) -> None:
        await guest.set(mine, "here")
        assert await guest.get(yours) == "here"

    house.machines.scripts = {
        "ce": lambda guest: shake(guest, "queue", "wn.slots"),
        "wn": lambda guest: shake(guest, "slots", "ce.queue"),
    }
    await house.want(pair())
    await live(house)

    assert house.status().phase is Phase.READY


async def test_an_own_value_that_nobody_sets_is_named(house):
    async def reader(guest: Guest) -> None:
        await guest.get("slots")

    house.machines.scripts = {"ce": idle, "wn": reader}
    await house.want(pair())
    await live(house)

    assert message(house).endswith("wn.1:slots will never be set: wn.1 waits for its own value")


async def test_a_writer_whose_machine_is_not_up_yet_is_waited_for(house):
    async def reader(guest: Guest) -> None:
        await guest.get("ce.queue")

    async def writer(guest: Guest) -> None:
        await guest.set("queue", "q")

    house.machines.scripts = {"ce": writer, "wn": reader}
    house.machines.silent.add(key("ce.1"))
    await house.want(pair())
    await live(house)
    waiting = house.status().phase
    house.machines.silent.clear()
    await live(house)

    assert (waiting, house.status().phase) == (Phase.PROVISIONING, Phase.READY)


async def test_a_writer_that_was_interrupted_runs_again_and_is_waited_for(house):
    async def reader(guest: Guest) -> None:
        await guest.get("ce.queue")

    async def writer(guest: Guest) -> None:
        await guest.set("queue", "q")

    house.machines.held.add(key("ce.1"))
    house.machines.scripts = {"wn": reader}
    await house.want(pair())
    await live(house)
    house.machines.scripts["ce"] = writer
    house.machines.reboot(house.machine(key("ce.1")).id)
    await live(house)

    assert house.status().phase is Phase.READY


async def test_a_writer_that_runs_again_for_a_changed_recipe_is_waited_for(house):
    async def writer(guest: Guest) -> None:
        await guest.set("queue", "q")

    async def reader(guest: Guest) -> None:
        await guest.get("ce.queue")

    house.machines.scripts = {"ce": idle, "wn": idle}
    await house.want(pair())
    await live(house)
    house.machines.scripts = {"ce": writer, "wn": reader}
    changed = deployment(
        node("ce", outputs=["queue", "late"], deploy="#!/bin/sh\n#2\n"),
        node("wn", outputs=["slots"], deploy="#!/bin/sh\n#2\n"),
        update=Update(max_unavailable=1, order=("wn", "ce")),
    )
    await house.want(changed, revision="r2")
    # The reader runs first, and the writer is not told to yet.
    for _ in range(4):
        await house.reconcile()
        house.machines.work()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    waiting = house.exchange.waits.of("shop")
    assert [each.asker for each in waiting] == [key("wn.1")]
    assert house.status().phase is not Phase.ABORTED


async def test_the_replacement_of_a_writer_that_is_gone_is_waited_for(house):
    async def writer(guest: Guest) -> None:
        await guest.set("queue", "q")

    async def reader(guest: Guest) -> None:
        await guest.get("ce.queue")

    house.machines.scripts = {"ce": writer, "wn": idle}
    await house.want(pair())
    await live(house)
    house.clouds.lose(house.machine(key("ce.1")).id)
    house.machines.scripts["wn"] = reader
    await house.look()
    await house.look()
    await live(house)

    assert house.status().phase is Phase.READY


async def test_on_a_new_line_nothing_is_known_of_the_step(house):
    async def first(guest: Guest) -> None:
        await guest.get("wn.slots")

    house.machines.scripts = {"ce": first}
    house.machines.held.add(key("wn.1"))
    await house.want(pair())
    await live(house)
    machine = house.machine(key("ce.1")).id
    before = dict(house.exchange.waits.only)
    house.conversation.on_event(Connected(machine))

    assert (list(before), house.exchange.waits.only) == ([machine], {})


async def test_a_reference_to_an_instance_that_does_not_exist_is_named(house):
    async def reader(guest: Guest) -> None:
        await guest.get("server")

    nobody: ResolvedNode = node("ce", 0, outputs=["queue"])
    house.machines.scripts = {"wn": reader}
    await house.want(deployment(nobody, node("wn", inputs={"server": Reference("ce", 1, "queue")})))
    await live(house)

    assert "ce.1:queue will never be set: ce.1 is not in the deployment" in message(house)
