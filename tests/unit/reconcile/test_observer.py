"""What the clouds show, and what follows from what they do not."""

import asyncio
from dataclasses import replace

import pytest

from fakes.builders import desired, key, machine, node
from fakes.cloud import FakeClouds
from headwater.manifests.resolved import Size
from headwater.planning.events import CloudListed, Event
from headwater.reconcile.observer import Observer
from headwater.topology.machines import MachineState

WEB = desired(node("web", 2))
ONE, TWO = (machine(spec, f"m{n}") for n, spec in enumerate(WEB.instances.values(), 1))


@pytest.fixture
def clouds() -> FakeClouds:
    there = FakeClouds()
    for each in (ONE, TWO):
        there.put(each)
    return there


@pytest.fixture
def observer(clouds: FakeClouds) -> Observer:
    return Observer(clouds, lambda _: None)


def known(observer: Observer) -> list[str]:
    return sorted(each.id.id for each in observer.machines("shop"))


async def look(observer: Observer) -> set[str]:
    return await observer.refresh(["local"])


async def begun(clouds: FakeClouds, listings: int) -> None:
    """That many have been asked for."""
    while clouds.listings["local"] < listings:  # noqa: ASYNC110  # the fake tells nobody
        await asyncio.sleep(0)


async def test_the_first_listing_shows_every_machine_and_whom_it_concerns(observer):
    assert await look(observer) == {"shop"}
    assert known(observer) == ["m1", "m2"]
    assert observer.deployments() == {"shop"}


async def test_the_sizes_that_are_there_and_coming_are_counted(observer):
    await look(observer)
    small, large = ONE.tags.size, Size(cpus=64)
    observer.expect_new({("local", large): 2, ("lab", small): 1})

    assert observer.sizes("local") == {small: 2, large: 2}
    assert observer.count("local") == 4

    observer.expect_new({("local", large): -2})
    assert observer.sizes("local") == {small: 2}


async def test_a_listing_without_news_concerns_nobody(observer):
    await look(observer)

    assert await look(observer) == set()


async def test_a_changed_machine_concerns_its_deployment(observer, clouds):
    await look(observer)
    clouds.become(ONE.id, MachineState.STOPPED)

    assert await look(observer) == {"shop"}
    assert observer.machine(ONE.id).state is MachineState.STOPPED


async def test_a_machine_is_gone_only_after_two_looks(observer, clouds):
    await look(observer)
    clouds.lose(ONE.id)
    first, limbo = await look(observer), observer.limbo("shop")
    second = await look(observer)

    assert (first, limbo, second) == ({"shop"}, {key("web.1")}, {"shop"})
    assert (observer.limbo("shop"), observer.has_limbo) == (frozenset(), False)
    assert known(observer) == ["m2"]
    assert await look(observer) == set()


async def test_a_machine_that_was_missing_once_comes_back(observer, clouds):
    await look(observer)
    clouds.omitted.add(ONE.id)
    await look(observer)
    clouds.omitted.clear()
    changed = await look(observer)

    assert (changed, known(observer), observer.limbo("shop")) == ({"shop"}, ["m1", "m2"], set())


async def test_machines_of_before_a_restart_have_two_looks_too(observer, clouds):
    clouds.lose(ONE.id)
    observer.expect([(ONE.id, ONE.key), (TWO.id, TWO.key)])
    await look(observer)
    first = observer.limbo("shop")
    changed = await look(observer)

    assert (first, changed, observer.limbo("shop")) == ({key("web.1")}, {"shop"}, set())


async def test_an_incomplete_listing_makes_nothing_gone(observer, clouds):
    await look(observer)
    clouds.unlistable["local"] = "503"
    await look(observer)
    await look(observer)

    assert known(observer) == ["m1", "m2"]
    assert observer.limbo("shop") == set()
    assert observer.incomplete(["local"]) == "the listing of cloud local is incomplete: 503"


async def test_incomplete_looks_between_two_complete_ones_do_not_count(observer, clouds):
    await look(observer)
    clouds.lose(ONE.id)
    await look(observer)
    clouds.unlistable["local"] = "503"
    await look(observer)

    assert observer.limbo("shop") == {key("web.1")}


async def test_a_cloud_that_was_never_listed_is_incomplete(observer):
    before = observer.incomplete(["local"])
    await look(observer)

    assert before == "cloud local has not been listed yet"
    assert observer.incomplete(["local"]) == ""
    assert observer.incomplete(["local", "lab"]) == "cloud lab has not been listed yet"


async def test_own_writes_show_before_the_next_listing(observer):
    await look(observer)
    new = replace(ONE, id=replace(ONE.id, id="m3"))
    observer.created(new)
    observer.terminated(TWO)

    assert known(observer) == ["m1", "m3"]


async def test_a_machine_terminated_during_a_listing_does_not_come_back_with_it(observer, clouds):
    await look(observer)
    clouds.gate.clear()
    late = asyncio.create_task(look(observer))
    await begun(clouds, 2)
    observer.terminated(ONE)
    clouds.gate.set()

    assert await late == set()
    assert known(observer) == ["m2"]


async def test_a_machine_made_during_a_listing_is_not_missed_by_it(observer, clouds):
    clouds.lose(ONE.id)
    await look(observer)
    clouds.gate.clear()
    late = asyncio.create_task(look(observer))
    await begun(clouds, 2)
    observer.created(ONE)
    clouds.gate.set()
    await late

    assert known(observer) == ["m1", "m2"]
    assert not observer.has_limbo


async def test_one_listing_serves_every_deployment(clouds):
    (spec,) = desired(name="other").instances.values()
    clouds.put(machine(spec, "m9"))
    observer = Observer(clouds, lambda _: None)

    assert await look(observer) == {"shop", "other"}
    assert clouds.listings == {"local": 1}


async def test_every_listing_is_told_with_its_counts(clouds):
    told: list[Event] = []
    clouds.unknown["local"] = 3
    await Observer(clouds, told.append).refresh(["local"])

    assert [(e.cloud, e.machines, e.unknown) for e in told if isinstance(e, CloudListed)] == [
        ("local", 2, 3)
    ]
