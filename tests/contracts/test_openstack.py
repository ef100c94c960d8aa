"""OpenStack over its own wire: what it costs, and what happens when it says no."""

import asyncio
import base64
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.openstack import keystone
from fakes.openstack.endpoint import HTML, OpenStackEndpoint, openstack_endpoint
from fakes.openstack.glance import IMAGE
from fakes.openstack.refusals import Refused, throttled
from fakes.serving import Answer
from headwater.cloud import groups, pace
from headwater.cloud.gateway import Gateway
from headwater.cloud.openstack import addresses
from headwater.errors import HeadwaterError, QuotaExceeded, Stalled, Throttled, Transient
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import (
    Ability,
    CreateOrder,
    Machine,
    MachineSpec,
    MachineState,
    Tags,
    machine_name,
)

SPEC = MachineSpec("lab", "debian", IMAGE, Size(name="m1.tiny"), open=("80/tcp",))
PUBLIC = {"floating_network": "public"}


@pytest.fixture
def endpoint() -> Iterator[OpenStackEndpoint]:
    with openstack_endpoint() as endpoint:
        yield endpoint
        endpoint.before = lambda _: None


@pytest.fixture
async def gateway(endpoint: OpenStackEndpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        endpoint.clear()
        yield gateway


@pytest.fixture
async def floating(endpoint: OpenStackEndpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A cloud with floating addresses."""
    async with opened(endpoint.cloud("lab", **PUBLIC), tmp_path) as gateway:
        yield gateway


@asynccontextmanager
async def opened(
    cloud: ResolvedCloud, directory: Path, installation: str = "ours"
) -> AsyncIterator[Gateway]:
    gateway = Gateway(installation, directory)
    await gateway.configure({"lab": cloud})
    try:
        yield gateway
    finally:
        await gateway.close()


def order(
    index: int, spec: MachineSpec = SPEC, *, incarnation: int = 1, deployment: str = "hello"
) -> CreateOrder:
    key = InstanceKey(deployment, "web", index)
    return CreateOrder(
        name=machine_name(key, incarnation),
        token=f"{key}.{incarnation}",
        spec=spec,
        tags=Tags("ours", key, incarnation, "digest", "f" * 40),
        authorized_key="ssh-ed25519 AAAA",
    )


def batch(*indexes: int, spec: MachineSpec = SPEC) -> list[CreateOrder]:
    return batched([order(index, spec) for index in indexes], {})


async def make(gateway: Gateway, orders: Sequence[CreateOrder]) -> list[Machine]:
    answers = await gateway.create(orders)
    made = [answer for answer in answers if isinstance(answer, Machine)]
    assert len(made) == len(orders), answers
    return made


async def refusal(gateway: Gateway, spec: MachineSpec = SPEC) -> Exception:
    [answer] = await gateway.create(batch(1, spec=spec))
    assert isinstance(answer, HeadwaterError)
    return answer


def refuse(
    endpoint: OpenStackEndpoint, action: str, error: Refused | Answer, times: int = 1000
) -> None:
    left = [times]

    def before(asked: str) -> Answer | None:
        if asked == action and left[0]:
            left[0] -= 1
            if isinstance(error, Answer):
                return error
            raise error
        return None

    endpoint.before = before


async def until(gateway: Gateway, condition: Callable[[Sequence[Machine]], bool]) -> list[Machine]:
    """Looks again until it holds of what is listed."""
    async with asyncio.timeout(20):
        machines = (await gateway.observe("lab")).machines
        while not condition(machines):
            await asyncio.sleep(0.01)
            machines = (await gateway.observe("lab")).machines
    return sorted(machines, key=lambda machine: machine.key.index)


def server(endpoint: OpenStackEndpoint) -> dict[str, Any]:
    """What the last call for servers said."""
    said: dict[str, Any] = [c.body for c in endpoint.calls if c.action == "POST /servers"][-1]
    return dict(said["server"])


def own_groups(endpoint: OpenStackEndpoint) -> list[str]:
    every = [group["name"] for group in endpoint.project.neutron.groups.values()]
    return sorted(name for name in every if name != "default")


# What it costs.


async def test_31_machines_are_one_call(gateway, endpoint) -> None:
    made = await make(gateway, batch(*range(1, 32)))

    assert endpoint.counted()["POST /servers"] == 1
    assert len({machine.id for machine in made}) == 31
    assert [m.key.index for m in made] == [*range(1, 32)]


async def test_31_machines_end_each_for_itself(gateway, endpoint) -> None:
    made = await make(gateway, batch(*range(1, 32)))

    await asyncio.gather(*(gateway.terminate(machine) for machine in made))

    assert endpoint.counted()["DELETE /servers/*"] == 31
    assert endpoint.project.nova.servers == {}


async def test_a_listing_is_one_call(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    await gateway.observe("lab")
    endpoint.clear()

    listings = [await gateway.observe("lab") for _ in range(3)]

    assert [len(listing.machines) for listing in listings] == [3, 3, 3]
    assert endpoint.counted() == {"GET /servers/detail": 3}


async def test_one_token_is_enough_for_all(gateway, endpoint) -> None:
    await asyncio.gather(*(gateway.create(batch(index)) for index in range(1, 6)))

    assert endpoint.project.keystone.issued == 1


async def test_a_list_of_many_pages_is_one_listing(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3, 4, 5))
    endpoint.project.nova.page = 2

    listing = await gateway.observe("lab")

    assert listing.complete
    assert sorted(m.key.index for m in listing.machines) == [1, 2, 3, 4, 5]


async def test_half_a_list_is_none(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    endpoint.project.nova.page = 2
    pages = iter([None])

    def before(action: str) -> None:
        if action == "GET /servers/detail" and next(pages, throttled) is throttled:
            raise throttled()

    endpoint.before = before

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert "429" in listing.error


async def test_a_list_that_changes_while_it_is_read_is_read_again(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    nova = endpoint.project.nova
    nova.page = 2

    def after(action: str) -> None:
        if action == "GET /servers/detail" and len(nova.servers) == 3:
            for id in [id for id, server in nova.servers.items() if server.name == "hello-web-2"]:
                del nova.servers[id]

    endpoint.after = after

    first = await gateway.observe("lab")
    second = await gateway.observe("lab")

    assert not first.complete
    assert "listed again" in first.error
    assert [m.key.index for m in second.machines] == [3, 1]


async def test_strangers_are_counted(gateway, endpoint, tmp_path) -> None:
    async with opened(endpoint.cloud("lab"), tmp_path / "theirs", "theirs") as others:
        await others.create(
            [replace(o, tags=replace(o.tags, installation="theirs")) for o in batch(1, 2)]
        )

    assert (await gateway.observe("lab")).unknown == 2


# Batches: nova numbers what it makes, and has no tokens.


@pytest.mark.parametrize(
    ("indexes", "names"),
    [
        ((1, 2, 3), ["hello-web-1", "hello-web-2", "hello-web-3"]),
        ((2, 3), ["hello-web-2-3-1", "hello-web-2-3-2"]),
        ((1,), ["hello-web-1"]),
        ((7,), ["hello-web-7"]),
    ],
)
async def test_names_tell_the_place_in_a_batch(gateway, endpoint, indexes, names) -> None:
    made = await make(gateway, batch(*indexes))

    assert [m.key.index for m in made] == [*indexes]
    servers = endpoint.project.nova.servers
    assert [servers[m.id.id].name for m in made] == names
    assert [m.name for m in made] == [f"hello-web-{index}" for index in indexes]


async def test_a_machine_whose_name_was_changed_makes_no_other_one_missing(
    gateway, endpoint
) -> None:
    made = await make(gateway, batch(1, 2))
    endpoint.project.nova.servers[made[1].id.id].name = "my-favourite-2"

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert f"server {made[1].id.id} is called 'my-favourite-2'" in listing.error
    assert "call it hello-web-N again" in listing.error


async def test_a_single_machine_may_be_called_anything(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.project.nova.servers[machine.id.id].name = "my-favourite"

    listing = await gateway.observe("lab")

    assert [m.name for m in listing.machines] == ["hello-web-1"]


async def test_long_names_are_cut_and_still_tell(gateway) -> None:
    spec, long = SPEC, "d" * 63
    indexes = range(1, 180, 3)
    orders = batched([order(index, spec, deployment=long) for index in indexes], {})

    made = await make(gateway, orders)

    assert [m.key.index for m in made] == [*indexes]


async def test_a_batch_whose_answer_was_lost_is_found_again(gateway, endpoint) -> None:
    def lose(action: str) -> None:
        if action == "POST /servers":
            endpoint.after = lambda _: None
            raise ConnectionResetError

    endpoint.after = lose
    orders = batch(1, 2, 3)
    lost = await gateway.create(orders)
    assert all(type(answer) is Transient for answer in lost), lost

    made = await make(gateway, orders)

    assert {m.id.id for m in made} == set(endpoint.project.nova.servers)
    assert len(made) == 3


async def test_what_is_missing_of_a_batch_is_made_and_no_more(gateway) -> None:
    orders = batch(1, 2, 3)
    first = await make(gateway, orders)
    await gateway.terminate(first[1])

    again = await make(gateway, orders)

    assert [again[0].id, again[2].id] == [first[0].id, first[2].id]
    assert again[1].id != first[1].id
    assert [m.key.index for m in (await gateway.observe("lab")).machines] == [2, 3, 1]


async def test_planners_are_told_that_there_are_no_tokens(gateway) -> None:
    able = gateway.capabilities("lab")

    assert not able.idempotent
    assert able.abilities == {Ability.TAGS, Ability.USER_DATA, Ability.BATCH, Ability.PORTS}


async def test_a_machine_answers_with_the_key_of_the_call_that_made_it(
    gateway, endpoint, tmp_path
) -> None:
    [one, two] = await make(gateway, batch(1, 2))
    [other] = await make(gateway, batch(3))
    async with opened(endpoint.cloud("lab"), tmp_path) as later:
        listed = (await later.observe("lab")).machines

    assert one.host_key == two.host_key != other.host_key
    assert one.one_time
    assert {m.host_key for m in listed} == {one.host_key, other.host_key}


async def test_a_quota_that_ends_half_way_is_said(gateway, endpoint) -> None:
    endpoint.project.nova.quota = 2

    answers = await gateway.create(batch(1, 2, 3))
    [last] = await gateway.create(batch(3))

    assert [type(answer) for answer in answers] == [Machine, Machine, Throttled]
    assert "made 2 of 3" in str(answers[2])
    assert isinstance(last, QuotaExceeded)
    assert "Quota exceeded for instances" in str(last)
    assert len((await gateway.observe("lab")).machines) == 2


# What a machine is given.


async def test_a_machine_is_made_as_its_manifest_says(gateway, endpoint) -> None:
    await make(gateway, batch(1))

    said = server(endpoint)
    assert said["flavorRef"] == "1"
    assert said["imageRef"] == endpoint.project.glance.id(IMAGE)
    assert "networks" not in said
    assert "config_drive" not in said
    data = base64.b64decode(said["user_data"]).decode()
    assert data.startswith("#cloud-config\n")
    assert "ssh-ed25519 AAAA" in data


async def test_options_of_the_cloud_are_heeded(endpoint, tmp_path) -> None:
    neutron = endpoint.project.neutron
    inner = neutron.add_network("inner", "10.7.0.0/16")
    outer = neutron.add_network("outer", "10.8.0.0/16")
    options = {"network": (outer, "inner"), "config_drive": True, "availability_zone": "az-2"}
    async with opened(endpoint.cloud("lab", **options), tmp_path) as gateway:
        await make(gateway, batch(1))
        [machine] = (await gateway.observe("lab")).machines

    said = server(endpoint)
    assert said["networks"] == [{"uuid": outer}, {"uuid": inner}]
    assert said["config_drive"] is True
    assert said["availability_zone"] == "az-2"
    assert machine.address
    assert machine.address.startswith("10.8.")


@pytest.mark.parametrize(
    ("size", "flavor"),
    [
        (Size(name="m1.small"), "2"),
        (Size(name="3"), "3"),
        (Size(), "1"),
        (Size(cpus=1, memory=1 << 30), "2"),
        (Size(cpus=2), "3"),
        (Size(name="c1.bare"), "c4"),
    ],
)
async def test_the_cheapest_flavor_that_fits_is_taken(gateway, endpoint, size, flavor) -> None:
    """Of those without a disk only by name."""
    await make(gateway, batch(1, spec=replace(SPEC, size=size)))

    assert server(endpoint)["flavorRef"] == flavor


async def test_a_flavor_that_was_made_since_is_found(gateway, endpoint) -> None:
    endpoint.project.nova.flavors.append(("9", "g1.new", 8, 32768, 100))

    [offer] = await gateway.offers("lab", ["g1.new", "g1.other"])
    await make(gateway, batch(1, spec=replace(SPEC, size=Size(name="g1.new"))))

    assert (offer.cpus, offer.memory, offer.disk) == (8, 32 << 30, 100 << 30)
    assert server(endpoint)["flavorRef"] == "9"


async def test_images_are_told_by_name_or_id(gateway, endpoint) -> None:
    id = endpoint.project.glance.id(IMAGE)

    assert await gateway.image(SPEC) == f"{IMAGE}, {id}, x86_64"
    assert await gateway.image(replace(SPEC, image_id=id)) == f"{IMAGE}, {id}, x86_64"


async def test_limits_are_told_where_there_are_any(gateway, endpoint) -> None:
    endpoint.project.nova.quota = 20

    told = await gateway.limits("lab")

    assert told["maxTotalInstances"] == 20
    assert "maxTotalRAMSize" not in told


# States.


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("BUILD", MachineState.PENDING),
        ("ACTIVE", MachineState.RUNNING),
        ("REBOOT", MachineState.PENDING),
        ("SHUTOFF", MachineState.STOPPED),
        ("SHELVED_OFFLOADED", MachineState.STOPPED),
        ("ERROR", MachineState.FAILED),
        ("RESCUE", MachineState.UNKNOWN),
        ("SOFT_DELETED", None),
    ],
)
async def test_states_are_seen_as_what_they_are(gateway, endpoint, status, seen) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.project.nova.become(machine.id.id, status)

    listing = await gateway.observe("lab")

    assert [m.state for m in listing.machines] == ([seen] if seen else [])


async def test_a_machine_that_nova_could_not_make_says_why_and_goes(gateway, endpoint) -> None:
    endpoint.project.nova.unlucky = "No valid host was found. "
    [machine] = await make(gateway, batch(1))

    assert machine.state is MachineState.FAILED
    assert machine.address is None
    assert machine.facts["fault"] == "No valid host was found."
    await gateway.terminate(machine)
    assert (await gateway.observe("lab")).machines == ()


async def test_addresses_appear_late(gateway, endpoint) -> None:
    endpoint.project.nova.timing.boot = 0.2
    [machine] = await make(gateway, batch(1))
    assert (machine.state, machine.address) == (MachineState.PENDING, None)

    [machine] = await until(gateway, lambda machines: bool(machines[0].address))

    assert machine.state is MachineState.RUNNING


async def test_a_machine_that_is_going_is_listed_as_that(gateway, endpoint) -> None:
    endpoint.project.nova.timing.end = 0.2
    [machine] = await make(gateway, batch(1))
    await gateway.terminate(machine)
    await gateway.terminate(machine)

    assert [m.state for m in (await gateway.observe("lab")).machines] == [MachineState.STOPPING]
    await until(gateway, lambda machines: not machines)


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


# Who may.


@pytest.mark.parametrize(("secret", "right"), [(keystone.SECRET, True), ("wrong-1", False)])
async def test_an_application_credential_is_enough(endpoint, tmp_path, secret, right) -> None:
    login = {
        "auth_url": endpoint.auth_url,
        "application_credential_id": keystone.APPLICATION,
        "application_credential_secret": secret,
    }
    async with opened(ResolvedCloud("lab", "openstack", options=login), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert listing.complete is right
    assert right or "check the credentials" in listing.error


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong-1"}, {"username": "nobody"}, {"project": "other"}]
)
async def test_wrong_credentials_are_said(endpoint, tmp_path, wrong) -> None:
    async with opened(endpoint.cloud("lab", **wrong), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert not listing.complete
    assert "check the credentials" in listing.error
    assert "requires authentication" in listing.error
    assert not any(value in listing.error for value in wrong.values())


async def test_a_token_that_has_expired_is_replaced_once(gateway, endpoint) -> None:
    await make(gateway, batch(1))
    endpoint.project.keystone.revoke()
    endpoint.clear()

    listing = await gateway.observe("lab")

    assert listing.complete
    asked = [call.action for call in endpoint.calls]
    assert asked[:3] == ["GET /servers/detail", "POST /auth/tokens", "GET /servers/detail"]
    assert endpoint.refused == [401]


async def test_a_token_that_is_refused_again_is_not_asked_for_for_ever(gateway, endpoint) -> None:
    refuse(endpoint, "GET /servers/detail", Refused(401, "not you"))

    listing = await gateway.observe("lab")

    assert "check the credentials" in listing.error
    assert endpoint.counted() == {"GET /servers/detail": 2, "POST /auth/tokens": 1}


async def test_a_token_is_not_used_until_its_very_end(endpoint, tmp_path) -> None:
    endpoint.project.keystone.lifetime = timedelta(seconds=30)
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        await gateway.observe("lab")

    assert 401 not in endpoint.refused


async def test_a_keystone_that_is_elsewhere_is_said(endpoint, tmp_path) -> None:
    refuse(endpoint, "POST /auth/tokens", Refused(404, "Not Found"))
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        assert "option auth_url" in (await gateway.observe("lab")).error


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"region": "RegionTwo"},
            r"no public endpoint of compute in region 'RegionTwo'.*RegionOne",
        ),
        ({"interface": "admin"}, r"no admin endpoint of compute that is the only one.*none"),
    ],
)
async def test_an_endpoint_that_there_is_not_is_said(endpoint, tmp_path, said, words) -> None:
    async with opened(endpoint.cloud("lab", **said), tmp_path) as gateway:
        with pytest.raises(Stalled, match=words):
            gateway.capabilities("lab")


# Bad input.


@pytest.mark.parametrize("image", ["debian-13", "00000000-0000-4000-8000-000000000000"])
async def test_an_image_that_there_is_not_names_its_field(gateway, image) -> None:
    spec = replace(SPEC, image_id=image)
    error = await refusal(gateway, spec)

    assert isinstance(error, Stalled)
    assert re.search(rf"image 'debian' .* spec\.ids\.lab = '{image}'", str(error))
    with pytest.raises(Stalled, match=r"spec\.ids\.lab"):
        await gateway.image(spec)


async def test_an_image_that_has_a_namesake_is_not_guessed(gateway, endpoint) -> None:
    ids = [endpoint.project.glance.id(IMAGE), *(endpoint.project.glance.add(IMAGE) for _ in "ab")]

    error = await refusal(gateway)

    assert isinstance(error, Stalled)
    assert "3 images have this name" in str(error)
    assert all(id in str(error) for id in ids[:1])


async def test_an_image_that_is_not_active_is_none(gateway, endpoint) -> None:
    id = endpoint.project.glance.add("fresh", "queued")

    assert "no active image" in str(await refusal(gateway, replace(SPEC, image_id="fresh")))
    with pytest.raises(Stalled, match="queued"):
        await gateway.image(replace(SPEC, image_id=id))


@pytest.mark.parametrize("size", [Size(name="huge"), Size(cpus=1000)])
async def test_a_size_that_there_is_not_names_its_field(gateway, endpoint, size) -> None:
    error = await refusal(gateway, replace(SPEC, size=size))

    assert isinstance(error, Stalled)
    assert "spec.sizes" in str(error)
    assert "POST /servers" not in endpoint.counted()


async def test_a_flavor_that_went_since_is_said_and_forgotten(gateway, endpoint) -> None:
    await make(gateway, batch(1))
    endpoint.project.nova.flavors.pop(0)

    error = await refusal_of(gateway, 2)

    assert isinstance(error, Stalled)
    assert "spec.size" in str(error)
    await make(gateway, batch(2, spec=replace(SPEC, size=Size(cpus=1))))
    assert server(endpoint)["flavorRef"] == "2"


async def refusal_of(gateway: Gateway, index: int) -> object:
    [answer] = await gateway.create(batch(index))
    return answer


@pytest.mark.parametrize("option", ["network", "floating_network"])
async def test_a_network_that_there_is_not_names_its_option(endpoint, tmp_path, option) -> None:
    async with opened(endpoint.cloud("lab", **{option: "nowhere"}), tmp_path) as gateway:
        answers = await gateway.create(batch(1))
        if option == "floating_network":
            [machine] = await until(gateway, lambda m: bool(m[0].facts.get("fault")))
            answers = [Stalled(machine.facts["fault"])]

    [error] = answers
    assert isinstance(error, Stalled)
    assert f"no network 'nowhere': correct its option {option}" in str(error)


async def test_a_network_that_has_a_namesake_is_not_guessed(endpoint, tmp_path) -> None:
    id = endpoint.project.neutron.add_network("private", "10.9.0.0/16")
    async with opened(endpoint.cloud("lab", network="private"), tmp_path) as gateway:
        named = await refusal(gateway)
    async with opened(endpoint.cloud("lab", network=id), tmp_path) as gateway:
        await make(gateway, batch(1))

    assert "2 networks are called 'private'" in str(named)
    assert id in str(named)


async def test_of_several_networks_one_must_be_said(gateway, endpoint) -> None:
    endpoint.project.neutron.add_network("other", "10.9.0.0/16")

    error = await refusal(gateway)

    assert isinstance(error, Stalled)
    assert "option network" in str(error)


async def test_user_data_that_is_too_long_is_refused_here(gateway, endpoint) -> None:
    [answer] = await gateway.create(
        batched([replace(order(1), authorized_key="ssh-rsa " + "A" * 17000)], {})
    )

    assert isinstance(answer, Stalled)
    assert "POST /servers" not in endpoint.counted()


@pytest.mark.parametrize("status", [413, 429, 503])
async def test_who_asks_for_patience_is_given_it(gateway, endpoint, status) -> None:
    refuse(endpoint, "POST /servers", Refused(status, "slow down", retry_after="7"), 1)

    error = await refusal(gateway)

    assert isinstance(error, Throttled)
    assert error.retry_after == 7


async def test_a_conflict_passes(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    words = "Cannot 'delete' instance while it is in task_state rebuilding"
    refuse(endpoint, "DELETE /servers/*", Refused(409, words), 1)

    with pytest.raises(Transient, match="rebuilding"):
        await gateway.terminate(machine)
    await gateway.terminate(machine)

    assert endpoint.project.nova.servers == {}


async def test_one_machine_that_stays_keeps_no_other_one(gateway, endpoint) -> None:
    made = await make(gateway, batch(1, 2, 3))
    refuse(endpoint, "DELETE /servers/*", Refused(403, "Policy doesn't allow it"), 1)

    ends = [gateway.terminate(machine) for machine in made]
    answers = await asyncio.gather(*ends, return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == [
        "NoneType",
        "NoneType",
        "Stalled",
    ]
    assert len(endpoint.project.nova.servers) == 1


async def test_ids_that_could_lead_elsewhere_end_nothing_else(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))

    await gateway.terminate(replace(machine, id=MachineId("lab", f"x/../{machine.id.id}")))

    assert len(endpoint.project.nova.servers) == 1


async def test_a_storm_of_refusals_opens_the_circuit(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(pace, "FAILURES", 3)
    refuse(endpoint, "GET /servers/detail", Refused(503, "try later"))

    listings = [await gateway.observe("lab") for _ in range(6)]

    assert not any(listing.complete for listing in listings)
    assert len(endpoint.calls) < 6
    assert "left alone" in listings[-1].error


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, HTML, "text/html"),
        Answer(502, HTML, "text/html"),
        Answer(200, HTML, "application/json"),
        Answer(200, "{}"),
        Answer(200, "[]"),
        Answer(200, ""),
        Answer(200, '{"servers": null}'),
    ],
    ids=["page", "page of 502", "page that says it is JSON", "{}", "[]", "nothing", "null"],
)
async def test_what_is_no_answer_of_nova_is_no_empty_list(gateway, endpoint, answer) -> None:
    refuse(endpoint, "GET /servers/detail", answer)

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert "check the address of the endpoint" in listing.error


@pytest.mark.parametrize("answer", [Answer(200, HTML, "text/html"), Answer(201, "{}")])
async def test_what_is_no_answer_of_keystone_is_no_token(endpoint, tmp_path, answer) -> None:
    refuse(endpoint, "POST /auth/tokens", answer)
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert "check the address of the endpoint" in listing.error


async def test_a_list_that_never_ends_is_given_up(gateway, endpoint) -> None:
    link = [{"rel": "next", "href": "http://127.0.0.1/servers/detail?marker=x"}]
    text = f'{{"servers": [], "servers_links": {str(link).replace(chr(39), chr(34))}}}'
    refuse(endpoint, "GET /servers/detail", Answer(200, text))

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert len(endpoint.calls) == 2


async def test_an_endpoint_that_hangs_is_given_up(endpoint, tmp_path) -> None:
    released = threading.Event()

    def before(_: str) -> None:
        released.wait(30)

    endpoint.before = before
    try:
        async with opened(endpoint.cloud("lab", timeout=0.2), tmp_path) as gateway:
            listing = await gateway.observe("lab")
    finally:
        released.set()

    assert not listing.complete
    assert "timed out" in listing.error.lower()
