"""What a plan costs per hour, as far as anybody knows."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fakes.builders import desired, machine, node, record, situation
from headwater.errors import Stalled
from headwater.manifests.resolved import Size
from headwater.planning.actions import Action, Create, Terminate
from headwater.planning.planner import Plan, plan
from headwater.planning.prices import Price, PriceList, Sum, priced, written
from headwater.planning.render import as_document, as_markdown, as_text
from headwater.topology.desired import InstanceSpec
from headwater.topology.machines import Capabilities, MachineState
from headwater.topology.sizes import Offer

SOLD = (
    Offer("s-1", "small", cpus=1, memory=1 << 30, price=0.1),
    Offer("l-1", "large", cpus=8, memory=8 << 30, price=0.4),
    Offer("x-1", "odd", cpus=16, memory=8 << 30),
)


def prices(ours: Mapping[str, Mapping[str, float]] | None = None) -> PriceList:
    def capabilities(cloud: str) -> Capabilities:
        if cloud == "broken":
            raise Stalled("no credentials")
        return Capabilities(sizes=SOLD if cloud == "lab" else None)

    return PriceList(capabilities, ours or {})


def web(replicas: int = 1, cpus: int = 1, image: str = "debian") -> list[InstanceSpec]:
    sized = replace(
        node("web", replicas, image=image, clouds=(("lab", replicas),)), size=Size(cpus=cpus)
    )
    return list(desired(sized).instances.values())


@pytest.mark.parametrize(
    ("cloud", "size", "price"),
    [
        ("lab", Size(cpus=1), 0.1),
        ("lab", Size(cpus=2), 0.4),
        ("lab", Size(name="large"), 0.4),
        ("lab", Size(name="l-1"), 0.4),
        ("lab", Size(cpus=16), None),
        ("lab", Size(cpus=99), None),
        ("lab", Size(name="gone"), None),
        ("local", Size(cpus=99), 0.0),
        ("broken", Size(cpus=1), None),
    ],
)
def test_a_machine_costs_what_its_size_costs(cloud, size, price):
    assert prices().of(cloud, size) == price


def test_the_price_file_wins_and_fills_holes_and_changes_no_choice():
    known = prices({"lab": {"small": 9.0, "x-1": 0.8}, "local": {"rack": 0.05}})

    assert known.of("lab", Size(cpus=1)) == 9.0
    assert known.of("lab", Size(cpus=16)) == 0.8
    assert known.of("local", Size(name="rack")) == 0.05
    assert known.of("local", Size(cpus=1)) == 0.0


def test_the_total_is_what_runs_after_the_plan():
    small, large = web(3), web(1, cpus=2)
    stays, goes, leaving = (machine(spec, f"m{at}") for at, spec in enumerate(small))
    leaving = replace(leaving, state=MachineState.STOPPING)
    actions: list[Action] = [Terminate(goes, "done"), Create(large[0], 1, "new")]

    price = priced(actions, [stays, goes, leaving], prices())

    assert price == Price(Sum(0.4), Sum(0.1), Sum(0.5))


def test_a_replacement_takes_the_old_machine_away():
    old, new = web(1), web(1, cpus=2)

    price = priced([Create(new[0], 2, "replace: size", replaces=True)], [machine(old[0])], prices())

    assert price == Price(Sum(0.4), Sum(0.1), Sum(0.4))


def test_what_is_unknown_is_counted_and_told():
    odd, small = web(1, cpus=16), web(1)
    actions: list[Action] = [Create(odd[0], 1, "new"), Create(small[0], 1, "new")]

    price = priced(actions, [], prices())

    assert price == Price(Sum(0.1, 1), Sum(), Sum(0.1, 1))
    assert written(price) == (
        "price per hour: +0.1000 and 1 unknown, -0.0000, then 0.1000 and 1 unknown"
    )
    assert written(priced(actions[:1], [], prices())) == (
        "price per hour: +1 unknown, -0.0000, then 1 unknown"
    )


def test_what_costs_nothing_is_not_spoken_of():
    assert written(Price(Sum(), Sum(), Sum())) == ""


class TestPlan:
    def shown(self) -> Plan:
        small = web(1)
        wanted = desired(replace(node("web", 2, clouds=(("lab", 2),)), size=Size(cpus=1)))
        decided = plan(situation(wanted, [(machine(small[0]), record(small[0]))]))
        return replace(decided, price=priced(decided.actions, [machine(small[0])], prices()))

    def test_text_and_markdown_show_it(self):
        line = "rice per hour: +0.1000, -0.0000, then 0.2000\n"

        assert f"\n  p{line}" in as_text([self.shown()])
        assert f"\n\nP{line}" in as_markdown([self.shown()])

    def test_the_document_has_all_of_it(self):
        document = as_document([self.shown()])["deployments"]

        assert isinstance(document, list)
        assert document[0]["price"] == {
            "added": {"amount": 0.1, "unknown": 0},
            "removed": {"amount": 0.0, "unknown": 0},
            "total": {"amount": 0.2, "unknown": 0},
        }

    def test_it_changes_no_digest(self):
        assert self.shown().digest == replace(self.shown(), price=None).digest
