"""From a plan that is held back to its approval: status, answers, trailers, the command line."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath
from typing import Any

import pytest

from fakes.answers import FakeAnswers
from fakes.builders import catalog, deployment, node
from fakes.house import House
from fakes.looptime import run
from fakes.site import WISH, Site
from fakes.source import FakeSource
from headwater.manifests.resolved import Catalog
from headwater.manifests.snapshot import Snapshot
from headwater.reconcile.controller import Controller
from headwater.store.outputs import Outputs
from headwater.web.server import serving

DEADLINE = 60
MAIN = "import sys; from headwater.cli import main; main(sys.argv[1:], prog_name='headwater')"
BLOG = deployment(node("app"), name="blog")
WIKI = deployment(node("app"), name="wiki")
WISHES = {
    "four": [deployment(node("web", 4)), BLOG, WIKI],
    "one": [deployment(node("web", 1)), BLOG, WIKI],
    "wiki": [WIKI],
    "bigger": [deployment(node("web", 4)), deployment(node("app", 2), name="blog"), WIKI],
}
ALL = ["blog/app.1", *(f"shop/web.{n}" for n in (1, 2, 3, 4)), "wiki/app.1"]


def scene(act: Callable[[Site], Awaitable[Any]]) -> Site:
    """A site where four instances run and nobody approves anything by themselves."""
    site = Site(WISHES, approves=False)

    async def whole() -> None:
        async with site.running():
            await site.settled(site.commit("four"))
        await act(site)

    run(whole())
    return site


async def at_rest(site: Site) -> None:
    async with asyncio.timeout(7200.0):
        await asyncio.sleep(5.0)
        while not site.house.whole.is_settled:  # noqa: ASYNC110  # a clock that jumps
            await asyncio.sleep(1.0)


def digest(site: Site, name: str = "shop") -> str:
    return site.house.status(name).blocked.partition("approve ")[2][:16]


def commit(site: Site, wish: str, *approvals: str) -> str:
    """With the trailers of its message."""
    revision = site.commit(wish)
    site.source.history[-1] = replace(site.source.history[-1], approvals=approvals)
    return revision


def test_what_is_held_back_is_shown_with_its_reason_and_the_command():
    said: dict[str, Any] = {}

    async def act(site: Site) -> None:
        async with site.running():
            revision = site.commit("one")
            await at_rest(site)
            said.update(revision=revision, digest=digest(site), status=site.house.status())

    site = scene(act)
    why = (
        f"waits for `headwater approve {said['digest']}`:"
        " 3 of 4 instances would go; maxDeletes allows 2"
    )
    conditions = {each.type: each for each in said["status"].conditions}

    assert site.instances() == ALL
    assert said["status"].diagnostics == (why,)
    assert (conditions["Stalled"].status, conditions["Stalled"].message) == (True, why)
    assert conditions["PlanBlocked"].status
    assert site.answers.last(said["revision"], "headwater/shop").description == why
    assert site.answers.last(said["revision"]).description == f"shop: {why}"
    assert set(site.answers.of(said["revision"], "headwater")) == {"pending"}


def test_an_approval_by_a_person_lets_it_through_and_the_commit_is_answered_once():
    async def act(site: Site) -> None:
        async with site.running() as house:
            revision = site.commit("one")
            await at_rest(site)
            house.people.approve(digest(site))
            await site.settled(revision)

    site = scene(act)
    revision = site.source.history[-1].revision

    assert site.instances() == ["blog/app.1", "shop/web.1", "wiki/app.1"]
    assert [s for s in site.answers.of(revision, "headwater/shop") if s != "pending"] == ["success"]
    assert site.answers.last(revision).description == "3/3 deployments ready"


def test_a_trailer_in_a_later_commit_lets_it_through():
    async def act(site: Site) -> None:
        async with site.running():
            site.commit("one")
            await at_rest(site)
            await site.settled(commit(site, "one", digest(site)))

    assert scene(act).instances() == ["blog/app.1", "shop/web.1", "wiki/app.1"]


def test_a_trailer_in_the_commit_itself_needs_no_second_one():
    """The digest does not depend on the commit: it is that of the plan shown in the review."""
    site = Site(WISHES, approves=False)

    async def whole() -> tuple[str, str]:
        async with site.running():
            await site.settled(site.commit("four"))
            site.commit("one")
            await at_rest(site)
            reviewed = digest(site)
            await site.settled(site.commit("four"))
            merged = commit(site, "one", reviewed)
            await site.settled(merged)
            return merged, reviewed

    merged, _ = run(whole())

    assert site.instances() == ["blog/app.1", "shop/web.1", "wiki/app.1"]
    assert not [s for s in site.answers.given if s.revision == merged and "waits" in s.description]


def test_what_waits_does_not_hold_up_another_deployment():
    """Two are removed, which waits; and the third one's dead machine is repaired."""

    async def act(site: Site) -> None:
        async with site.running():
            site.commit("wiki")
            await at_rest(site)
            (machine,) = [m for m in site.clouds.present() if m.key.deployment == "wiki"]
            site.clouds.lose(machine.id)
            await asyncio.sleep(60.0)

    site = scene(act)
    wiki = [m for m in site.clouds.present() if m.key.deployment == "wiki"]

    assert site.instances() == ALL
    assert [machine.tags.incarnation for machine in wiki] == [2]


def test_a_group_stays_one_when_half_of_it_is_approved_and_over_restarts():
    there: list[list[str]] = []

    async def act(site: Site) -> None:
        async with site.running() as house:
            site.commit("wiki")
            await at_rest(site)
            house.people.approve(digest(site, "blog"))
            await asyncio.sleep(60.0)
            there.append(site.instances())
        async with site.running() as house:
            await at_rest(site)
            there.append(site.instances())
            house.people.approve(digest(site))
            await site.settled(site.source.history[-1].revision)

    site = scene(act)

    assert there == [ALL[1:], ALL[1:]]
    assert site.instances() == ["wiki/app.1"]


def test_a_group_that_is_found_late_is_one_too():
    """The commit came while nobody watched, and at first the cloud does not answer."""

    async def act(site: Site) -> None:
        site.clouds.unlistable["local"] = "503"
        site.commit("wiki")
        async with site.running():
            await asyncio.sleep(60.0)
            site.clouds.unlistable.clear()
            await asyncio.sleep(60.0)
            assert "2 deployments are removed at once" in site.house.status("blog").blocked

    assert scene(act).instances() == ALL


def test_an_approval_given_just_before_the_end_of_a_process_counts_after_it():
    async def act(site: Site) -> None:
        async with site.running() as house:
            revision = site.commit("one")
            await at_rest(site)
            house.reconciler.safety.approve([digest(site)])  # And nobody looks again any more.
        assert site.instances() == ALL
        async with site.running():
            await site.settled(revision)

    assert scene(act).instances() == ["blog/app.1", "shop/web.1", "wiki/app.1"]


def test_a_suspension_ends_by_itself_and_the_commit_is_answered_then():
    said: list[Any] = []

    async def act(site: Site) -> None:
        async with site.running() as house:
            await at_rest(site)
            end = house.executor.clock() + timedelta(seconds=600.0)
            house.people.suspend("blog", "an exam", "ada", end.isoformat())
            revision = site.commit("bigger")
            await asyncio.sleep(590.0)
            said.extend([site.instances(), site.answers.last(revision).description])
            await asyncio.sleep(60.0)
            said.extend([site.instances(), site.answers.of(revision, "headwater")[-1]])

    scene(act)

    assert said[0] == ALL
    assert said[1].startswith("blog: suspended: an exam (by ada, until ")
    assert said[2] == sorted([*ALL, "blog/app.2"])
    assert said[3] == "success"


def test_a_revision_s_losses_count_together_over_deployments():
    """Two thirds of each of three would be allowed; of all that there is, ten at once are."""
    many = [deployment(node("web", 6), name=name) for name in ("blog", "shop", "wiki")]
    few = [replace(deployment(node("web", 2), name=d.name), max_deletes="100%") for d in many]
    site = Site({"many": many, "few": few}, approves=False)

    async def whole() -> list[str]:
        async with site.running() as house:
            await site.settled(site.commit("many"))
            site.commit("few")
            await at_rest(site)
            return [house.status(d.name).blocked for d in many]

    reasons = run(whole())

    assert len(site.instances()) == 18
    assert all("12 of all 18 instances would go; 10 may at once" in why for why in reasons)


@dataclass
class Office:
    """A controller in this process, with its web server, for the command line to talk to."""

    house: House
    source: FakeSource
    state: Path

    async def headwater(self, *arguments: str) -> tuple[int | None, str, str]:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAIN, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HEADWATER_STATE": str(self.state), "COLUMNS": "200"},
        )
        try:
            out, err = await asyncio.wait_for(child.communicate(), DEADLINE)
        finally:
            if child.returncode is None:
                child.kill()
        return child.returncode, out.decode(), err.decode()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not holds():  # noqa: ASYNC110  # every part of the world may tell
                await asyncio.sleep(0.02)

    async def follow(self, wish: str) -> None:
        revision = self.source.commit({WISH: wish})
        await self.until(
            lambda: (
                self.house.whole.is_settled
                and self.house.reconciler.wanted.catalog.revision == revision
            )
        )


def _read(snapshot: Snapshot) -> Catalog:
    wish = (snapshot.files[WISH].content or b"").decode()
    return catalog(*WISHES[wish], revision=snapshot.revision)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    house, source = House(prompt=True, clock=lambda: datetime.now(UTC)), FakeSource()
    loop = house.looping(source, _read, FakeAnswers())
    key, outputs = PurePath("login"), Outputs(tmp_path / "logs")
    controller = Controller(loop, house.people, "systems.git", "main", "", key, outputs.read)
    running = asyncio.create_task(loop.run())
    try:
        async with serving(controller, lambda _: (b"", ""), directory=tmp_path, listen=""):
            office = Office(house, source, tmp_path)
            await office.follow("four")
            yield office
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_command_line_shows_what_waits_and_approves_it(office: Office):
    await office.follow("one")
    _, shown, _ = await office.headwater("status", "shop")
    digest = shown.partition("headwater approve ")[2][:16]
    answer = await office.headwater("approve", digest)
    await office.until(lambda: office.house.status().is_ready)

    assert "Stalled (PlanBlocked): waits for `headwater approve" in shown
    assert "3 of 4 instances would go; maxDeletes allows 2" in shown
    assert answer == (0, f"{digest} is approved; shop goes on\n", "")
    assert len([m for m in office.house.clouds.present() if m.key.deployment == "shop"]) == 1


async def test_the_command_line_refuses_what_is_no_digest(office: Office):
    assert await office.headwater("approve", "shop") == (
        1,
        "",
        "headwater: 'shop' is no digest of a plan; `headwater plan` shows them\n",
    )


async def test_the_command_line_suspends_and_resumes(office: Office):
    suspended = await office.headwater("suspend", "shop", "--reason", "an exam", "--for", "1h")
    await office.follow("one")
    _, shown, _ = await office.headwater("status", "shop")
    held = len(list(office.house.clouds.present()))
    resumed = await office.headwater("resume", "shop")
    await office.until(lambda: bool(office.house.status().blocked))

    assert suspended[0] == 0
    assert suspended[1].startswith("shop is suspended: an exam (by ")
    assert "Suspended (Suspended): an exam (by " in shown
    assert (held, resumed[:2]) == (6, (0, "shop goes on\n"))
