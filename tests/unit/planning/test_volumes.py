"""What is decided about volumes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import CLOUD, NOON, STORE, desired, key, machine, node, record, situation
from headwater.manifests.resolved import VolumeSpec
from headwater.planning.actions import Attach, Create, Discard, Retag, Terminate
from headwater.planning.failure import failure
from headwater.planning.guard import guard
from headwater.planning.planner import Plan, plan
from headwater.planning.render import as_document, as_markdown, as_text, counts
from headwater.planning.situation import Situation
from headwater.planning.stock import Stock, by_key
from headwater.planning.volume_rows import written
from headwater.topology.context import Mount
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey
from headwater.topology.volumes import Volume, VolumeId, VolumeKey, VolumeState, VolumeTags

GIBIBYTE = 1 << 30
OLD = desired(node("web", 2, volumes=[STORE]))
NEW = desired(node("web", 2, image="debian-13", volumes=[STORE]))


def volume(  # a volume has so many sides
    instance: str = "web.1",
    machine: str = "",
    *,
    id: str = "",
    name: str = "store",
    state: VolumeState | None = None,
    retain: bool = False,
    ended: bool = False,
    zone: str = "",
) -> Volume:
    tags = VolumeTags("house", VolumeKey(key(instance), name), retain, NOON if ended else None)
    usual = VolumeState.ATTACHED if machine else VolumeState.AVAILABLE
    return Volume(
        VolumeId(CLOUD, id or f"v-{instance}-{name}"),
        name,
        tags,
        state or usual,
        STORE.size,
        machine,
        ("/dev/vdb",) if machine else (),
        zone,
        NOON,
    )


def stocked(wished: Situation, *volumes: Volume, **rest: Any) -> Situation:
    known = frozenset(each.id for each in volumes)
    return replace(wished, stock=Stock(**{"volumes": by_key(volumes), "known": known, **rest}))


def mount(volume: Volume) -> Mount:
    return Mount(volume.id.id, volume.key.name, "/data", ("/dev/vdb",))


def serving(system: Desired, *volumes: Volume) -> list[Any]:
    """A machine for each instance, with the volumes attached that are its own."""
    pairs = []
    for number, spec in enumerate(system.instances.values(), start=1):
        mine = tuple(mount(each) for each in volumes if each.machine == f"m{number}")
        pairs.append((machine(spec, f"m{number}"), replace(record(spec), mounts=mine)))
    return pairs


ATTACHED = (volume("web.1", "m1"), volume("web.2", "m2"))


def settled(system: Desired = OLD, *volumes: Volume, **rest: Any) -> Situation:
    volumes = volumes or ATTACHED
    return stocked(situation(system, serving(OLD, *volumes), **rest), *volumes)


def kinds(decided: Plan) -> list[str]:
    return [f"{type(a).__name__.lower()} {a.key.instance}" for a in decided.actions]


def test_a_new_instance_gets_its_machine_first_and_shows_its_volume():
    decided = plan(situation(desired(node("web", volumes=[STORE]))))

    assert kinds(decided) == ["create web.1"]
    assert as_text([decided]).splitlines()[1:3] == [
        "  + web.1  debian on local  # new",
        "  + web.1  volume store, 3 GiB on local  # new",
    ]
    assert counts([decided])["create"] == 2
    assert "| `+` | web.1 | volume store, 3 GiB on local | new |" in as_markdown([decided])


def test_what_has_all_its_volumes_needs_nothing():
    assert plan(settled()).actions == ()


def test_a_running_machine_is_given_its_volume_before_its_recipes():
    one = desired(node("web", volumes=[STORE]))
    (spec,) = one.instances.values()
    bare = situation(one, [(machine(spec), None)])

    assert kinds(plan(bare)) == ["attach web.1"]
    free = plan(stocked(bare, volume()))
    assert as_text([free]).splitlines()[1] == (
        "  ~ web.1  attach volume store (v-web.1-store)  # its machine is m1 now"
    )
    [begun] = plan(stocked(bare, volume(machine="m1"))).actions
    assert (type(begun).__name__, begun.mounts) == (  # type: ignore[union-attr]
        "Contextualise",
        (mount(volume(machine="m1")),),
    )


def test_a_replacement_breaks_before_it_is_made_although_a_surge_is_allowed():
    decided = plan(settled(NEW))

    assert kinds(decided) == ["terminate web.1", "create web.1"]
    assert not any(isinstance(a, Discard) for a in decided.actions)
    [made] = [a for a in decided.actions if isinstance(a, Create)]
    assert [each.volume for each in made.fittings] == [ATTACHED[0]]
    assert "  ~ web.1  attach volume store (v-web.1-store)" in as_text([decided])


def test_an_instance_that_goes_shows_the_volume_that_goes_with_it():
    decided = plan(settled(desired(node("web", volumes=[STORE]))))

    assert kinds(decided) == ["terminate web.2"]
    assert as_text([decided]).splitlines()[1:3] == [
        "  - web.2  m2  # web has 1 instances now",
        "  - web.2  volume store (v-web.2-store, 3 GiB)  # web has 1 instances now",
    ]
    document: Any = as_document([decided])
    assert [a["kind"] for a in document["deployments"][0]["actions"]] == ["delete", "delete"]


def test_a_retained_volume_of_an_instance_that_goes_is_not_shown_as_lost():
    kept = [ATTACHED[0], volume("web.2", "m2", retain=True)]
    decided = plan(settled(desired(node("web", volumes=[STORE])), *kept))

    [end] = decided.actions
    assert isinstance(end, Terminate)
    assert end.volumes == ()


def test_approving_the_end_of_a_machine_does_not_approve_the_end_of_its_volume():
    scaled = desired(node("web", volumes=[STORE]))
    kept = [ATTACHED[0], volume("web.2", "m2", retain=True)]

    assert plan(settled(scaled)).digest != plan(settled(scaled, *kept)).digest


@pytest.mark.parametrize("machine", ["", "m2"])
def test_a_volume_is_ended_only_when_no_machine_has_it(machine):
    system = desired(node("web", volumes=[STORE]))
    wished = stocked(situation(system, serving(system, *ATTACHED)), ATTACHED[0])
    left = stocked(wished, ATTACHED[0], volume("web.2", machine))

    assert kinds(plan(left)) == ([] if machine else ["discard web.2"])


def test_the_quarantine_is_part_of_what_the_plan_says():
    left = stocked(situation(None), volume(), quarantine=timedelta(days=1))
    text = as_text([plan(left)])

    assert (
        "- web.1  volume store (v-web.1-store, 3 GiB), after 1 day, 0:00:00 of quarantine" in text
    )


def test_deleting_a_volume_of_a_protected_deployment_waits_for_an_approval():
    dropped = replace(desired(node("web", 2)), protect=True)
    free = (volume("web.1"), volume("web.2"))
    left = stocked(
        situation(dropped, [(m, record(dropped.instances[m.key])) for m, _ in serving(dropped)]),
        *free,
    )
    decided = guard(left, plan(left))

    assert decided.actions == ()
    assert [type(a).__name__ for a in decided.withheld] == ["Discard", "Discard"]
    assert "2 instances are protected from this" in decided.blocked
    assert "web.1  volume store (v-web.1-store, 3 GiB)" in as_text([decided])
    approved = replace(left, approvals=frozenset({decided.digest}))
    assert kinds(guard(approved, plan(approved))) == ["discard web.1", "discard web.2"]


def test_volumes_that_are_left_of_many_removed_deployments_wait_too():
    left = stocked(situation(None), volume())
    many = replace(left, fleet=replace(left.fleet, removed=frozenset({"shop", "other"})))

    assert guard(many, plan(many)).actions == ()
    assert kinds(guard(left, plan(left))) == ["discard web.1"]


def test_what_is_wanted_again_is_marked_so():
    ended = volume("web.1", "m1", ended=True)
    [back] = plan(settled(OLD, ended, ATTACHED[1])).actions

    assert isinstance(back, Retag)
    assert (back.tags.ended, back.reason) == (None, "its instance is back")


def test_nothing_is_ended_of_what_the_ledger_does_not_know():
    left = stocked(situation(None), volume(), known=frozenset())

    assert plan(left).actions == ()
    assert plan(left).kept == (
        "web.1/store (v-web.1-store) is not known here and asked for by nobody: left alone",
    )


def test_an_orphaned_deployment_leaves_its_volumes_alone():
    wished = situation(None)
    left = stocked(replace(wished, run=replace(wished.run, orphan=True)), volume())

    assert plan(left).actions == ()
    assert left.is_gone


def test_volumes_in_two_zones_are_an_obstacle_that_is_said():
    other = VolumeSpec("log", GIBIBYTE, "/log")
    wished = situation(desired(node("web", volumes=[STORE, other])))
    apart = stocked(wished, volume(zone="a"), volume(name="log", zone="b"))

    decided = plan(apart)
    assert decided.actions == ()
    assert decided.held == ("web.1: its volumes are in different zones (a, b); looking again",)


def test_a_volume_at_another_cloud_keeps_the_machine_that_has_it():
    moved = desired(node("web", volumes=[STORE], clouds=(("annexe", 1),)))
    one = desired(node("web", volumes=[STORE]))
    there = stocked(situation(moved, serving(one, ATTACHED[0])), ATTACHED[0])

    decided = plan(there)
    assert decided.actions == ()
    assert "its volume store is at cloud local, and cannot come to annexe" in decided.held[0]


@pytest.mark.parametrize("state", [VolumeState.CREATING, VolumeState.CHANGING, VolumeState.FAILED])
def test_no_recipe_begins_on_a_machine_without_its_volume(state):
    one = desired(node("web", volumes=[STORE]))
    (spec,) = one.instances.values()
    wished = stocked(situation(one, [(machine(spec), None)]), volume(state=state))

    decided = plan(wished)
    assert decided.actions == ()
    assert decided.held[0].startswith("web.1/store: it")


def test_a_machine_that_is_not_given_its_volumes_in_time_fails_the_run():
    one = desired(node("web", volumes=[STORE]))
    (spec,) = one.instances.values()
    busy = volume(machine="m9")
    after = one.provision_timeout
    waiting = stocked(situation(one, [(machine(spec), None)], after=after - 1), busy)
    late = stocked(situation(one, [(machine(spec), None)], after=after), busy)

    assert failure(waiting) == ""
    assert failure(late) == "web.1: no contact within 600 s: it has not been given its volumes"


@pytest.mark.parametrize(
    ("size", "words"), [(3 << 30, "3 GiB"), (500_000_000, "476.8 MiB"), (1, "1 B"), (0, "0 B")]
)
def test_sizes_are_written_for_people(size, words):
    assert written(size) == words


STATES = st.sampled_from(VolumeState)
VOLUMES = st.lists(
    st.builds(
        volume,
        st.sampled_from(["web.1", "web.2", "web.3", "db.1"]),
        st.sampled_from(["", "m1", "m2", "m9"]),
        id=st.sampled_from(["v1", "v2", "v3"]),
        name=st.sampled_from(["store", "log"]),
        state=STATES,
        retain=st.booleans(),
        ended=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda each: each.id,
)


def lost(decided: Plan) -> Iterable[Volume]:
    return [action.volume for action in decided.actions if isinstance(action, Discard)]


@given(VOLUMES, st.booleans(), st.booleans(), st.sampled_from([OLD, NEW, None]))
def test_whatever_there_is_no_volume_is_lost_that_is_wanted_used_kept_or_unknown(
    volumes, complete, known, system
):
    ours = frozenset(each.id for each in volumes) if known else frozenset()
    wished = stocked(
        situation(system, serving(OLD), incomplete="" if complete else "half of it"),
        *volumes,
        known=ours,
    )
    decided = plan(wished)
    wanted = {VolumeKey(k, "store") for k in OLD.instances} if system else set[VolumeKey]()

    for each in lost(decided):
        assert each.key not in wanted
        assert each.state is VolumeState.AVAILABLE
        assert not each.tags.retain
        assert each.id in ours
    if not complete:
        assert not [a for a in decided.actions if isinstance(a, Attach | Retag | Discard)]


@given(VOLUMES)
def test_a_volume_is_attached_only_where_it_belongs_and_is_free(volumes):
    decided = plan(stocked(situation(OLD, serving(OLD)), *volumes))

    for action in decided.actions:
        if isinstance(action, Attach) and action.fitting.volume is not None:
            assert action.fitting.volume.is_free
            assert action.fitting.volume.key.instance == action.machine.key


def test_deployments_without_volumes_are_planned_as_before():
    """Nothing of it shows in what they are approved by."""
    one = desired(node("web"))
    made = plan(situation(one))

    assert made.digest == plan(replace(situation(one), stock=Stock(quarantine=timedelta(1)))).digest
    assert isinstance(made.actions[0], Create)
    assert made.actions[0].fittings == ()
    assert InstanceKey("shop", "web", 1) == made.actions[0].key
