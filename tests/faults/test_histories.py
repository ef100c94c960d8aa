"""Random histories of a whole controller: whatever happens, nothing is lost or doubled."""

import os
from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from libcloud.compute.types import NodeState

from faults.simulated_cloud import registered
from faults.weather import Fault
from faults.wishes import BROKEN, GARBLED, NAMES, Wish
from faults.world import World

HISTORIES = int(os.environ.get("HEADWATER_HISTORIES", "2000"))
SEED = int(os.environ.get("HEADWATER_HISTORIES_SEED", "0"))
STEPS = int(os.environ.get("HEADWATER_HISTORIES_STEPS", "9"))
"""At most, of one history. Longer ones find more, and take longer."""
SHARDS = 16

names = st.sampled_from(NAMES)
numbers = st.integers(0, 30)
wishes = st.builds(
    Wish,
    replicas=st.integers(0, 5),
    image=st.sampled_from(["debian-12", "debian-13"]),
    recipe=st.sampled_from(["serve", "serve", "serve more", "exit 7"]),
    policy=st.sampled_from(["rerun", "rerun", "replace", "ignore"]),
    unavailable=st.sampled_from(["25%", 0, 1, 2, "50%"]),
    surge=st.sampled_from([1, 0, 2, "50%"]),
)
good = st.dictionaries(
    names,
    st.builds(
        Wish,
        replicas=st.integers(0, 4),
        image=st.sampled_from(["debian-12", "debian-13"]),
        recipe=st.sampled_from(["serve", "serve more"]),
        policy=st.sampled_from(["rerun", "replace"]),
    ),
)
pauses = st.sampled_from([0.0, 0.3, 0.3, 1.0, 1.0, 5.0, 5.0, 15.0, 15.0, 120.0])
"""Seconds. Most of what goes wrong does so shortly after something else."""
weathers = st.sets(st.sampled_from(Fault), max_size=8)
deaths = st.sampled_from([NodeState.TERMINATED, NodeState.STOPPED, NodeState.ERROR])


class Histories(RuleBasedStateMachine):
    """Every rule is one thing that happens, and a while that passes."""

    figures: ClassVar[Counter[str]] = Counter()

    @initialize(
        number=st.integers(0, 2**32 - 1),
        replicas=st.integers(1, 4),
        faults=weathers,
        last=good,
        seconds=pauses,
    )
    def begin(self, number, replicas, faults, last, seconds):
        self.last = last
        self.world = World(number)
        start = {name: Wish(replicas) for name in NAMES[1:]}
        self.world.weather.change(faults)
        self.world.step(lambda: self._begin(start), seconds)

    def _begin(self, start: dict[str, Wish]) -> None:
        for number in range(2):
            self.world.foreigner(number)
        self.world.commit(start)
        self.world.start()

    def _commit(self, seconds: float, change: dict[str, Wish | str]) -> None:
        self.world.step(lambda: self.world.commit({**self.world.wishes, **change}), seconds)

    @rule(name=names, wish=wishes, seconds=pauses)
    def rewrite(self, name, wish, seconds):
        self._commit(seconds, {name: wish})

    @rule(name=names, replicas=st.integers(0, 5), seconds=pauses)
    def scale(self, name, replicas, seconds):
        self._edit(name, seconds, replicas=replicas)

    @rule(name=names, image=st.sampled_from(["debian-12", "debian-13"]), seconds=pauses)
    def change_image(self, name, image, seconds):
        self._edit(name, seconds, image=image)

    @rule(name=names, recipe=st.sampled_from(["serve", "serve more"]), seconds=pauses)
    def change_recipe(self, name, recipe, seconds):
        self._edit(name, seconds, recipe=recipe)

    def _edit(self, name: str, seconds: float, **changes: Any) -> None:
        now = self.world.wishes.get(name)
        wish = now if isinstance(now, Wish) else Wish()
        fields = {field: getattr(wish, field) for field in Wish.__slots__}
        self._commit(seconds, {name: Wish(**{**fields, **changes})})

    @rule(name=names, seconds=pauses)
    def break_manifest(self, name, seconds):
        self._commit(seconds, {name: BROKEN})

    @rule(seconds=pauses)
    def garble_a_file(self, seconds):
        rest = dict(list(self.world.wishes.items())[1:])
        self.world.step(lambda: self.world.commit({**rest, "unknown": GARBLED}), seconds)

    @rule(gone=st.sets(names, min_size=1, max_size=3), seconds=pauses)
    def remove(self, gone, seconds):
        rest = {name: wish for name, wish in self.world.wishes.items() if name not in gone}
        self.world.step(lambda: self.world.commit(rest), seconds)

    @rule(rest=good, seconds=pauses)
    def force_push(self, rest, seconds):
        self.world.step(lambda: self.world.rewind(rest), seconds)

    @rule(faults=weathers, seconds=pauses)
    def change_weather(self, faults, seconds):
        self.world.step(lambda: self.world.weather.change(faults), seconds)

    @rule(limit=st.integers(1, 8), seconds=pauses)
    def lower_the_quota(self, limit, seconds):
        account = self.world.accounts["north" if limit % 2 else "south"]
        self.world.step(lambda: setattr(account, "limit", limit), seconds)

    @rule(number=numbers, state=deaths, seconds=pauses)
    def machine_dies(self, number, state, seconds):
        self.world.step(lambda: self.world.die(number, state), seconds)

    @rule(number=numbers, seconds=pauses)
    def machine_reboots(self, number, seconds):
        self.world.step(lambda: self.world.reboot(number), seconds)

    @rule(number=numbers, seconds=pauses)
    def machine_leaks(self, number, seconds):
        self.world.step(lambda: self.world.stray(number), seconds)

    @rule(seconds=pauses)
    def lines_drop(self, seconds):
        self.world.step(self.world.drop_lines, seconds)

    @rule(seconds=pauses)
    def controller_is_killed(self, seconds):
        self.world.step(self.world.restart, seconds)

    @rule(seconds=pauses)
    def controller_is_killed_and_its_store_lost(self, seconds):
        self.world.step(lambda: self.world.restart(forget=True), seconds)

    @rule(seconds=pauses)
    def person_approves(self, seconds):
        self.world.step(self.world.approve, seconds)

    @rule(seconds=pauses)
    def person_retries(self, seconds):
        self.world.step(self.world.retry, seconds)

    @rule(seconds=pauses)
    def nothing_happens(self, seconds):
        self.world.step(lambda: None, seconds)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.failed:
                self.world.step(lambda: self.world.calm(self.last), 0.0)
        finally:
            self.figures.update(self.world.figures())
            self.world.close()


@pytest.fixture(autouse=True, scope="module")
def drivers():
    with registered():
        yield


@pytest.fixture(autouse=True)
def same_histories(monkeypatch):
    """Of one seed, wherever it runs.

    Hypothesis draws some numbers from the source of whatever modules were imported before.
    """
    monkeypatch.setattr(providers, "_get_local_constants", Constants)
    monkeypatch.setattr(providers, "CONSTANTS_CACHE", LRUCache(1024))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_after_any_history_the_system_stands_and_nothing_was_lost_or_doubled(
    shard, record_property
):
    Histories.figures = Counter()
    count = HISTORIES // SHARDS + (shard < HISTORIES % SHARDS)
    run_state_machine_as_test(
        seed(SEED * SHARDS + shard)(Histories),
        settings=settings(
            max_examples=max(count, 1),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("figures", dict(Histories.figures))
