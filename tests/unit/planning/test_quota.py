"""How many machines fit, cloud by cloud."""

from dataclasses import replace

from fakes.builders import catalog, desired, machine, node, record, situation
from headwater.manifests.resolved import ResolvedCloud
from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.decision import decide
from headwater.planning.quota import room, within
from headwater.topology.desired import Desired, InstanceSpec


def specs(replicas: int, cloud: str = "local") -> list[InstanceSpec]:
    wished = desired(node("web", replicas, clouds=((cloud, replicas),)))
    return list(wished.instances.values())


def creates(replicas: int, cloud: str = "local") -> list[Action]:
    return [Create(spec, 1, "new") for spec in specs(replicas, cloud)]


def test_what_fits_is_made_and_the_rest_is_counted():
    kept, short = within(creates(5), {"local": 3})

    assert [action.key.index for action in kept] == [1, 2, 3]
    assert short == ("the quota of cloud local is 2 machines too small",)


def test_a_full_cloud_makes_nothing_and_so_does_an_overfull_one():
    assert within(creates(1), {"local": 0})[0] == []
    assert within(creates(1), {"local": -4})[0] == []


def test_a_cloud_without_a_quota_has_room_for_all():
    every = creates(50)

    assert within(every, {"lab": 0}) == (every, ())


def test_each_cloud_is_counted_by_itself():
    kept, short = within([*creates(2), *creates(2, "lab")], {"local": 1, "lab": 2})

    assert len(kept) == 3
    assert short == ("the quota of cloud local is 1 machines too small",)


def test_what_the_same_plan_ends_makes_room():
    old = machine(specs(1)[0])

    assert len(within([Terminate(old, "done"), *creates(2)], {"local": 0})[0]) == 2


def test_room_is_what_the_quota_leaves():
    small = ResolvedCloud("local", "fake", quota_instances=5)
    clouds = replace(catalog(), clouds={"local": small, "lab": ResolvedCloud("lab", "fake")})

    assert room(clouds, lambda _: 3) == {"local": 2}


class TestDecision:
    def renamed(self) -> tuple[Desired, Desired]:
        return desired(node("web", 4)), desired(node("www", 4))

    def test_what_waits_for_an_approval_makes_no_room(self):
        """Four machines may exist. They wait to be ended, so that there is room for no other."""
        old, new = self.renamed()
        machines = [(machine(s, f"m{s.key.index}"), record(s)) for s in old.instances.values()]
        decided = decide(replace(situation(new, machines), room={"local": 0}))

        assert (len(decided.withheld), decided.actions) == (4, ())
        assert decided.short == ("the quota of cloud local is 4 machines too small",)

    def test_once_approved_it_does(self):
        old, new = self.renamed()
        machines = [(machine(s, f"m{s.key.index}"), record(s)) for s in old.instances.values()]
        before = replace(situation(new, machines), room={"local": 0})
        digest = frozenset({decide(before).digest})
        decided = decide(replace(before, approvals=digest))

        assert (len(decided.actions), decided.short) == (8, ())
