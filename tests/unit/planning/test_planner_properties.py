"""What holds for every plan, whatever the world looks like."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.worlds import property_settings, simulated, worlds
from headwater.planning.actions import Contextualise, Create, Terminate
from headwater.planning.budget import portion
from headwater.planning.planner import Plan, plan
from headwater.planning.records import Record, WorkState
from headwater.planning.seats import ALIVE, seats, staleness
from headwater.planning.situation import Situation
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine, MachineState

MOST_PASSES = 80


def _touched(plan: Plan) -> set[MachineId]:
    return {a.machine.id for a in plan.actions if isinstance(a, Terminate | Contextualise)}


def _is_healthy(machine: Machine, situation: Situation) -> bool:
    spec = situation.desired.instances.get(machine.key) if situation.desired else None
    record = situation.records.get(machine.id)
    return (
        spec is not None
        and record is not None
        and machine.state is MachineState.RUNNING
        and machine.tags.machine_digest == spec.machine_digest
        and machine.id.cloud == spec.machine.cloud
        and record.is_in_order
        and not staleness(record, spec, situation)
    )


def _serving(situation: Situation, key: InstanceKey) -> set[MachineId]:
    return {
        machine.id
        for machine in situation.machines
        if machine.key == key
        and machine.state in ALIVE
        and machine.id in situation.records
        and situation.records[machine.id].is_in_order
    }


@given(worlds())
@property_settings
def test_a_wanted_healthy_machine_is_never_touched(situation):
    touched = _touched(plan(situation))

    healthy: dict[InstanceKey, set[MachineId]] = {}
    for machine in situation.machines:
        if _is_healthy(machine, situation):
            healthy.setdefault(machine.key, set()).add(machine.id)

    assert [key for key, machines in healthy.items() if machines <= touched] == []


@given(worlds(), st.booleans())
@property_settings
def test_an_incomplete_listing_creates_and_deletes_nothing(situation, gone):
    desired = None if gone else situation.desired
    decided = plan(replace(situation, desired=desired, incomplete="the cloud is down"))

    assert {type(action) for action in decided.actions} <= {Contextualise}


@given(worlds(), st.data())
@property_settings
def test_nothing_is_created_for_an_instance_in_limbo(situation, data):
    keys = sorted(situation.desired.instances)
    limbo = data.draw(st.sets(st.sampled_from(keys)) if keys else st.just(set()))

    decided = plan(replace(situation, limbo=frozenset(limbo)))

    assert not limbo & {action.key for action in decided.actions if isinstance(action, Create)}


@given(worlds())
@property_settings
def test_passes_converge_to_one_machine_per_instance_and_then_plan_nothing(situation):
    world = simulated(replace(situation, run=replace(situation.run, number=3)))
    for _ in range(MOST_PASSES):
        decided = plan(world.situation())
        world.carry_out(decided)
        if not world.elapse() and not decided.actions:
            break

    assert plan(world.situation()) == Plan("shop", ())
    assert sorted(m.key for m in world.machines.values()) == sorted(situation.desired.instances)
    assert all(record.state is WorkState.SUCCEEDED for record in world.records.values())


@given(worlds())
@property_settings
def test_a_removed_deployment_keeps_no_machine(situation):
    world = simulated(replace(situation, desired=None))

    world.carry_out(plan(world.situation()))

    assert {machine.state for machine in world.machines.values()} <= {MachineState.STOPPING}


@given(worlds(), st.randoms(use_true_random=False))
@property_settings
def test_the_order_of_machines_and_records_does_not_matter(situation, rng: random.Random):
    machines, records = list(situation.machines), list(situation.records.items())
    rng.shuffle(machines)
    rng.shuffle(records)
    shuffled = replace(situation, machines=tuple(machines), records=dict(records))

    assert plan(shuffled) == plan(situation)


@given(worlds())
@property_settings
def test_the_digest_does_not_depend_on_the_revision(situation):
    other = replace(
        situation,
        run=replace(situation.run, revision="another"),
        machines=tuple(
            replace(m, tags=replace(m.tags, revision="another")) for m in situation.machines
        ),
    )

    assert plan(other).digest == plan(situation).digest


@given(worlds())
@property_settings
def test_no_machine_is_acted_on_twice_and_no_instance_is_created_twice(situation):
    decided = plan(situation)
    touched = [a.machine.id for a in decided.actions if isinstance(a, Terminate | Contextualise)]
    created = [a.key for a in decided.actions if isinstance(a, Create)]

    assert (len(touched), len(created)) == (len(set(touched)), len(set(created)))


@given(worlds())
@property_settings
def test_a_new_machine_has_a_higher_incarnation_than_any_before(situation):
    known = dict(situation.incarnations)
    for machine in situation.machines:
        known[machine.key] = max(machine.tags.incarnation, known.get(machine.key, 0))

    assert [
        action.key
        for action in plan(situation).actions
        if isinstance(action, Create) and action.incarnation <= known.get(action.key, 0)
    ] == []


@given(worlds())
@property_settings
def test_no_more_than_max_unavailable_serving_instances_of_a_node_are_taken_away(situation):
    touched = _touched(plan(situation))

    for keys in situation.desired.nodes.values():
        serving = {key: _serving(situation, key) for key in keys}
        absent = sum(not machines for machines in serving.values())
        taken = sum(bool(machines) and machines <= touched for machines in serving.values())
        limit = portion(situation.desired.update.max_unavailable, len(keys))

        assert taken == 0 or absent + taken <= max(limit, 1)


@given(worlds())
@property_settings
def test_no_more_than_max_surge_machines_are_added_beside_living_ones(situation):
    decided = plan(situation)
    ended = {action.machine.id for action in decided.actions if isinstance(action, Terminate)}
    alive = {m.id: m.key for m in situation.machines if m.state in ALIVE}
    staying = {key for id, key in alive.items() if id not in ended}

    for keys in situation.desired.nodes.values():
        beside = [a for a in decided.actions if isinstance(a, Create) and a.key in staying]
        added = sum(action.key in keys for action in beside)
        extra = sum(max(0, list(alive.values()).count(key) - 1) for key in keys)
        limit = portion(situation.desired.update.max_surge, len(keys))

        assert added == 0 or extra + added <= limit


@given(worlds())
@property_settings
def test_a_node_is_updated_only_when_the_ones_ordered_before_it_are(situation):
    decided = plan(situation)
    touched = _touched(decided)
    every = seats(situation)
    nodes = situation.desired.nodes
    order = [name for name in situation.desired.update.order if name in nodes]
    unfinished = [n for n, name in enumerate(order) if not all(every[k].ready for k in nodes[name])]
    later = (set(nodes) - set(order[: unfinished[0] + 1])) if unfinished else set()
    replaced = {a.key.node for a in decided.actions if isinstance(a, Create) and a.replaces}
    taken = {
        key.node for key in every if (serving := _serving(situation, key)) and serving <= touched
    }

    assert not later & (replaced | taken)


@given(worlds())
@property_settings
def test_creation_and_repair_are_not_limited(situation):
    there = {machine.key for machine in situation.machines if machine.state in ALIVE}
    created = {action.key for action in plan(situation).actions if isinstance(action, Create)}

    assert set(situation.desired.instances) - there <= created


@given(worlds())
@property_settings
def test_an_aborted_run_creates_and_contextualises_nothing(situation):
    aborted = replace(situation, run=replace(situation.run, abort="enough"))

    assert {type(action) for action in plan(aborted).actions} <= {Terminate}


@pytest.mark.parametrize("number", [1, 2])
@given(situation=worlds())
@property_settings
def test_a_new_run_runs_the_recipes_of_the_failed_ones_only(situation, number):
    """Everybody is up and has run what is wanted; some failed, in run 1."""
    world = simulated(situation)
    world.machines.clear()
    world.records.clear()
    world.carry_out(plan(world.situation()))
    world.carry_out(plan(world.situation()))
    ids = sorted(world.records)
    broken = set(ids[::2])
    world.records = {
        id: _ended(record, failed=id in broken) for id, record in world.records.items()
    }
    world.run = replace(world.run, number=number)

    assert _touched(plan(world.situation())) == (broken if number == 2 else set())


def _ended(record: Record, *, failed: bool) -> Record:
    state = WorkState.FAILED if failed else WorkState.SUCCEEDED
    return replace(record, state=state, run=1, reason="exit" if failed else "")
