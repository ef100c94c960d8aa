"""The gateway over a libcloud driver that is slow and faulty as told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.types import NodeState

from fakes.nodes import DRIVER, MemoryAccount, registered
from headwater.cloud import account as account_module
from headwater.cloud.gateway import Gateway
from headwater.errors import QuotaExceeded, Stalled, Transient
from headwater.manifests.resolved import Quota, ResolvedCloud, Size
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import CreateOrder, Listing, Machine, MachineSpec, Tags

SOON = 10.0


@pytest.fixture(autouse=True)
def driver() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def account() -> Iterator[MemoryAccount]:
    account = MemoryAccount()
    yield account
    account.gate.set()


@pytest.fixture
async def gateway(tmp_path: Path, account: MemoryAccount) -> AsyncIterator[Gateway]:
    gateway = Gateway("ours", tmp_path)
    await gateway.configure({"lab": cloud(account)})
    yield gateway
    account.gate.set()
    await gateway.close()


def cloud(account: MemoryAccount, quota: int | None = None, **further: object) -> ResolvedCloud:
    options = {"account": account, **further}
    return ResolvedCloud("lab", DRIVER, options=options, quota=Quota(quota))


def order(index: int, size: Size | None = None) -> CreateOrder:
    return CreateOrder(
        name=f"web-{index}",
        token=f"token-{index}",
        spec=MachineSpec("lab", "debian", "image-1", size or Size()),
        tags=Tags("ours", InstanceKey("hello", "web", index), 1, "digest", "revision"),
        authorized_key="ssh-ed25519 AAAA",
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  # other threads change it
            await asyncio.sleep(0.005)


async def made(gateway: Gateway, *indexes: int) -> list[Machine]:
    answers = await gateway.create([order(index) for index in indexes])
    return [answer for answer in answers if isinstance(answer, Machine)]


async def test_observers_at_the_same_time_share_one_call(
    gateway: Gateway, account: MemoryAccount
) -> None:
    listings = await asyncio.gather(*(gateway.observe("lab") for _ in range(50)))

    assert account.count("list") == 1
    assert all(listing is listings[0] for listing in listings)


async def test_an_observer_that_gives_up_takes_the_listing_from_nobody(
    gateway: Gateway, account: MemoryAccount
) -> None:
    account.gate.clear()
    first, second = (asyncio.create_task(gateway.observe("lab")) for _ in range(2))
    await until(lambda: account.count("list") == 1)
    first.cancel()
    await asyncio.wait([first])
    account.gate.set()

    assert (await second).complete
    assert account.count("list") == 1


async def test_a_listing_that_began_before_a_write_is_not_shared_after_it(
    gateway: Gateway, account: MemoryAccount
) -> None:
    account.gate.clear()
    before = asyncio.create_task(gateway.observe("lab"))
    await until(lambda: account.count("list") == 1)
    account.gate.set()
    await made(gateway, 1)
    after = await gateway.observe("lab")
    await before

    assert len(after.machines) == 1


async def test_each_thread_has_a_driver_of_its_own(
    gateway: Gateway, account: MemoryAccount
) -> None:
    account.gate.clear()
    orders = [asyncio.create_task(gateway.create([order(n)])) for n in range(4)]
    await until(lambda: account.count("list") == 4)
    account.gate.set()
    await asyncio.gather(*orders)

    threads = {thread for _, thread in account.calls}
    assert account.drivers == len(threads) > 1


async def test_what_cannot_be_listed_is_incomplete_and_says_why(
    gateway: Gateway, account: MemoryAccount
) -> None:
    await made(gateway, 1)
    account.failure = BaseHTTPError(503, "maintenance")  # type: ignore[no-untyped-call]

    listing = await gateway.observe("lab")

    assert listing == Listing("lab", (), complete=False, error="cloud 'lab': maintenance")
    account.failure = None
    assert (await gateway.observe("lab")).complete


async def test_a_cloud_that_is_not_defined_is_incomplete_and_not_empty(gateway: Gateway) -> None:
    listing = await gateway.observe("nowhere")

    assert not listing.complete
    assert "'nowhere'" in listing.error


async def test_a_listing_that_hangs_is_given_up(
    gateway: Gateway, account: MemoryAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "_READ_SECONDS", 0.05)
    account.gate.clear()

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert "no answer within" in listing.error


async def test_a_creation_that_hangs_is_transient_and_seen_by_the_next_listing(
    gateway: Gateway, account: MemoryAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "_WRITE_SECONDS", 0.05)
    monkeypatch.setattr(account_module, "_WRITE_SECONDS_PER_ORDER", 0.0)
    account.gate.clear()
    [answer] = await gateway.create([order(1)])
    assert isinstance(answer, Transient)

    account.gate.set()
    await until(lambda: account.count("create") == 1)

    assert [m.key.index for m in (await gateway.observe("lab")).machines] == [1]


async def test_a_cloud_without_tokens_makes_no_second_machine(
    gateway: Gateway, account: MemoryAccount
) -> None:
    first, again = await made(gateway, 1), await made(gateway, 1)

    assert first == again
    assert account.count("create") == 1


async def test_one_refused_order_does_not_hold_up_the_others(
    gateway: Gateway, account: MemoryAccount
) -> None:
    answers = await gateway.create([order(1), order(2, Size(cpus=64)), order(3)])

    assert [type(answer) for answer in answers] == [Machine, Stalled, Machine]
    assert account.count("create") == 2


async def test_a_full_account_is_told_as_such(gateway: Gateway, account: MemoryAccount) -> None:
    account.failure = BaseHTTPError(403, "quota reached")  # type: ignore[no-untyped-call]

    assert [type(answer) for answer in await gateway.create([order(1)])] == [QuotaExceeded]


async def test_terminated_nodes_are_not_listed_and_terminate_again(
    gateway: Gateway, account: MemoryAccount
) -> None:
    [machine] = await made(gateway, 1)
    await gateway.terminate(machine)
    await gateway.terminate(machine)

    assert account.nodes[machine.id.id].state == NodeState.TERMINATED
    assert await gateway.observe("lab") == Listing("lab", (), complete=True, unknown=0)


async def test_a_termination_that_fails_is_told(gateway: Gateway, account: MemoryAccount) -> None:
    [machine] = await made(gateway, 1)
    account.failure = BaseHTTPError(500, "not now")  # type: ignore[no-untyped-call]

    with pytest.raises(Transient, match="not now"):
        await gateway.terminate(machine)
    assert machine.id == MachineId("lab", "n-1")


async def test_an_unchanged_account_keeps_its_drivers(
    gateway: Gateway, account: MemoryAccount
) -> None:
    await gateway.observe("lab")
    drivers = account.drivers
    await gateway.configure({"lab": cloud(account, quota=10)})
    for _ in range(3):
        await gateway.observe("lab")

    assert account.drivers <= max(drivers, 4)
    before = account.drivers
    await gateway.configure({"lab": cloud(MemoryAccount())})
    await gateway.observe("lab")
    assert account.drivers == before


async def test_an_account_that_changes_while_it_is_listed_still_answers(
    gateway: Gateway, account: MemoryAccount
) -> None:
    account.gate.clear()
    listing = asyncio.create_task(gateway.observe("lab"))
    await until(lambda: account.count("list") == 1)
    changing = asyncio.create_task(gateway.configure({}))
    await asyncio.sleep(0)
    account.gate.set()
    await changing

    assert (await listing).complete


@pytest.mark.parametrize(
    ("defined", "words"),
    [
        (ResolvedCloud("lab", "lokal"), r"no driver 'lokal' \(near: local"),
        (ResolvedCloud("lab", DRIVER), "was not given what it needs"),
        (ResolvedCloud("lab", DRIVER, credentials="lab"), r"secrets/lab\.toml"),
        (ResolvedCloud("lab", DRIVER, credentials="../../etc/x"), "no name of credentials"),
        (ResolvedCloud("lab", "local", options={"levle": "x"}), "no option 'levle'"),
        (ResolvedCloud("lab", "dummy", options={"creds": 0}), "cannot carry tags"),
    ],
)
async def test_a_cloud_that_cannot_be_used_says_why(
    tmp_path: Path, defined: ResolvedCloud, words: str
) -> None:
    gateway = Gateway("ours", tmp_path)
    await gateway.configure({"lab": defined})
    try:
        with pytest.raises(Stalled, match=words):
            gateway.capabilities("lab")
    finally:
        await gateway.close()


async def test_credentials_come_from_a_file_that_git_never_sees(
    tmp_path: Path, account: MemoryAccount
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/lab.toml").write_text("levle = 1\n")
    gateway = Gateway("ours", tmp_path)
    defined = ResolvedCloud("lab", DRIVER, credentials="lab", options={"account": account})
    await gateway.configure({"lab": defined})
    try:
        with pytest.raises(Stalled, match="levle"):
            gateway.capabilities("lab")
    finally:
        await gateway.close()


async def test_what_a_cloud_sells_is_part_of_what_it_can_do(gateway: Gateway) -> None:
    sold = gateway.capabilities("lab").sizes or ()

    assert [(offer.id, offer.cpus, offer.memory >> 30, offer.price) for offer in sold] == [
        ("large", 8, 16, 0.4),
        ("small", 1, 2, 0.1),
    ]


async def test_an_image_is_known_or_told_where_to_correct_it(gateway: Gateway) -> None:
    there = MachineSpec("lab", "debian", "image-1", Size())

    assert await gateway.image(there) == "Debian"
    with pytest.raises(Stalled, match=r"correct its spec\.ids\.lab = 'image-2'"):
        await gateway.image(replace(there, image_id="image-2"))


async def test_a_machine_tells_which_size_was_asked_for(gateway: Gateway) -> None:
    wanted = order(1)
    size = Size(cpus=1)
    await gateway.create([replace(wanted, tags=replace(wanted.tags, size=size))])

    [machine] = (await gateway.observe("lab")).machines

    assert machine.tags.size == size
