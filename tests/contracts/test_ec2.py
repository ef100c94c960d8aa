"""EC2 over its own wire: what it costs, and what happens when it says no."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.asking import Orders, make, opened
from fakes.ec2.account import IMAGE
from fakes.ec2.endpoint import HTML, Ec2Endpoint, ec2_endpoint
from fakes.ec2.limits import Limits
from fakes.ec2.refusals import Refused, throttled
from headwater.cloud import groups, pace
from headwater.cloud.gateway import Gateway
from headwater.errors import (
    QuotaExceeded,
    Stalled,
    Throttled,
    Transient,
)
from headwater.manifests.resolved import Size
from headwater.topology.batches import batched
from headwater.topology.keys import MachineId
from headwater.topology.machines import (
    Machine,
    MachineSpec,
    MachineState,
)

SPEC = MachineSpec("aws", "debian", IMAGE, Size(name="t3.micro"), open=("80/tcp",))
ORDERS = Orders(SPEC)
order, batch, refusal = ORDERS.order, ORDERS.batch, ORDERS.refusal


@pytest.fixture
def endpoint() -> Iterator[Ec2Endpoint]:
    with ec2_endpoint() as endpoint:
        yield endpoint
        endpoint.before = lambda _: None


@pytest.fixture
async def gateway(endpoint: Ec2Endpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(endpoint.cloud("aws"), tmp_path) as gateway:
        yield gateway


def refuse(endpoint: Ec2Endpoint, action: str, error: Refused, times: int = 1000) -> None:
    left = [times]

    def before(asked: str) -> None:
        if asked == action and left[0]:
            left[0] -= 1
            raise error

    endpoint.before = before


# What it costs.


async def test_31_machines_are_one_call_and_so_is_their_end(gateway, endpoint) -> None:
    made = await make(gateway, batch(*range(1, 32)))
    await asyncio.gather(*(gateway.terminate(machine) for machine in made))

    assert endpoint.counted()["RunInstances"] == 1
    assert endpoint.counted()["TerminateInstances"] == 1
    assert endpoint.account.present == []


async def test_a_listing_is_one_call(gateway, endpoint) -> None:
    await make(gateway, batch(1, 2, 3))
    endpoint.clear()

    listings = [await gateway.observe("aws") for _ in range(3)]

    assert [len(listing.machines) for listing in listings] == [3, 3, 3]
    assert endpoint.counted() == {"DescribeInstances": 3}


async def test_strangers_are_counted_once_and_remembered(gateway, endpoint, tmp_path) -> None:
    async with opened(endpoint.cloud("aws"), tmp_path / "theirs", "theirs") as others:
        await others.create(
            [replace(o, tags=replace(o.tags, installation="theirs")) for o in batch(1, 2)]
        )
    endpoint.clear()

    listings = [await gateway.observe("aws") for _ in range(2)]

    assert [listing.unknown for listing in listings] == [2, 2]
    assert ["tag:headwater:installation" in call.said.values() for call in endpoint.calls] == [
        False,
        True,
    ]


async def test_nodes_of_a_deployment_share_what_lets_them_reach_each_other(
    gateway, endpoint
) -> None:
    open = replace(SPEC, open=("443/tcp", "53/udp"))
    await make(gateway, [*batch(1), *batch(2, spec=open), *batch(3)])

    assert len(endpoint.account.groups) == 3
    assert endpoint.counted()["CreateSecurityGroup"] == 3


async def test_a_list_of_many_pages_is_one_listing(gateway, endpoint) -> None:
    for index in range(1, 6):
        await make(gateway, batch(index))
    endpoint.account.page = 2

    listing = await gateway.observe("aws")

    assert listing.complete
    assert sorted(m.key.index for m in listing.machines) == [1, 2, 3, 4, 5]


async def test_half_a_list_is_none(gateway, endpoint) -> None:
    for index in range(1, 4):
        await make(gateway, batch(index))
    endpoint.account.page = 2
    pages = iter([None, None])

    def before(_: str) -> None:
        if next(pages, throttled) is throttled:
            raise throttled()

    endpoint.before = before
    next(pages)

    listing = await gateway.observe("aws")

    assert not listing.complete
    assert "RequestLimitExceeded" in listing.error


async def test_each_kind_of_machine_is_one_call_and_groups_are_made_before(
    gateway, endpoint
) -> None:
    endpoint.limits = Limits()
    orders = [order(index, deployment=f"d{n}") for n in range(3) for index in (1, 2)]

    await make(gateway, batched(orders, {}))

    asked = [call.action for call in endpoint.calls]
    assert asked.count("RunInstances") == 3
    assert asked.count("CreateSecurityGroup") == 6
    assert not endpoint.refused


# States.


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("pending", MachineState.PENDING),
        ("running", MachineState.RUNNING),
        ("shutting-down", MachineState.STOPPING),
        ("terminated", None),
    ],
)
async def test_states_are_seen_as_what_they_are(gateway, endpoint, state, seen) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.account.become(machine.id.id, state)

    listing = await gateway.observe("aws")

    assert [m.state for m in listing.machines] == ([seen] if seen else [])


async def test_a_machine_answers_with_the_key_of_the_call_that_made_it(gateway) -> None:
    [one, two] = await make(gateway, batch(1, 2))
    [other] = await make(gateway, batch(3))

    assert one.host_key == two.host_key != other.host_key
    assert one.one_time
    assert {m.host_key for m in (await gateway.observe("aws")).machines} == {
        one.host_key,
        other.host_key,
    }


# Crashes and tokens.


async def test_a_batch_whose_answer_was_lost_is_found_again(gateway, endpoint) -> None:
    def lose(action: str) -> None:
        if action == "RunInstances":
            endpoint.after = lambda _: None
            raise ConnectionResetError

    endpoint.after = lose
    orders = batch(1, 2, 3)
    lost = await gateway.create(orders)
    assert all(type(answer) is Transient for answer in lost), lost

    made = await make(gateway, orders)

    assert {m.id.id for m in made} == {i.id for i in endpoint.account.present}
    assert len(made) == 3


async def test_another_process_repeats_a_batch_with_the_same_words(endpoint, tmp_path) -> None:
    async with opened(endpoint.cloud("aws"), tmp_path) as before:
        first = await make(before, batch(1, 2))

    async with opened(endpoint.cloud("aws"), tmp_path) as after:
        again = await make(after, batch(1, 2))

    assert [m.id for m in again] == [m.id for m in first]
    assert "IdempotentParameterMismatch" not in endpoint.refused


async def test_a_token_with_other_arguments_finds_what_it_made(gateway, endpoint) -> None:
    orders = batch(1, 2)
    first = await make(gateway, orders)
    bigger = replace(SPEC, size=Size(name="t3.large"))

    again = await make(gateway, [replace(order, spec=bigger) for order in orders])

    assert [m.id for m in again] == [m.id for m in first]
    assert endpoint.refused == ["IdempotentParameterMismatch"]


async def test_a_token_of_a_terminated_machine_is_answered_as_over(gateway) -> None:
    [kept, ended] = await make(gateway, batch(1, 2))
    await gateway.terminate(ended)

    [again, over] = await make(gateway, batch(1, 2))

    assert again.id == kept.id
    assert again.state is MachineState.RUNNING
    assert (over.id, over.state) == (ended.id, MachineState.STOPPING)
    [fresh] = await make(gateway, [order(2, incarnation=2)])
    assert fresh.state is MachineState.RUNNING


async def test_what_there_is_no_room_for_is_asked_for_again(gateway, endpoint) -> None:
    endpoint.account.capacity = 2

    answers = await gateway.create(batch(1, 2, 3))

    assert [type(answer) for answer in answers] == [Machine, Machine, Throttled]
    assert "made 2 of 3" in str(answers[2])
    endpoint.account.capacity = 10
    assert (await make(gateway, batch(3)))[0].key.index == 3
    assert len(endpoint.account.present) == 3


async def test_a_quota_that_ends_half_way_is_said(gateway, endpoint) -> None:
    endpoint.account.quota = 2

    await gateway.create(batch(1, 2, 3))
    [answer] = await gateway.create(batch(3))

    assert isinstance(answer, QuotaExceeded)
    assert "InstanceLimitExceeded" in str(answer)
    assert len((await gateway.observe("aws")).machines) == 2


# Security groups.


async def test_groups_that_nothing_uses_are_removed(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    [machine] = await make(gateway, batch(1))
    await gateway.observe("aws")
    assert len(endpoint.account.groups) == 2

    await gateway.terminate(machine)
    await until_tidied(gateway, endpoint, [])


async def test_a_group_in_use_is_left_alone_and_tried_again(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    monkeypatch.setattr(groups, "PATIENCE", 0.0)
    [machine] = await make(gateway, batch(1))
    inner = min(endpoint.account.groups, key=len)
    endpoint.account.busy_groups.add(inner)
    await gateway.terminate(machine)
    await until_tidied(gateway, endpoint, [inner])

    endpoint.account.busy_groups.clear()
    await until_tidied(gateway, endpoint, [])


async def test_a_machine_that_is_going_keeps_its_groups(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(groups, "FRESH", 0.0)
    endpoint.account.timing.end = 3600.0
    [machine] = await make(gateway, batch(1))
    await gateway.terminate(machine)

    for _ in range(3):
        await gateway.observe("aws")

    assert "DeleteSecurityGroup" not in endpoint.counted()


async def test_a_group_that_somebody_removed_is_made_again(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    endpoint.account.become(machine.id.id, "terminated")
    for group in endpoint.account._backend.describe_security_groups():
        if group.name != "default":
            endpoint.account._backend.delete_security_group(group_id=group.id)
    refuse(endpoint, "RunInstances", Refused("InvalidGroup.NotFound", "The group is gone"), 1)

    await make(gateway, batch(2))

    assert len(endpoint.account.groups) == 2


async def test_groups_of_an_earlier_process_are_used(endpoint, tmp_path) -> None:
    for index in (1, 2):
        async with opened(endpoint.cloud("aws"), tmp_path) as gateway:
            await make(gateway, batch(index))

    assert endpoint.counted()["AuthorizeSecurityGroupIngress"] == 2
    assert endpoint.counted()["DescribeSecurityGroups"] == 1
    assert len(endpoint.account.groups) == 2


async def test_a_group_whose_rules_were_never_made_gets_them(gateway, endpoint) -> None:
    refuse(endpoint, "AuthorizeSecurityGroupIngress", Refused("InternalError", "later", 500), 1)
    assert isinstance(await refusal(gateway), Transient)

    await make(gateway, batch(1))

    rules = endpoint.counted()["AuthorizeSecurityGroupIngress"]
    assert rules == 3
    for group in endpoint.account._backend.describe_security_groups():
        assert group.ingress_rules or group.name == "default"


async def until_tidied(gateway: Gateway, endpoint: Ec2Endpoint, left: list[str]) -> None:
    async with asyncio.timeout(20):
        while endpoint.account.groups != left:
            await gateway.observe("aws")
            await asyncio.sleep(0.01)


# Bad input.


async def test_wrong_credentials_are_said(endpoint, tmp_path) -> None:
    wrong = {"secret": "wrong"}
    cloud = endpoint.cloud("aws", **wrong)
    async with opened(cloud, tmp_path) as gateway:
        listing = await gateway.observe("aws")

    assert not listing.complete
    assert "check the credentials" in listing.error
    assert "wrong" not in listing.error


async def test_an_unknown_key_is_said(endpoint, tmp_path) -> None:
    async with opened(endpoint.cloud("aws", key="AKIANOBODY"), tmp_path) as gateway:
        assert "check the credentials" in (await gateway.observe("aws")).error


async def test_a_region_that_there_is_not_is_known_when_planning(endpoint, tmp_path) -> None:
    cloud = replace(endpoint.cloud("aws"), region="eu-wets-1")
    async with opened(cloud, tmp_path) as gateway:
        with pytest.raises(Stalled, match=r"no region 'eu-wets-1' \(spec.region; near: eu-west-1"):
            gateway.capabilities("aws")
    assert not endpoint.calls


@pytest.mark.parametrize("port", ["22", 0, 70000])
async def test_an_option_that_is_none_is_known_when_planning(endpoint, tmp_path, port) -> None:
    async with opened(endpoint.cloud("aws", ssh_port=port), tmp_path) as gateway:
        with pytest.raises(Stalled, match="ssh_port"):
            gateway.capabilities("aws")


@pytest.mark.parametrize("size", [Size(name="t3.micro"), Size(cpus=1)])
async def test_an_image_that_there_is_not_names_its_field(gateway, size) -> None:
    error = await refusal(gateway, replace(SPEC, image_id="ami-0", size=size))

    assert isinstance(error, Stalled)
    assert re.search(r"image 'debian' .* spec\.ids\.aws = 'ami-0' .*does not exist", str(error))


async def test_a_size_that_there_is_not_names_its_field(gateway) -> None:
    error = await refusal(gateway, replace(SPEC, size=Size(name="huge")))

    assert isinstance(error, Stalled)
    assert "has no size 'huge'" in str(error)
    assert "spec.sizes" in str(error)


async def test_a_size_that_nothing_fits_is_refused(gateway, endpoint) -> None:
    error = await refusal(gateway, replace(SPEC, size=Size(cpus=100_000)))

    assert isinstance(error, Stalled)
    assert endpoint.counted() == {"DescribeImages": 1}


async def test_the_cheapest_that_fits_is_of_the_images_processor(gateway, endpoint) -> None:
    await make(gateway, batch(1, spec=replace(SPEC, size=Size(cpus=2, memory=3 << 30))))

    [instance] = endpoint.account.present
    assert instance.instance_type == "t3a.medium"  # t4g.medium is cheaper, and an ARM


async def test_a_disk_is_bought_by_its_size(gateway, endpoint) -> None:
    spec = replace(SPEC, size=Size(cpus=1, disk=30 << 30))

    await make(gateway, batch(1, spec=spec))

    [said] = [call.said for call in endpoint.calls if call.action == "RunInstances"]
    assert said["BlockDeviceMapping.1.Ebs.VolumeSize"] == "30"


async def test_a_machine_that_is_not_public_has_no_public_address(gateway) -> None:
    [machine] = await make(gateway, batch(1, spec=replace(SPEC, public=False)))

    assert machine.address
    assert machine.address.startswith("10.")


async def test_user_data_that_is_too_long_is_refused_here(gateway, endpoint) -> None:
    [answer] = await gateway.create(
        batched([replace(order(1), authorized_key="ssh-rsa " + "A" * 17000)], {})
    )

    assert isinstance(answer, Stalled)
    assert "16384" in str(answer)
    assert "RunInstances" not in endpoint.counted()


async def test_throttling_is_no_refusal(gateway, endpoint) -> None:
    refuse(endpoint, "RunInstances", throttled(), 1)

    error = await refusal(gateway)

    assert isinstance(error, Throttled)


async def test_a_storm_of_refusals_opens_the_circuit(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(pace, "FAILURES", 3)
    endpoint.before = lambda _: _raise(Refused("ServiceUnavailable", "try later", 503))

    listings = [await gateway.observe("aws") for _ in range(6)]

    assert not any(listing.complete for listing in listings)
    assert len(endpoint.calls) < 6
    assert "left alone" in listings[-1].error


@pytest.mark.parametrize("page", [HTML, "<!DOCTYPE html>\n" + HTML, "", "{}", "<a>"])
async def test_what_is_no_answer_of_ec2_is_no_empty_list(gateway, endpoint, page) -> None:
    endpoint.before = lambda _: page

    listing = await gateway.observe("aws")

    assert not listing.complete
    assert "check the address of the endpoint" in listing.error


async def test_an_endpoint_that_hangs_is_given_up(endpoint, tmp_path) -> None:
    released = threading.Event()
    endpoint.before = lambda _: str(released.wait(30))
    try:
        async with opened(endpoint.cloud("aws", timeout=0.2), tmp_path) as gateway:
            listing = await gateway.observe("aws")
    finally:
        released.set()

    assert not listing.complete
    assert "timed out" in listing.error.lower()


async def test_a_clock_that_is_wrong_is_said(gateway, endpoint) -> None:
    endpoint.now = lambda: datetime.now(UTC) + timedelta(hours=1)

    listing = await gateway.observe("aws")

    assert "RequestExpired" in listing.error
    assert "clock" in listing.error


async def test_an_end_that_is_refused_is_refused_to_everybody_who_asked(gateway, endpoint) -> None:
    made = await make(gateway, batch(1, 2))
    refuse(endpoint, "TerminateInstances", Refused("UnauthorizedOperation", "not you", 403), 1)

    ends = [gateway.terminate(machine) for machine in made]
    answers = await asyncio.gather(*ends, return_exceptions=True)

    assert [type(answer) for answer in answers] == [Stalled, Stalled]


async def test_one_machine_that_is_protected_keeps_no_other_one(gateway, endpoint) -> None:
    made = await make(gateway, batch(1, 2, 3))
    words = f"The instance '{made[1].id.id}' may not be terminated."
    refuse(endpoint, "TerminateInstances", Refused("OperationNotPermitted", words), 1)

    ends = [gateway.terminate(machine) for machine in made]
    answers = await asyncio.gather(*ends, return_exceptions=True)

    assert [type(answer) for answer in answers] == [type(None), Stalled, type(None)]
    assert [i.id for i in endpoint.account.present] == [made[1].id.id]


async def test_ids_that_ec2_does_not_know_end_nobody_elses_end(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    unknown = [replace(machine, id=MachineId("aws", id)) for id in ("i-0123", "nonsense", "i-99")]

    await asyncio.gather(*(gateway.terminate(each) for each in [*unknown, machine]))

    assert endpoint.account.present == []


def _raise(error: Exception) -> None:
    raise error
