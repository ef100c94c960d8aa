"""What a situation amounts to."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import NOON, desired, failed, key, machine, node, record, run, situation
from headwater.manifests.resolved import Update
from headwater.planning.failure import explain, failure
from headwater.planning.planner import plan
from headwater.planning.records import Record, WorkState
from headwater.planning.status import DeploymentStatus, Phase
from headwater.planning.verdict import assess, invalid
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.machines import Machine, MachineState

WEB = desired(node("web", 2))
ONE, TWO = WEB.instances.values()
TIMEOUT = WEB.provision_timeout

Pair = tuple[Machine, Record | None]


def assessed(*pairs: Pair, system: Desired | None = WEB, **rest: Any) -> DeploymentStatus:
    now = situation(system, pairs, **rest)
    return assess(now, plan(now))


def serving(spec: InstanceSpec = ONE, id: str = "m1") -> Pair:
    return machine(spec, id), record(spec)


def at_work(
    spec: InstanceSpec = ONE, state: WorkState = WorkState.RUNNING, id: str = "m1", **rest: Any
) -> Pair:
    return machine(spec, id), replace(record(spec, state), **rest)


def told(status: DeploymentStatus, type: str) -> str:
    """The message of this condition."""
    condition = status.condition(type)
    assert condition is not None
    return condition.message


def conditions(status: DeploymentStatus) -> dict[str, bool]:
    return {condition.type: condition.status for condition in status.conditions}


class TestPhase:
    def test_nothing_exists_yet(self):
        assert assessed().phase is Phase.INITIALIZING

    def test_machines_are_missing_or_have_not_answered(self):
        assert assessed(serving()).phase is Phase.PROVISIONING
        assert (
            assessed(serving(), at_work(TWO, WorkState.WAITING, "m2")).phase is Phase.PROVISIONING
        )

    def test_recipes_run(self):
        assert assessed(serving(), at_work(TWO, id="m2")).phase is Phase.EXECUTING

    def test_all_serve(self):
        status = assessed(serving(), serving(TWO, "m2"))

        assert status.phase is Phase.READY
        assert conditions(status) == {"Ready": True, "Reconciling": False, "Stalled": False}
        assert (status.ready, status.desired) == (2, 2)

    def test_the_run_was_aborted(self):
        status = assessed(serving(), run=run(abort="web.2: boom"))

        assert status.phase is Phase.ABORTED
        assert conditions(status) == {"Ready": False, "Reconciling": False, "Stalled": True}
        assert told(status, "Stalled") == "web.2: boom"

    def test_the_manifest_is_gone(self):
        removing = assessed(serving(), system=None)

        assert (removing.phase, removing.conditions[1].message) == (
            Phase.FINALIZING,
            "1 machines to remove",
        )
        assert assessed(system=None).phase is Phase.DONE


def test_what_a_cloud_cannot_do_is_said_and_waits_for_a_person():
    status = assessed(problems=("cloud local installs no packages",))

    assert told(status, "Stalled") == "cloud local installs no packages"
    assert status.diagnostics == ("cloud local installs no packages",)


def test_progress_is_told_in_counts():
    status = assessed(at_work(ONE))

    assert told(status, "Reconciling") == "1 contextualising, 1 missing"


def test_a_plan_that_is_held_back_is_not_ready():
    web = replace(WEB, update=Update(max_surge=0, max_unavailable=0))
    spare = machine(ONE, "m3", digest="old")
    status = assessed(serving(), serving(TWO, "m2"), (spare, None), system=web, incomplete="half")

    assert not status.is_ready
    assert status.diagnostics == ("nothing is created or deleted: half",)


@pytest.mark.parametrize(
    ("pair", "state", "message"),
    [
        ((machine(ONE, state=MachineState.PENDING), None), "pending", ""),
        (at_work(state=WorkState.WAITING), "pending", ""),
        (at_work(state=WorkState.WAITING, trouble="refused"), "unreachable", "refused"),
        (at_work(step="deploy"), "contextualising", ""),
        ((machine(ONE), failed(ONE)), "failed", "deploy exited with 7: boom"),
        (serving(), "ready", ""),
        ((machine(ONE), record(ONE, digest="old")), "outdated", "recipe or inputs changed"),
        ((machine(ONE, digest="old"), record(ONE)), "outdated", ""),
        ((machine(ONE, state=MachineState.STOPPED), record(ONE)), "failed", "machine is stopped"),
        ((machine(ONE, state=MachineState.STOPPING), None), "missing", "machine is stopping"),
    ],
)
def test_an_instance_is_told_by_its_machine_and_what_it_runs(pair, state, message):
    row = assessed(pair).instances[0]

    assert (row.instance, row.state, row.message) == ("web.1", state, message)


def test_an_ignored_recipe_change_leaves_an_instance_ready():
    ignoring = replace(WEB, update=Update(on_recipe_change="ignore"))
    stale = (machine(ONE), record(ONE, digest="old"))

    assert assessed(stale, system=ignoring).instances[0].state == "ready"


def test_a_missing_instance_is_listed():
    row = assessed().instances[1]

    assert (row.instance, row.state, row.cloud, row.machine) == ("web.2", "missing", "local", "")


def test_a_machine_that_nobody_wants_is_listed_as_unwanted():
    extra = machine(ONE, "m9", instance=key("db.1"))
    status = assessed(serving(), serving(TWO, "m2"), (extra, None))

    assert [(row.instance, row.state) for row in status.instances][2:] == [("db.1", "unwanted")]
    assert not status.is_ready


def test_the_inventory_names_machine_address_and_incarnation():
    row = assessed((machine(ONE, "m7", incarnation=3), record(ONE))).instances[0]

    assert (row.machine, row.address, row.incarnation) == ("m7", "10.0.0.7", 3)


class TestFailure:
    def of(self, *pairs: Pair, **rest: Any) -> str:
        return failure(situation(WEB, pairs, **rest))

    def test_a_failed_recipe_fails_the_run_in_its_own_words(self):
        assert self.of((machine(ONE), failed(ONE))) == "web.1: deploy exited with 7: boom"

    def test_the_first_instance_speaks(self):
        pairs = [(machine(TWO, "m2"), failed(TWO)), (machine(ONE), failed(ONE, "first"))]

        assert self.of(*pairs).startswith("web.1: ")

    def test_a_failure_of_an_earlier_run_is_past(self):
        assert self.of((machine(ONE), failed(ONE, run=1)), run=run(2)) == ""

    def test_an_interrupted_recipe_fails_nothing(self):
        assert self.of((machine(ONE), replace(failed(ONE), reason="interrupted"))) == ""

    def test_a_system_that_is_wanted_no_more_does_not_fail(self):
        assert failure(situation(None, [(machine(ONE), failed(ONE))])) == ""

    def test_a_machine_has_the_provision_timeout_to_answer(self):
        silent = at_work(state=WorkState.WAITING)

        assert self.of(silent, after=TIMEOUT - 1) == ""
        assert (
            self.of(silent, after=TIMEOUT)
            == "web.1: no contact within 600 s: its agent did not answer"
        )

    def test_the_lines_trouble_is_the_reason(self):
        silent = at_work(state=WorkState.WAITING, trouble="connection refused")

        assert self.of(silent, after=TIMEOUT).endswith("600 s: connection refused")

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"state": MachineState.PENDING}, "its machine is pending"),
            ({"address": None}, "its cloud tells no address"),
            (
                {"address": None, "facts": {"fault": "no more"}},
                "its cloud tells no address: no more",
            ),
            ({"host_key": None}, "its cloud tells no host key"),
        ],
    )
    def test_a_machine_that_does_not_come_up_in_time_fails_the_run(self, change, why):
        pair = (replace(machine(ONE), **change), None)

        assert self.of(pair, after=TIMEOUT - 1) == ""
        assert self.of(pair, after=TIMEOUT) == f"web.1: no contact within 600 s: {why}"

    def test_a_new_run_gives_it_all_the_time_again(self):
        silent = at_work(state=WorkState.WAITING)
        later = replace(run(2), started=NOON.replace(hour=13))

        assert self.of(silent, after=3600.0 + TIMEOUT - 1, run=later) == ""
        assert self.of(silent, after=3600.0 + TIMEOUT, run=later) != ""

    def test_a_machine_that_has_answered_may_take_as_long_as_its_recipes_do(self):
        assert self.of(at_work(), after=10 * TIMEOUT) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "deploy exited with 7: boom"),
        ({"words": ""}, "deploy exited with 7"),
        ({"reason": "timeout"}, "deploy ran into the execute timeout and was stopped: boom"),
        ({"reason": "aborted"}, "deploy was stopped: boom"),
        ({"reason": "unstartable"}, "deploy could not be started: boom"),
        ({"reason": "refused"}, "boom"),
        ({"reason": "lost", "words": ""}, "lost"),
    ],
)
def test_a_failure_is_explained(change, words):
    assert explain(replace(failed(ONE), **change)) == words


class TestInvalid:
    def test_a_running_system_stays_as_it_is_and_says_what_is_wrong(self):
        before = assessed(serving(), serving(TWO, "m2"))
        status = invalid("shop", ["shop.toml:1:1: wrong"], before)

        assert (status.ready, status.phase) == (2, Phase.READY)
        assert status.is_stalled
        assert status.conditions[0].message == "shop.toml:1:1: wrong"

    def test_a_system_that_never_was_is_stalled_too(self):
        status = invalid("shop", ["a", "b"], None)

        assert (status.is_stalled, status.diagnostics) == (True, ("a", "b"))
