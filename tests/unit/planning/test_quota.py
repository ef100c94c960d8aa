"""What fits, cloud by cloud."""

from dataclasses import replace

from fakes.builders import catalog, desired, machine, node, record, situation
from headwater.errors import Stalled
from headwater.manifests.resolved import Quota, ResolvedCloud, Size
from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.decision import decide
from headwater.planning.quota import within
from headwater.planning.room import Room, room
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.machines import Capabilities
from headwater.topology.sizes import Offer

GIB = 1 << 30
SOLD = (
    Offer("small", "small", cpus=2, memory=2 * GIB, price=0.1),
    Offer("large", "large", cpus=4, memory=8 * GIB, price=0.4),
)


def specs(replicas: int, cloud: str = "local") -> list[InstanceSpec]:
    wished = desired(node("web", replicas, clouds=((cloud, replicas),)))
    return list(wished.instances.values())


def creates(replicas: int, cloud: str = "local") -> list[Action]:
    return [Create(spec, 1, "new") for spec in specs(replicas, cloud)]


def space(**left: int) -> dict[str, Room]:
    """Room for so many."""
    return {cloud: Room({"machines": count}) for cloud, count in left.items()}


def sized(size: Size, count: int) -> list[Action]:
    return [Create(_with(spec, size), 1, "new") for spec in specs(count)]


def _with(spec: InstanceSpec, size: Size) -> InstanceSpec:
    return replace(spec, machine=replace(spec.machine, size=size))


def test_what_fits_is_made_and_the_rest_is_counted():
    kept, short = within(creates(5), space(local=3))

    assert [action.key.index for action in kept] == [1, 2, 3]
    assert short == ("the quota of cloud local is 2 machines too small",)


def test_a_full_cloud_makes_nothing_and_so_does_an_overfull_one():
    assert within(creates(1), space(local=0))[0] == []
    assert within(creates(1), space(local=-4))[0] == []


def test_a_cloud_without_a_quota_has_room_for_all():
    every = creates(50)

    assert within(every, space(lab=0)) == (every, ())


def test_each_cloud_is_counted_by_itself():
    kept, short = within([*creates(2), *creates(2, "lab")], space(local=1, lab=2))

    assert len(kept) == 3
    assert short == ("the quota of cloud local is 1 machines too small",)


def test_what_the_same_plan_ends_makes_room():
    old = machine(specs(1)[0])

    assert len(within([Terminate(old, "done"), *creates(2)], space(local=0))[0]) == 2


def test_room_is_what_the_quota_leaves():
    small = ResolvedCloud("local", "fake", quota=Quota(5, cpus=8, memory=16 * GIB))
    clouds = replace(catalog(), clouds={"local": small, "lab": ResolvedCloud("lab", "fake")})
    held = {Size(cpus=2, memory=GIB): 2, Size(cpus=1): 1}

    left = room(clouds, lambda _: held, lambda _: Capabilities())

    assert left == {"local": Room({"machines": 2, "cpus": 3, "memory": 14 * GIB})}


def test_where_sizes_are_sold_a_machine_is_as_large_as_its_size():
    priced = ResolvedCloud("local", "fake", quota=Quota(cpus=8, memory=16 * GIB))
    clouds = replace(catalog(), clouds={"local": priced})
    able = Capabilities(sizes=SOLD)

    left = room(clouds, lambda _: {Size(cpus=1): 1, Size(name="large"): 1}, lambda _: able)

    assert left == {"local": Room({"cpus": 2, "memory": 6 * GIB}, SOLD)}


def test_a_cloud_that_cannot_be_used_still_counts_its_machines():
    def unusable(cloud: str) -> Capabilities:
        raise Stalled(f"cloud {cloud} has no credentials")

    small = ResolvedCloud("local", "fake", quota=Quota(5))
    clouds = replace(catalog(), clouds={"local": small})

    assert room(clouds, lambda _: {Size(): 3}, unusable) == {"local": Room({"machines": 2})}


def test_what_does_not_fit_by_cpus_or_memory_is_held_and_smaller_ones_are_made():
    left = {"local": Room({"cpus": 5, "memory": 4 * GIB})}
    large = sized(Size(cpus=4, memory=GIB), 2)

    kept, short = within([*large, *sized(Size(cpus=1, memory=GIB), 2)], left)

    assert [action.spec.machine.size.cpus for action in kept if isinstance(action, Create)] == [
        4,
        1,
    ]
    assert short == ("the quota of cloud local is 5 cpus too small",)


def test_each_quota_that_is_too_small_is_told():
    left = {"local": Room({"machines": 1, "cpus": 1, "memory": GIB})}

    kept, short = within(sized(Size(cpus=2, memory=3 * GIB // 2), 1), left)

    assert kept == []
    assert short == (
        "the quota of cloud local is 1 cpus too small",
        "the quota of cloud local is 0.5 GiB of memory too small",
    )


def test_what_the_same_plan_ends_gives_back_what_it_was():
    (spec,) = specs(1)
    old = machine(_with(spec, Size(cpus=4)))
    ends = Terminate(old, "done")

    assert len(within([ends, *sized(Size(cpus=2), 3)], {"local": Room({"cpus": 0})})[0]) == 3


class TestDecision:
    def renamed(self) -> tuple[Desired, Desired]:
        return desired(node("web", 4)), desired(node("www", 4))

    def test_what_waits_for_an_approval_makes_no_room(self):
        """Four machines may exist. They wait to be ended, so that there is room for no other."""
        old, new = self.renamed()
        machines = [(machine(s, f"m{s.key.index}"), record(s)) for s in old.instances.values()]
        decided = decide(replace(situation(new, machines), room=space(local=0)))

        assert (len(decided.withheld), decided.actions) == (4, ())
        assert decided.short == ("the quota of cloud local is 4 machines too small",)

    def test_once_approved_it_does(self):
        old, new = self.renamed()
        machines = [(machine(s, f"m{s.key.index}"), record(s)) for s in old.instances.values()]
        before = replace(situation(new, machines), room=space(local=0))
        digest = frozenset({decide(before).digest})
        decided = decide(replace(before, approvals=digest))

        assert (len(decided.actions), decided.short) == (8, ())
