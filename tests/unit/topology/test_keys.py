"""How instances and machines are written."""

from dataclasses import replace

import pytest

from fakes.builders import desired, key, machine
from headwater.topology.digests import digest
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import MachineState

SPEC = desired().instances[key()]


def test_an_instance_is_written_as_people_do():
    assert (key("wn.3").instance, str(key("wn.3"))) == ("wn.3", "shop/wn.3")


def test_instances_are_ordered_by_index_and_not_by_letters():
    assert InstanceKey("d", "wn", 9) < InstanceKey("d", "wn", 10)


def test_a_machine_is_written_with_its_cloud():
    assert str(MachineId("local", "m:1")) == "local:m:1"


def test_a_digest_does_not_depend_on_the_order_of_fields():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("change", "reachable"),
    [
        ({}, True),
        ({"address": None}, False),
        ({"host_key": None}, False),
        *[({"state": s}, False) for s in MachineState if s is not MachineState.RUNNING],
    ],
)
def test_a_machine_is_reachable_when_it_is_up_and_its_cloud_has_told_how(change, reachable):
    assert replace(machine(SPEC), **change).is_reachable is reachable
