"""The worst incidents of today's controllers, one by one: none of them happens here."""

import asyncio
import logging
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import asyncssh
import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.types import NodeState

from fakes.builders import NOON, deployment, key, node
from fakes.cloud import FakeClouds
from fakes.house import House
from fakes.looptime import run
from fakes.machines import Guest
from fakes.nodes import DRIVER, MemoryAccount, registered
from fakes.remotes import ssh_server
from fakes.site import Site
from fakes.source import GitRepository
from headwater.cloud.gateway import Gateway
from headwater.cloud.pace import Bucket
from headwater.cloud.tags import to_metadata
from headwater.errors import Stalled, Transient
from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog, ResolvedCloud, ResolvedDeployment, Update
from headwater.manifests.snapshot import Snapshot
from headwater.planning.events import ActionEnded, LoopDetected, PassEnded
from headwater.planning.status import CommitState, CommitStatus
from headwater.reconcile.agenda import Priority
from headwater.reconcile.controller import LIVENESS, Controller
from headwater.reporting.logs import EventLog
from headwater.source.address import SshLogin
from headwater.source.git import GitSource
from headwater.source.notes import GitNotes, read_notes
from headwater.store.sqlite import SqliteStore
from headwater.topology.machines import (
    Ability,
    Capabilities,
    CreateOrder,
    Machine,
    MachineState,
    Tags,
)

MINUTE, HOUR = 60.0, 3600.0


def shop(replicas: int = 4, **rest: Any) -> ResolvedDeployment:
    fields = {"protect", "deletion_policy", "update"} & rest.keys()
    wishes = {name: rest.pop(name) for name in fields}
    return replace(deployment(node("web", replicas, **rest)), **wishes)


BLOG = deployment(node("app"), name="blog")
WISHES = {
    "four": [shop(), BLOG],
    "three": [shop(3), BLOG],
    "one": [shop(1), BLOG],
    "six": [shop(6), BLOG],
    "image": [shop(image="debian-13"), BLOG],
    "careful": [shop(image="debian-13", update=Update(max_unavailable=0)), BLOG],
    "recipe": [shop(deploy="#!/bin/sh\nother\n"), BLOG],
    "moved": [replace(shop(), path="elsewhere/shop.toml"), BLOG],
    "protected": [shop(protect=True), BLOG],
    "protected image": [shop(protect=True, image="debian-13"), BLOG],
    "orphan": [shop(deletion_policy="orphan"), BLOG],
    "blog": [BLOG],
    "wiki": [deployment(node("app"), name="wiki")],
    "nothing": [],
}
ALL = ["blog/app.1", *(f"shop/web.{n}" for n in (1, 2, 3, 4))]
Act = Callable[[Site], Awaitable[Any]]


def told(act: Act, first: str = "four", clouds: FakeClouds | None = None) -> tuple[Site, Any]:
    """A site that runs as `first` says, nobody approves anything; then what `act` does to it."""
    site = Site(WISHES, approves=False)
    if clouds is not None:
        site.clouds = clouds
        site.house = site._controller()

    async def whole() -> Any:
        async with site.running():
            await site.settled(site.commit(first))
            return await act(site)

    return site, run(whole())


def ends(site: Site) -> int:
    return len(site.clouds.terminated)


async def nothing(_: Site) -> None:
    """It runs, and that is all."""


async def rest(_: Site) -> None:
    await passes()


async def passes(seconds: float = 10 * MINUTE) -> None:
    await asyncio.sleep(seconds)


def test_incident_01_a_failed_listing_deletes_nothing():
    """argo-cd#18480: a list of clusters that failed was taken for an empty one.

    A cloud's listing, and a revision of which some file could not be read.
    """

    async def act(site: Site) -> tuple[int, str]:
        site.clouds.unlistable["local"] = "500 Internal Server Error"
        site.clouds.omitted = {machine.id for machine in site.clouds.present()}
        revision = site.commit("recipe")
        await passes()
        site.clouds.unlistable.clear()
        site.clouds.omitted.clear()
        await site.settled(revision)
        seen = len(site.clouds.created)
        site.house.whole.read = lambda s: replace(site.read(s), complete=False)
        site.commit("nothing")
        await passes()
        return seen, site.house.status().phase.value

    site, (made, phase) = told(act)

    assert (site.instances(), ends(site), made, phase) == (ALL, 0, 5, "Ready")


@pytest.mark.parametrize("failure", [Transient("connection refused"), Stalled("no branch 'main'")])
def test_incident_02_a_repository_that_is_away_uninstalls_nothing(failure):
    """argo-cd#18212, #14318: applications went while Git was unavailable."""
    site, _ = told(nothing)
    site.source.failure = failure

    async def restarted() -> str:
        async with site.running() as house:
            await passes(HOUR)
            return house.whole.source_error

    assert run(restarted()) == str(failure)
    assert (site.instances(), ends(site)) == (ALL, 0)


def test_incident_03_one_commit_does_not_remove_many():
    """argo-cd#9227, #18780: a small patch deleted most of the production clusters."""

    async def act(site: Site) -> str:
        site.commit("wiki")
        await passes()
        return site.house.status().blocked

    site, why = told(act)

    assert site.instances() == [*ALL, "wiki/app.1"]
    assert "2 deployments are removed at once (blog, shop)" in why


def test_incident_04_a_bad_configuration_prunes_no_large_part():
    """argo-cd#7412, #3484, #12470: there is a limit, per deployment and for all, by default."""

    async def act(site: Site) -> str:
        site.commit("one")
        await passes()
        return site.house.status().blocked

    site, why = told(act)

    assert (site.instances(), ends(site)) == (ALL, 0)
    assert "3 of 4 instances would go; maxDeletes allows 2" in why


@pytest.fixture
def account() -> Iterator[MemoryAccount]:
    with registered():
        yield MemoryAccount()


def _node(account: MemoryAccount, id: str, extra: dict[str, object]) -> None:
    driver = NodeDriver("")  # type: ignore[no-untyped-call]
    account.nodes[id] = Node(id, id, NodeState.RUNNING, [], [], driver, extra=extra)


async def test_incident_05_what_is_not_ours_is_never_touched(
    account: MemoryAccount, tmp_path: Path
):
    """flux2#1366, #1462, #3949, #1077: namespaces were collected that it had never made.

    Through the real gateway: a machine of nobody, one of another installation, and one of ours
    that nobody asks for.
    """
    tags = Tags("another", key("web.1"), 1, "digest", "r1")
    _node(account, "nobody's", {})
    _node(account, "another's", {"metadata": to_metadata(tags)})
    _node(account, "ours", {"metadata": to_metadata(replace(tags, installation="house"))})
    gateway = Gateway("house", tmp_path)
    await gateway.configure({"lab": ResolvedCloud("lab", DRIVER, options={"account": account})})
    listing = await gateway.observe("lab")
    for machine in listing.machines:
        await gateway.terminate(machine)
    await gateway.close()

    assert [machine.id.id for machine in listing.machines] == ["ours"]
    assert listing.unknown == 2
    assert {n.id for n in account.nodes.values() if n.state == NodeState.RUNNING} == {
        "nobody's",
        "another's",
    }


@pytest.mark.parametrize("wish", ["moved", "orphan then blog"])
def test_incident_06_a_file_that_goes_is_not_always_a_system_that_goes(wish):
    """flux2#2421: removing a file, or moving it, cascaded to the cluster.

    Identity is the name, wherever the file is; and `deletionPolicy = "orphan"` leaves machines.
    """

    async def act(site: Site) -> None:
        for each in wish.split(" then "):
            site.commit(each)
            await passes()

    site, _ = told(act)

    assert (site.instances(), ends(site), len(site.clouds.created)) == (ALL, 0, 5)


def test_incident_07_a_database_is_not_replaced_without_being_asked():
    """devantler-tech/platform#2159: `force` made a stateful database anew, and its data was lost.

    Under `protect`, what can only be changed by a replacement waits for an approval.
    """

    async def act(site: Site) -> str:
        site.commit("protected image")
        await passes()
        return site.house.status().blocked

    site, why = told(act, "protected")

    assert (site.instances(), ends(site), len(site.clouds.created)) == (ALL, 0, 5)
    assert "instances are protected from this" in why


def test_incident_08_a_termination_that_failed_is_not_forgotten():
    """kustomize-controller#1664, #1665: failed prunes dropped items from the inventory."""

    async def act(site: Site) -> list[str]:
        (last,) = site.clouds.of(key("web.4"))
        site.clouds.unterminable[last.id] = Transient("503")
        site.commit("three")
        await passes()
        return [each.instance for each in site.house.status().instances]

    site, shown = told(act)
    before = site.instances()

    async def restarted() -> None:
        async with site.running():
            await passes(1.0)
            site.clouds.unterminable.clear()
            await site.settled(site.source.history[-1].revision)

    run(restarted())

    assert (before, shown) == (ALL, ["web.1", "web.2", "web.3", "web.4"])
    assert site.instances() == ALL[:-1]


def test_incident_09_uninstalling_deletes_no_machine():
    """crossplane#6001, #2878, #1082; provider-azure#215: the provider took its resources along.

    Neither the end of the controller, nor the end of the Cloud's manifest, ends a machine.
    """

    async def act(site: Site) -> None:
        def without_cloud(snapshot: Snapshot) -> Catalog:
            return replace(site.read(snapshot), clouds={})

        site.house.whole.read = without_cloud
        site.commit("four")
        await passes()
        await site.house.whole.drain()

    site, _ = told(act)

    assert (site.instances(), ends(site)) == (ALL, 0)


def test_incident_10_nothing_goes_without_a_word(caplog: pytest.LogCaptureFixture):
    """crossplane#6915; karpenter-provider-aws#7083: resources vanished, and no log said why."""

    async def act(site: Site) -> list[ActionEnded]:
        await site.settled(site.commit("three"))
        return [event for event in site.house.events if isinstance(event, ActionEnded)]

    site, actions = told(act)
    first, last = (snapshot.revision for snapshot in site.source.history)
    with caplog.at_level(logging.INFO, "headwater"):
        for event in actions:
            EventLog()(event)
    ended = [
        vars(r)["fields"] for r in caplog.records if vars(r)["fields"]["action"] == "terminate"
    ]

    assert all(event.reason and event.plan for event in actions)
    assert {event.revision for event in actions if event.action == "create"} == {first}
    assert sum(event.action == "create" for event in actions) == len(site.clouds.created)
    assert [(f["deployment"], f["instance"], f["reason"], f["revision"]) for f in ended] == [
        ("shop", "web.4", "web has 3 instances now", last)
    ]


class Forgetful(FakeClouds):
    """It keeps no tokens, and shows a machine only a while after it was made."""

    def __init__(self) -> None:
        super().__init__(Capabilities(frozenset({Ability.TAGS}), description="eventual", lag=60.0))

    def _make(self, order: CreateOrder) -> Machine:
        machine = super()._make(order)
        self._tokens.clear()
        self.omitted.add(machine.id)
        loop = asyncio.get_running_loop()
        loop.call_later(30.0, self.omitted.discard, machine.id)
        return machine


def test_incident_11_a_create_whose_answer_is_lost_is_not_doubled():
    """crossplane-runtime#279, #283; upjet-aws#1482; machine-api-operator#703 and others."""
    clouds = Forgetful()
    clouds.lost_answers[key("web.1")] = Transient("read timed out")
    site, _ = told(rest, clouds=clouds)

    assert site.instances() == ALL
    assert len(clouds.created) == 5


def test_incident_12_a_create_that_was_begun_before_a_crash_blocks_nothing():
    """crossplane#3037: blocked for ever by `external-create-pending`.

    The order never reached the cloud, and it cannot be told from one that did.
    """
    site = Site(WISHES)
    site.clouds = Forgetful()
    site.clouds.omitted.clear()
    site.house = site._controller()
    site.clouds.refused[key("web.1")] = Transient("connection reset")

    async def whole() -> float:
        async with site.running():
            revision = site.commit("four")
            await passes(0.5)
        async with site.running():
            began = asyncio.get_running_loop().time()
            await site.settled(revision)
            return asyncio.get_running_loop().time() - began

    assert run(whole()) < 3 * MINUTE
    assert site.instances() == ALL
    assert len(site.clouds.created) == 5


HOLD = """
import asyncio, pathlib, sys
from headwater.store.sqlite import SqliteStore

async def hold():
    async with SqliteStore(pathlib.Path(sys.argv[1])).locked():
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_incident_13_a_killed_controller_leaves_no_lock(tmp_path: Path):
    """tofu-controller#531, #250, #1876: a runner was killed, and its lock was held for ever."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert holder.stdout is not None
    try:
        await asyncio.to_thread(holder.stdout.readline)
        with pytest.raises(Stalled, match=f"process {holder.pid}"):
            async with SqliteStore(tmp_path).locked():
                pass
    finally:
        holder.kill()
        holder.communicate()
    async with SqliteStore(tmp_path).locked():
        there = (tmp_path / "controller.json").read_text()

    assert str(holder.pid) not in there


def test_incident_14_a_removal_that_cannot_go_on_says_what_blocks_it_and_holds_up_nobody():
    """argo-cd#636, #11145, #19571, #8813; cluster-api#4685, #6049, #7559: stuck finalizers."""

    async def act(site: Site) -> tuple[str, str]:
        (machine,) = site.clouds.of(key("web.2"))
        site.clouds.unterminable[machine.id] = Stalled("not allowed: grant ec2:TerminateInstances")
        revision = site.commit("blog")
        await passes()
        why = site.house.status().condition("Stalled")
        (blog,) = site.clouds.of(key("app.1", "blog"))
        site.clouds.become(blog.id, MachineState.FAILED)
        await passes(MINUTE)
        repaired = site.instances()
        site.clouds.unterminable.clear()
        await passes(HOUR)
        assert repaired == ["blog/app.1", "shop/web.2"]
        return why.message if why else "", site.answers.of(revision, "headwater/shop")[-1]

    site, (why, _) = told(act)

    assert why == "web.2: not allowed: grant ec2:TerminateInstances"
    assert site.instances() == ["blog/app.1"]


def test_incident_15_bad_credentials_are_no_reason_to_try_again_and_again():
    """cluster-api#4685: deletes went round for ever on an authentication error."""

    async def act(site: Site) -> tuple[int, str]:
        for machine in site.clouds.present():
            site.clouds.unterminable[machine.id] = Stalled("401: check the credentials of lab")
        site.clouds.refused[key("web.5")] = Stalled("401: check the credentials of lab")
        site.commit("six")
        await passes(HOUR)
        refused = [e for e in site.house.events if isinstance(e, ActionEnded) and e.error]
        why = site.house.status().condition("Stalled")
        site.commit("blog")
        await passes(HOUR)
        return len(refused), why.message if why else ""

    site, (attempts, why) = told(act)
    ended = [e for e in site.house.events if isinstance(e, ActionEnded) and e.action == "terminate"]

    assert (attempts, why) == (1, "web.5: 401: check the credentials of lab")
    assert len(ended) <= 50 * 5


class Refusing(FakeClouds):
    """Every create fails, in a way that may pass."""

    attempts = 0

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        self.attempts += 1
        return [Transient("500") for _ in orders]


def test_incident_16_what_fails_is_asked_for_ever_more_rarely_and_each_account_at_its_pace():
    """crossplane#2113; provider-aws#847; upjet#592: a request a second ate the tenant's quota."""
    site = Site(WISHES)
    site.clouds = clouds = Refusing()
    site.house = site._controller()
    site.house.dispatch.rng = random.Random(1)  # noqa: S311  # jitter, no secret

    async def whole() -> float:
        async with site.running():
            site.commit("wiki")
            await passes(HOUR)
        bucket, loop = Bucket(2.0), asyncio.get_running_loop()
        began = loop.time()
        for _ in range(100):
            await bucket.take()
        return loop.time() - began

    assert run(whole()) >= 40.0
    assert 5 <= clouds.attempts <= 40


class Deaf(FakeClouds):
    """It says that machines end, and keeps them."""

    def __init__(self) -> None:
        super().__init__(Capabilities(description="deaf", lag=60.0))

    async def terminate(self, machine: Machine) -> None:
        self.terminated.append(machine.id)


def test_incident_17_a_loop_that_changes_nothing_is_noticed_and_slowed_down():
    """argo-cd#9438, #13614, #8100, #19675: ten refreshes a second, unnoticed for months."""
    clouds = Deaf()

    async def act(site: Site) -> int:
        site.commit("three")
        await passes(HOUR)
        return len(site.house.told(LoopDetected))

    _, noticed = told(act, clouds=clouds)

    assert noticed >= 1
    assert len(clouds.terminated) <= 120

    async def quiet(site: Site) -> int:
        before = len(site.house.told(PassEnded))
        await passes(HOUR)
        return len(site.house.told(PassEnded)) - before

    assert told(quiet)[1] == 0


def test_incident_18_the_fix_does_not_wait_for_the_bad_commit():
    """argo-cd#11494, #15642, #17254: the retries of an old commit blocked the new one."""

    async def act(site: Site) -> float:
        async def never(_: Guest) -> None:
            await asyncio.Event().wait()

        site.house.machines.scripts["web"] = never
        site.commit("recipe")
        await passes(MINUTE)
        del site.house.machines.scripts["web"]
        began = asyncio.get_running_loop().time()
        await site.settled(site.commit("four"))
        return asyncio.get_running_loop().time() - began

    assert told(act)[1] <= 5.0


def test_incident_19_few_that_hang_starve_nobody():
    """flux2#5622; kustomize-controller#701: unhealthy items held all the workers."""
    stuck = [deployment(node("app"), name=f"stuck-{n}") for n in range(20)]
    site = Site({"all": [*stuck, BLOG]})

    async def whole() -> float:
        async with site.running() as house:
            house.machines.silent = {key("app.1", d.name) for d in stuck}
            site.commit("all")
            while not (status := house.reconciler.statuses.get("blog")) or not status.is_ready:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            return asyncio.get_running_loop().time()

    assert run(whole()) <= 5.0


def test_incident_20_nothing_hangs_in_silence():
    """source-controller#1154; image-automation-controller#282; kargo#6790.

    A call that is not answered ends by its deadline; a pass that stands still fails liveness.
    """

    async def act(site: Site) -> tuple[list[str], bool, bool]:
        house = site.house
        key_file = PurePath("key")
        controller = Controller(
            house.whole, house.people, "", "main", "", key_file, outputs=_no_outputs
        )
        create = site.clouds.create

        async def silent(_: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
            return await asyncio.Future()

        site.clouds.create = silent  # type: ignore[assignment, method-assign]
        site.commit("six")
        await passes(310.0)
        site.clouds.create = create  # type: ignore[method-assign]
        errors = {e.error for e in house.events if isinstance(e, ActionEnded) and e.error}
        alive = controller.alive()

        async def forever(_: str) -> Any:
            await asyncio.Event().wait()

        house.dispatch.reconcile = forever
        house.dispatch.add("blog", Priority.PERSON)
        await passes(LIVENESS + 1.0)
        return sorted(errors), alive, controller.alive()

    _, (errors, alive, later) = told(act)

    assert errors == ["no answer to a create within 300 s"]
    assert (alive, later) == (True, False)


def _no_outputs(*_: object, **__: object) -> Any:
    raise AssertionError("nobody asks for output here")


@pytest.mark.parametrize("known", ["the new one only", "both"])
async def test_incident_21_another_host_key_stops_nothing_that_runs(known: str, tmp_path: Path):
    """source-controller#490; flux2#5385: the forge's new host key stopped every cluster.

    Several keys may be known for a host; with a wrong one, the repository is away (incident 2).
    """
    work, old = GitRepository(tmp_path / "work"), asyncssh.generate_private_key("ssh-ed25519")
    revision = work.commit({"a.toml": ""})
    login_key = asyncssh.generate_private_key("ssh-ed25519")
    login = SshLogin(tmp_path / "key", tmp_path / "known_hosts")
    (tmp_path / "key").write_bytes(login_key.export_private_key())
    (tmp_path / "key").chmod(0o600)
    async with ssh_server(login_key) as (port, new):
        lines = [f"[127.0.0.1]:{port} {k.export_public_key().decode()}" for k in (old, new)]
        (tmp_path / "known_hosts").write_text("".join(lines if known == "both" else lines[:1]))
        url = f"ssh://git@127.0.0.1:{port}{work.directory}"
        async with GitSource(url, "main", "", tmp_path / "mirror", login=login) as source:
            if known == "both":
                assert (await source.fetch()).revision == revision
                return
            with pytest.raises(
                Stalled, match="the host's key is not the one in the known_hosts file: check it"
            ):
                await source.fetch()


def test_incident_22_every_end_is_told_once_and_after_its_beginning():
    """notification-controller#1373, #1317, #327: failures were missing, success came first."""

    async def act(site: Site) -> None:
        site.house.machines.failing[key("web.1")] = "boom"
        await site.settled(site.commit("recipe"))
        site.house.machines.failing.clear()
        for wish in ("broken:shop", "four", "image", "blog"):
            await site.settled(site.commit(wish))
        site.commit("four")
        await passes(0.01)
        await site.settled(site.commit("recipe"))
        await passes(MINUTE)

    site, _ = told(act)
    places = {(each.revision, each.context) for each in site.answers.given}
    told_there = [site.answers.of(*place) for place in sorted(places)]

    assert len(places) >= 14
    assert {states[-1] for states in told_there} == {"success", "failure"}
    assert {states.count("success") + states.count("failure") for states in told_there} == {1}


async def test_incident_23_no_secret_is_told(
    account: MemoryAccount, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """CVE-2025-23216, -2025-55190, -2023-40029, -2023-25163, -2026-42880; atlantis#938.

    The credentials of a cloud, in the driver's own error and in an address, and the login key.
    """
    words = "401 secret_key=canary-1 at https://ada:canary-2@cloud.example/v2 token: canary-3"
    account.failure = BaseHTTPError(401, words)  # type: ignore[no-untyped-call]
    gateway = Gateway("house", tmp_path)
    lab = ResolvedCloud("local", DRIVER, options={"account": account})
    await gateway.configure({"local": lab})
    house = House()
    listing = await gateway.observe("local")
    house.clouds.unlistable["local"] = listing.error
    house.clouds.refused[key("web.1")] = Stalled(listing.error)
    with caplog.at_level(logging.DEBUG):
        house.events.clear()
        await house.want(deployment(node("web")))
        await house.reconcile()
        house.clouds.unlistable.clear()
        await house.look()
        await house.rest()
        for event in house.events:
            EventLog()(event)
    await gateway.close()
    shown = "\n".join(
        [listing.error, repr(house.status()), *house.store.disk.documents.values()]
        + [repr(vars(record)) for record in caplog.records]
    )

    assert "401" in shown
    assert "canary" not in shown


def test_incident_24_a_healthy_machine_serves_until_its_successor_does():
    """karpenter#1510; karpenter-provider-aws#3206, #3979, #6591."""

    async def act(site: Site) -> str:
        site.house.machines.failing[key("web.1")] = "boom"
        await site.settled(site.commit("careful"))
        await passes()
        why = site.house.status().condition("Stalled")
        return why.message if why else ""

    site, why = told(act)
    serving = [
        m for m in site.clouds.present() if m.key == key("web.1") and m.tags.incarnation == 1
    ]

    assert why == "web.1: deploy exited with 7: boom"
    assert (len(serving), ends(site)) == (1, 0)


def test_incident_25_machines_that_seem_gone_all_at_once_are_not_made_anew():
    """Machine health checks' maxUnhealthy; machine-api-operator#902; cluster-api#5451.

    The network to the cloud is cut in the worst way: listings are complete, and empty.
    """

    async def act(site: Site) -> tuple[str, str]:
        site.clouds.omitted = {machine.id for machine in site.clouds.present()}
        await passes(HOUR)
        why = site.house.status().blocked
        site.clouds.omitted.clear()
        await passes(MINUTE)
        return why, "ready" if site.house.status().is_ready else "not ready"

    site, (why, after) = told(act)
    shops = [order for order in site.clouds.created if order.tags.key.deployment == "shop"]

    assert "4 machines vanished at once" in why
    assert (len(shops), after) == (4, "ready")


def test_incident_26_an_upgrade_deletes_and_replaces_nothing_by_itself():
    """rancher#38672; flux2#1462: the new version uninstalled monitoring and storage.

    A version that computes other digests takes every machine for outdated.
    """
    site, _ = told(nothing)
    for machine in list(site.clouds.present()):
        site.clouds.put(replace(machine, tags=replace(machine.tags, machine_digest="of old")))
    site.house.reconciler.safety._version = "another"

    async def upgraded() -> str:
        async with site.running() as house:
            await passes()
            return house.status().blocked

    assert "the first pass of another version of Headwater" in run(upgraded())
    assert (site.instances(), ends(site), len(site.clouds.created)) == (ALL, 0, 5)


MANIFEST = """
apiVersion = "headwater.dev/v1alpha1"
kind = "{}"
metadata.name = "{}"
"""
WEB = MANIFEST.format("Component", "web") + 'spec.image = "host"\n'


def _system(name: str, component: str = "web") -> str:
    spec = f'[spec]\ncloud = "local"\n[spec.nodes.app]\ncomponent = "{component}"\n'
    return MANIFEST.format("Deployment", name) + spec


def test_incident_27_a_wrong_manifest_is_wrong_by_itself():
    """pkg#293; kustomize-controller#1168, #1231, #756: one invalid object blocked all others."""
    site = Site({})
    files = {
        "web.toml": WEB,
        "good.toml": _system("good"),
        "wrong.toml": _system("wrong", "wep"),
        "worse.toml": _system("worse", "wbe"),
    }

    async def whole() -> tuple[bool, list[str]]:
        async with site.running() as house:
            house.whole.read = lambda snapshot: compile_catalog(snapshot, Parser())
            await site.settled(site.source.commit(files))
            wrong = house.reconciler.wanted.catalog.diagnostics
            return house.status("good").is_ready, [str(each) for each in wrong]

    ready, wrong = run(whole())

    assert (ready, site.instances()) == (True, ["good/app.1"])
    assert [line.partition(": ")[0] for line in wrong] == ["worse.toml:8:1", "wrong.toml:8:1"]


def test_incident_28_a_plan_that_is_out_of_date_is_not_applied():
    """atlantis#6605, #5620, #5807, #2124, #5568: a stale plan was applied.

    Approved is what was looked at: three instances of four; and now it would be five of six.
    """

    async def act(site: Site) -> tuple[str, str]:
        site.commit("one")
        await passes()
        stale = site.house.status().blocked
        digest = stale.partition("approve ")[2][:16]
        await site.settled(site.commit("six"))
        site.house.reconciler.safety.approve([digest])
        site.commit("one")
        await passes()
        return stale, site.house.status().blocked

    site, (stale, now) = told(act)

    assert ("3 of 4" in stale, "5 of 6" in now) == (True, True)
    assert (len(site.instances()), ends(site)) == (7, 0)


async def test_incident_29_writing_back_loses_no_race_and_goes_round_in_no_circle(tmp_path: Path):
    """image-automation-controller#1090, #466: late commits, and empty ones without an end.

    What we write back is notes: beside another writer, never an empty one, and none of them is
    a new revision.
    """
    repository = GitRepository(tmp_path / "repository")
    revision = repository.commit({"a.toml": ""})
    first = GitSource(str(repository.directory), "main", "", tmp_path / "first")
    second = GitSource(str(repository.directory), "main", "", tmp_path / "second")
    async with first, second:
        before = await first.fetch()
        writers = [GitNotes(source.upstream, source.worker) for source in (first, second)]
        await asyncio.gather(*(_insist(w, revision, n) for n, w in enumerate(writers)))
        written = repository.git("rev-parse", "refs/notes/headwater")
        await writers[0].answer(_answer(revision, "0.4"))
        after = await first.fetch()

    assert len(read_notes(repository.directory, revision)) == 10
    assert repository.git("rev-parse", "refs/notes/headwater") == written
    assert after is before


async def _insist(notes: GitNotes, revision: str, writer: int) -> None:
    """As the loop does."""
    for number in range(5):
        while True:
            try:
                await notes.answer(_answer(revision, f"{writer}.{number}"))
                break
            except Transient:
                continue


def _answer(revision: str, name: str) -> CommitStatus:
    return CommitStatus(revision, name, CommitState.SUCCESS, "ok", NOON)
