from datetime import UTC, datetime
from typing import Any

import pytest
from libcloud.compute.base import Node, NodeSize
from libcloud.compute.types import NodeState

from fakes.nodes import MemoryAccount, MemoryDriver
from headwater.cloud.machines import is_gone, machine_of, tags_of
from headwater.cloud.sizes import choose_size
from headwater.cloud.tags import to_metadata
from headwater.errors import Stalled
from headwater.manifests.resolved import Size
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import MachineState, Tags

TAGS = Tags("ours", InstanceKey("hello", "web", 1), 1, "digest", "revision")
DRIVER = MemoryDriver(MemoryAccount())


def node(extra: dict[str, Any] | None = None, state: NodeState = NodeState.RUNNING) -> Node:
    return Node("n-1", "web", state, [], ["10.0.0.1"], DRIVER, extra=extra)


@pytest.mark.parametrize("state", list(NodeState))
def test_every_state_of_libcloud_has_a_meaning(state: NodeState) -> None:
    machine = machine_of(node(state=state), "lab", TAGS)

    known = machine.state is not MachineState.UNKNOWN
    assert known or state in {
        NodeState.UNKNOWN,
        NodeState.MIGRATING,
        NodeState.NORMAL,
        NodeState.UPDATING,
        NodeState.TERMINATED,
    }
    assert is_gone(node(state=state)) is (state is NodeState.TERMINATED)


def test_a_machine_tells_all_that_its_node_does() -> None:
    extra = {"ssh_port": 2222, "host_key": "ssh-ed25519 AAAA", "level": "sandbox"}
    machine = machine_of(node(extra | {"created": "2030-01-01T12:00:00"}), "lab", TAGS)

    assert machine.id == MachineId("lab", "n-1")
    assert (machine.address, machine.port) == ("10.0.0.1", 2222)
    assert machine.host_key == "ssh-ed25519 AAAA"
    assert machine.created == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert machine.facts == {"level": "sandbox"}


def test_a_machine_without_an_address_yet_has_none() -> None:
    bare = Node("n-1", "web", NodeState.PENDING, [], [], DRIVER)

    assert machine_of(bare, "lab", TAGS).address is None


@pytest.mark.parametrize("place", ["metadata", "tags"])
def test_tags_are_found_where_drivers_put_them(place: str) -> None:
    assert tags_of(node({place: to_metadata(TAGS)}), "ours") == TAGS


@pytest.mark.parametrize("extra", [{}, {"metadata": None}, {"metadata": {"items": []}, "tags": []}])
def test_a_node_without_our_tags_is_nobodys(extra: dict[str, Any]) -> None:
    assert tags_of(node(extra), "ours") is None


SIZES: list[NodeSize] = DRIVER.list_sizes()


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (Size(), "small"),
        (Size(cpus=1, memory=2 << 30), "small"),
        (Size(cpus=2), "large"),
        (Size(memory=3 << 30), "large"),
        (Size(disk=50 << 30), "large"),
        (Size(name="large"), "large"),
    ],
)
def test_the_cheapest_size_that_fits_is_chosen(wanted: Size, chosen: str) -> None:
    assert choose_size(SIZES, wanted, "lab").id == chosen


@pytest.mark.parametrize("wanted", [Size(cpus=64), Size(name="huge")])
def test_a_size_that_there_is_not_is_stalled(wanted: Size) -> None:
    with pytest.raises(Stalled, match="'lab' has no size"):
        choose_size(SIZES, wanted, "lab")


def test_a_size_without_a_price_is_no_bargain() -> None:
    odd = NodeSize("odd", "odd", 65536, 500, None, 0.0, DRIVER, {"vcpu": "64"})

    assert choose_size([odd, *SIZES], Size(cpus=2), "lab").id == "large"
    assert choose_size([odd, *SIZES], Size(cpus=32), "lab").id == "odd"
