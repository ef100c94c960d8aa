"""Hypothesis strategies: wanted systems, and worlds that may have come from anywhere."""

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fakes.builders import HOST_KEY, NOON, PAGE, checked, desired, key, node
from fakes.simulation import Simulation, inputs
from headwater.manifests.resolved import Binding, Reference, ResolvedNode, Update
from headwater.planning.records import Record, Run, WorkState
from headwater.planning.situation import Situation
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine, MachineState, Tags
from headwater.topology.progress import HealthState

NODES = ("a", "b", "c")
STRAYS = (key("z.1"), key("a.9"))

property_settings = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

updates = st.builds(
    Update,
    max_unavailable=st.sampled_from([0, 1, 2, "0%", "25%", "50%", "100%"]),
    max_surge=st.sampled_from([0, 1, 2, "50%"]),
    on_recipe_change=st.sampled_from(["rerun", "replace", "ignore"]),
    order=st.lists(st.sampled_from(NODES), unique=True, max_size=3).map(tuple),
)


@st.composite
def _nodes(draw: st.DrawFn, name: str, *, readable: tuple[str, ...]) -> ResolvedNode:
    replicas = draw(st.integers(0, 4))
    there = draw(st.integers(0, replicas))
    source = draw(st.sampled_from((None, *readable)))
    bound: dict[str, Binding | None] = {}
    if source is not None:
        bound["peer"] = Reference(source, draw(st.sampled_from([None, 1])), "hostname")
    return node(
        name,
        replicas,
        clouds=(("local", replicas - there), ("lab", there)),
        image=draw(st.sampled_from(["debian-12", "debian-13"])),
        deploy=draw(st.sampled_from(["", "#!/bin/sh\nserve\n"])),
        inputs=bound,
        skip=draw(st.sets(st.integers(1, 4), max_size=1)),
        health=draw(st.sampled_from([None, PAGE])),
    )


@st.composite
def systems(draw: st.DrawFn) -> Desired:
    """Nodes read only from nodes before them: replacing in a circle never ends."""
    names = draw(st.lists(st.sampled_from(NODES), unique=True, min_size=1).map(tuple))
    nodes = [draw(_nodes(name, readable=names[:n])) for n, name in enumerate(names)]
    return desired(*nodes, update=draw(updates))


@st.composite
def worlds(draw: st.DrawFn) -> Situation:
    """A run, number 2, in the middle of anything: nothing is incomplete and nobody has aborted."""
    wanted = draw(systems())
    keys = st.sampled_from([*wanted.instances, *STRAYS])
    world = Simulation(wanted, Run(2, "r2", wanted.digest, NOON))
    for n, instance in enumerate(draw(st.lists(keys, max_size=8))):
        machine = draw(_machines(f"m{n}", instance, wanted))
        world.machines[machine.id] = machine
        record = draw(_records(instance, wanted))
        if record is not None:
            world.records[machine.id] = record
    numbers = st.dictionaries(st.sampled_from([*wanted.instances, *STRAYS]), st.integers(1, 5))
    world.incarnations = draw(numbers)
    return _with_inputs_told(draw, world.situation())


@st.composite
def _machines(draw: st.DrawFn, id: str, instance: InstanceKey, wanted: Desired) -> Machine:
    spec = wanted.instances.get(instance)
    digests = [spec.machine_digest, spec.machine_digest, "old"] if spec else ["old"]
    cloud = spec.machine.cloud if spec else "local"
    tags = Tags("house", instance, draw(st.integers(1, 3)), draw(st.sampled_from(digests)), "r1")
    state = draw(st.sampled_from([MachineState.RUNNING] * 4 + list(MachineState)))
    return Machine(MachineId(cloud, id), id, tags, state, f"10.0.0.{id}", 22, HOST_KEY)


@st.composite
def _records(draw: st.DrawFn, instance: InstanceKey, wanted: Desired) -> Record | None:
    spec = wanted.instances.get(instance)
    state = draw(st.sampled_from([None, *WorkState, WorkState.SUCCEEDED, WorkState.SUCCEEDED]))
    if state is None or spec is None:
        return None
    digest = draw(st.sampled_from([spec.work.digest, spec.work.digest, "old"]))
    reason = draw(st.sampled_from(["exit", "interrupted"])) if state is WorkState.FAILED else ""
    number = draw(st.integers(1, 2))
    done = Record(instance, digest, 1, number, state, NOON, reason=reason)
    return _with_health(draw, done, spec) if spec.check else done


def _with_health(draw: st.DrawFn, done: Record, spec: InstanceSpec) -> Record:
    """Asked with the check or before there was one; mostly healthy."""
    done = replace(done, check=draw(st.sampled_from([spec.check_digest, spec.check_digest, ""])))
    if not done.check or draw(st.sampled_from([False, False, False, True])):
        return done
    state = draw(st.sampled_from([HealthState.HEALTHY, HealthState.HEALTHY, *HealthState]))
    return checked(done, state, held=state is HealthState.HEALTHY or draw(st.booleans()))


def _with_inputs_told(draw: st.DrawFn, situation: Situation) -> Situation:
    """Most records were told the values of today, some those of yesterday."""
    told = {
        id: replace(
            record,
            inputs={
                name: draw(st.sampled_from([value, value, "yesterday"]))
                for name, value in situation.inputs.get(record.key, {}).items()
            },
        )
        for id, record in situation.records.items()
    }
    situation = replace(situation, records=told)
    return replace(situation, inputs=inputs(situation))


def simulated(situation: Situation) -> Simulation:
    """The same world, ready to move on."""
    return Simulation(
        desired=situation.desired,
        run=situation.run,
        machines={machine.id: machine for machine in situation.machines},
        records=dict(situation.records),
        incarnations=dict(situation.incarnations),
    )
