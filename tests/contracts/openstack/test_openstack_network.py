"""Floating addresses and security groups of OpenStack."""

from dataclasses import replace

import pytest

from contracts.asking import make, opened
from contracts.openstack.asking import PUBLIC, SPEC, batch, own_groups, refusal, refuse, until
from fakes.openstack.refusals import Refused
from headwater.cloud import groups
from headwater.cloud.gateway import Gateway
from headwater.cloud.openstack import addresses
from headwater.errors import QuotaExceeded, Transient

# Floating addresses.


async def test_a_public_machine_has_a_floating_address_and_none_before(floating, endpoint) -> None:
    endpoint.project.nova.hears_late = 3600.0
    [machine] = await make(floating, batch(1))
    assert machine.address is None

    [machine] = await until(floating, lambda machines: bool(machines[0].address))

    [given] = endpoint.project.neutron.floating.values()
    assert machine.address == given["floating_ip_address"]
    for _ in range(3):
        await floating.observe("lab")
    assert endpoint.counted()["POST /floatingips"] == 1


async def test_nova_tells_a_floating_address_itself_at_last(floating, endpoint) -> None:
    await make(floating, batch(1))
    await until(floating, lambda machines: bool(machines[0].address))
    await floating.observe("lab")
    endpoint.clear()

    await floating.observe("lab")

    assert endpoint.counted() == {"GET /servers/detail": 1}


async def test_a_machine_that_is_not_public_has_its_own_address(floating, endpoint) -> None:
    await make(floating, batch(1, spec=replace(SPEC, public=False)))

    [machine] = (await floating.observe("lab")).machines

    assert machine.address
    assert machine.address.startswith("10.0.")
    assert "POST /floatingips" not in endpoint.counted()


async def test_floating_addresses_go_with_their_machines(floating, endpoint) -> None:
    endpoint.project.nova.timing.end = 0.1
    made = await make(floating, batch(1, 2))
    await until(floating, lambda machines: all(machine.address for machine in machines))

    await floating.terminate(made[0])

    neutron = endpoint.project.neutron
    [left] = await until(floating, lambda m: len(m) == len(neutron.floating) == 1)
    assert [left.address] == [each["floating_ip_address"] for each in neutron.floating.values()]


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_floating_addresses_lead_to_their_own_machines(floating, endpoint, told) -> None:
    """Whether or not neutron tells whose they are."""
    neutron = endpoint.project.neutron
    endpoint.project.nova.hears_late = 3600.0
    neutron.tells_servers = told
    await make(floating, batch(1, 2, 3))

    machines = await until(floating, lambda machines: all(m.address for m in machines))

    ports = {port["id"]: port["device_id"] for port in neutron.ports.values()}
    assert {machine.address: machine.id.id for machine in machines} == {
        each["floating_ip_address"]: ports[each["port_id"]] for each in neutron.floating.values()
    }


async def test_floating_addresses_of_machines_that_somebody_ended_go_too(
    floating, endpoint
) -> None:
    [machine] = await make(floating, batch(1))
    await until(floating, lambda machines: bool(machines[0].address))

    endpoint.project.nova.delete(machine.id.id)

    await until(floating, lambda _: not endpoint.project.neutron.floating)


async def test_floating_addresses_of_an_earlier_process_go_and_nobody_elses(
    endpoint, tmp_path
) -> None:
    neutron = endpoint.project.neutron
    pool = next(id for id, each in neutron.networks.items() if each["router:external"])
    theirs = neutron.make_floating({"floating_network_id": pool, "description": "mine"})
    async with opened(endpoint.cloud("lab", **PUBLIC), tmp_path) as before:
        [machine] = await make(before, batch(1))
        await until(before, lambda machines: bool(machines[0].address))
    endpoint.project.nova.delete(machine.id.id)

    async with opened(endpoint.cloud("lab"), tmp_path) as after:
        await until(after, lambda _: len(neutron.floating) == 1)

    assert [*neutron.floating] == [theirs["id"]]


async def test_who_only_looks_puts_nothing_right(floating, endpoint, tmp_path) -> None:
    neutron = endpoint.project.neutron
    await make(floating, batch(1))
    looking = Gateway("ours", tmp_path, keeper=False)
    await looking.configure({"lab": endpoint.cloud("lab", **PUBLIC)})

    listings = [await looking.observe("lab") for _ in range(3)]
    await looking.close()

    assert all(listing.complete for listing in listings)
    assert not neutron.floating


async def test_a_neutron_that_knows_no_filters_takes_nothing_from_anybody(
    endpoint, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    neutron = endpoint.project.neutron
    neutron.knows_filters = False
    pool = next(id for id, each in neutron.networks.items() if each["router:external"])
    theirs = neutron.make_floating({"floating_network_id": pool})
    neutron.make_group({"name": "theirs"})
    options = {**PUBLIC, "network": "private"}
    async with opened(endpoint.cloud("lab", **options), tmp_path) as gateway:
        await make(gateway, batch(1, 2))
        machines = await until(gateway, lambda machines: all(m.address for m in machines))
        for machine in machines:
            await gateway.terminate(machine)
        await until(gateway, lambda _: own_groups(endpoint) == ["theirs"])

    assert len({machine.address for machine in machines}) == 2
    assert [*neutron.floating] == [theirs["id"]]


async def test_why_there_is_no_floating_address_is_told(floating, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(addresses, "PATIENCE", 0.0)
    endpoint.project.neutron.quota["floatingip"] = 1
    await make(floating, batch(1, 2))

    machines = await until(floating, lambda machines: any(m.facts.get("fault") for m in machines))

    [lacking] = [machine for machine in machines if machine.address is None]
    assert "Quota exceeded for resources: ['floatingip']" in lacking.facts["fault"]
    endpoint.project.neutron.quota["floatingip"] = 2
    await until(floating, lambda machines: all(machine.address for machine in machines))


async def test_an_address_to_which_none_can_lead_is_said(floating, endpoint) -> None:
    await make(floating, batch(1))
    for port in endpoint.project.neutron.ports.values():
        port["fixed_ips"] = [{"subnet_id": "s6", "ip_address": "fd00::5"}]

    [machine] = await until(floating, lambda machines: bool(machines[0].facts.get("fault")))

    assert "IPv4" in machine.facts["fault"]


async def test_what_cannot_be_had_is_not_asked_for_at_every_look(floating, endpoint) -> None:
    endpoint.project.neutron.quota["floatingip"] = 0
    await make(floating, batch(1))
    await until(floating, lambda machines: bool(machines[0].facts.get("fault")))

    for _ in range(5):
        await floating.observe("lab")

    assert endpoint.counted()["POST /floatingips"] == 1


# Security groups.


async def test_nodes_of_a_deployment_share_what_lets_them_reach_each_other(
    gateway, endpoint
) -> None:
    open = replace(SPEC, open=("443/tcp", "5000-5010/udp"))
    await make(gateway, [*batch(1), *batch(2, spec=open), *batch(3)])

    assert len(own_groups(endpoint)) == 3
    neutron = endpoint.project.neutron
    rules = {
        (rule["protocol"], rule["port_range_min"], rule["port_range_max"], rule["ethertype"])
        for group in neutron.groups.values()
        for rule in group["security_group_rules"]
        if rule["direction"] == "ingress" and rule["remote_group_id"] is None
    }
    kinds = ("IPv4", "IPv6")
    wanted = [("tcp", 22, 22), ("tcp", 80, 80), ("tcp", 443, 443), ("udp", 5000, 5010)]
    assert rules == {(*each, kind) for each in wanted for kind in kinds}
    inner = min(own_groups(endpoint), key=len)
    [id] = [id for id, group in neutron.groups.items() if group["name"] == inner]
    assert all(id in server.groups for server in endpoint.project.nova.servers.values())


async def test_groups_that_nothing_uses_are_removed(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    [machine] = await make(gateway, batch(1))
    await gateway.observe("lab")
    assert len(own_groups(endpoint)) == 2

    await gateway.terminate(machine)

    await until(gateway, lambda _: not own_groups(endpoint))


async def test_a_group_in_use_is_left_alone_and_tried_again(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    monkeypatch.setattr(groups, "PATIENCE", 0.0)
    [machine] = await make(gateway, batch(1))
    neutron = endpoint.project.neutron
    inner = min(own_groups(endpoint), key=len)
    ids = [id for id, group in neutron.groups.items() if group["name"] == inner]
    private = next(id for id, each in neutron.networks.items() if each["name"] == "private")
    neutron.make_port(private, "somebody-elses", ids)
    await gateway.terminate(machine)
    await until(gateway, lambda _: own_groups(endpoint) == [inner])

    neutron.remove_ports("somebody-elses")
    await until(gateway, lambda _: not own_groups(endpoint))


async def test_groups_of_an_earlier_process_are_used(endpoint, tmp_path) -> None:
    for index in (1, 2):
        async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
            await make(gateway, batch(index))

    assert endpoint.counted()["POST /security-group-rules"] == 2
    assert len(own_groups(endpoint)) == 2


async def test_a_group_whose_rules_were_never_made_gets_them(gateway, endpoint) -> None:
    refuse(endpoint, "POST /security-group-rules", Refused(500, "later"), 1)
    assert isinstance(await refusal(gateway), Transient)

    await make(gateway, batch(1))

    assert len(own_groups(endpoint)) == 2
    for group in endpoint.project.neutron.groups.values():
        own = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
        assert own or group["name"] == "default"


async def test_a_group_that_somebody_removed_is_made_again(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    await gateway.terminate(machine)
    for name in own_groups(endpoint):
        [id] = [i for i, g in endpoint.project.neutron.groups.items() if g["name"] == name]
        endpoint.project.neutron.delete_group(id)

    await make(gateway, batch(2))

    assert len(own_groups(endpoint)) == 2


async def test_a_quota_of_groups_is_said(gateway, endpoint) -> None:
    endpoint.project.neutron.quota["security_group"] = 2

    error = await refusal(gateway)

    assert isinstance(error, QuotaExceeded)
    assert "security_group" in str(error)
    assert endpoint.project.nova.servers == {}
