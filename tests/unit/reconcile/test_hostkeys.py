"""Which host key is believed of a machine, before, during and after its first contact."""

from dataclasses import replace

import pytest

from fakes.builders import HOST_KEY, deployment, key, node
from fakes.house import House
from headwater.reconcile.hostkeys import Believed, believed, keep
from headwater.reconcile.ledger import Ledger
from headwater.topology.machines import Machine
from headwater.topology.progress import HostKeyTold

OWN = "ssh-ed25519 AAAAown"


@pytest.fixture
async def house():
    there = House()
    await there.want(deployment(node("web", 1)))
    await there.rest()
    return there


@pytest.fixture
def machine(house: House) -> Machine:
    return replace(house.machine(key()), one_time=True, host_key=HOST_KEY)


def tell(house: House, machine: Machine, *, proven: bool) -> None:
    house.conversation.on_event(HostKeyTold(machine.id, OWN, proven=proven))


def test_what_a_cloud_tells_out_of_band_is_believed(house, machine):
    assert believed(house.ledger, replace(machine, one_time=False)) == Believed(HOST_KEY)


def test_before_the_first_contact_there_is_only_the_one_time_key(house, machine):
    assert believed(house.ledger, machine) == Believed("", HOST_KEY)


def test_until_the_new_key_is_proven_both_are_believed(house, machine):
    tell(house, machine, proven=False)

    assert believed(house.ledger, machine) == Believed(OWN, HOST_KEY)


def test_afterwards_only_the_machines_own_is_believed_also_after_a_restart(house, machine):
    tell(house, machine, proven=False)
    tell(house, machine, proven=True)

    assert believed(house.ledger, machine) == Believed(OWN)
    assert believed(Ledger(house.store), machine) == Believed(OWN)


def test_a_machine_that_is_only_missing_is_known_by_its_key_when_it_comes_back(house, machine):
    tell(house, machine, proven=True)
    house.ledger.forget_machine(machine.id)

    assert believed(house.ledger, machine) == Believed(OWN)


async def test_the_key_of_an_ended_machine_is_forgotten(house, machine):
    tell(house, machine, proven=True)
    await house.want(deployment(node("db", 1), name="other"), revision="r2")
    await house.rest()

    assert not list(house.ledger.notes("host-key/"))


def test_the_keys_go_with_their_deployment(house, machine):
    tell(house, machine, proven=True)
    house.ledger.forget_deployment("other")
    assert believed(house.ledger, machine) == Believed(OWN)

    house.ledger.forget_deployment("shop")

    assert not list(house.ledger.notes("host-key/"))


def test_the_key_of_a_machine_that_nobody_knows_is_not_kept(house, machine):
    house.ledger.forget_machine(machine.id)

    keep(house.ledger, machine.id, OWN, proven=True)

    assert not list(house.ledger.notes("host-key/"))
