"""What a revision is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakes.answers import FakeAnswers
from fakes.builders import NOON
from fakes.house import in_counts
from fakes.looptime import run
from fakes.store import Disk, MemoryStore
from headwater.errors import Stalled, Transient
from headwater.planning.status import Condition, DeploymentStatus, Phase
from headwater.planning.verdict import invalid
from headwater.reconcile.answering import Answering
from headwater.reconcile.ledger import Ledger


def ready(revision: str = "r1", name: str = "web") -> DeploymentStatus:
    return DeploymentStatus(
        name, Phase.READY, (Condition("Ready", status=True, reason=""),), 2, 2, 0, "", revision
    )


def busy(revision: str = "r1", name: str = "web") -> DeploymentStatus:
    return DeploymentStatus(
        name, Phase.EXECUTING, (Condition("Ready", status=False, reason=""),), 2, 1, 0, "", revision
    )


def stalled(revision: str = "r1", name: str = "web", words: str = "boom") -> DeploymentStatus:
    condition = Condition("Stalled", status=True, reason="RunFailed", message=words)
    return DeploymentStatus(name, Phase.ABORTED, (condition,), 2, 1, 1, "", revision)


class Desk:
    """Answering, on a disk that outlives it."""

    def __init__(self, answers: FakeAnswers | None = None, disk: Disk | None = None) -> None:
        self.answers = answers or FakeAnswers()
        self.disk = disk or Disk()
        ledger = Ledger(MemoryStore(self.disk))
        self.answering = Answering(self.answers, ledger, lambda: NOON, in_counts)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.answering.deliver())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def said(self) -> list[str]:
        """`context state: description`, in order."""
        async with self.delivering():
            await asyncio.wait_for(self.answering.flush(), 5)
        return [f"{s.revision} {s.context} {s.state}: {s.description}" for s in self.answers.given]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_revision_is_pending_then_successful(desk):
    desk.answering.begin("r1", {"web"}, ())
    await desk.said()
    desk.answering.heard("web", busy())
    desk.answering.heard("web", ready())
    desk.answering.close({"web": ready()})

    assert await desk.said() == [
        "r1 headwater pending: reconciling",
        "r1 headwater/web pending: reconciling",
        "r1 headwater/web success: 2/2",
        "r1 headwater success: 1/1 deployments ready",
    ]


async def test_a_failure_is_told_in_its_own_words(desk):
    desk.answering.begin("r1", {"web"}, ())
    desk.answering.heard("web", stalled())
    desk.answering.close({"web": stalled()})

    assert await desk.said() == [
        "r1 headwater failure: 0/1 deployments ready; web: 1/2 boom",
        "r1 headwater/web failure: 1/2 boom",
    ]


async def test_a_terminal_state_is_said_once_and_stays(desk):
    desk.answering.begin("r1", {"web"}, ())
    desk.answering.heard("web", ready())
    desk.answering.close({"web": ready()})
    desk.answering.heard("web", stalled())
    desk.answering.close({"web": stalled()})
    desk.answering.begin("r1", {"web"}, ())

    assert [line for line in await desk.said() if "pending" not in line] == [
        "r1 headwater success: 1/1 deployments ready",
        "r1 headwater/web success: 2/2",
    ]


async def test_a_status_of_an_older_revision_answers_nothing(desk):
    desk.answering.begin("r2", {"web"}, ())
    desk.answering.heard("web", ready("r1"))

    assert "r2 headwater/web pending: reconciling" in await desk.said()


async def test_a_newer_revision_closes_what_the_older_one_left_open(desk):
    desk.answering.begin("r1", {"web"}, ())
    await desk.said()
    desk.answering.begin("r2", {"web"}, ())

    assert (await desk.said())[2:] == [
        "r1 headwater failure: superseded by r2",
        "r1 headwater/web failure: superseded by r2",
        "r2 headwater pending: reconciling",
        "r2 headwater/web pending: reconciling",
    ]


async def test_a_revision_is_not_closed_before_all_that_it_touches_is(desk):
    desk.answering.begin("r1", {"web", "db"}, ())
    desk.answering.heard("web", ready())
    desk.answering.close({"web": ready(), "db": busy(name="db")})

    assert "r1 headwater pending: reconciling" in await desk.said()


async def test_a_status_that_was_there_before_the_revision_began_is_heard_at_the_end(desk):
    desk.answering.begin("r1", {"web"}, ())
    desk.answering.close({"web": ready()})

    assert "r1 headwater/web success: 2/2" in await desk.said()


async def test_a_revision_that_touches_nothing_is_answered_at_once(desk):
    desk.answering.begin("r1", (), ())
    desk.answering.close({})

    assert await desk.said() == ["r1 headwater success: 0/0 deployments ready"]


async def test_a_removed_deployment_is_a_success(desk):
    desk.answering.begin("r1", {"web"}, ())
    desk.answering.heard("web", None)
    desk.answering.close({})

    assert "r1 headwater/web success: removed" in await desk.said()


async def test_an_error_outside_of_any_deployment_fails_the_revision(desk):
    desk.answering.begin("r1", (), ("cloud.toml:1:1: wrong",))
    desk.answering.close({})

    assert await desk.said() == [
        "r1 headwater failure: 0/0 deployments ready; cloud.toml:1:1: wrong"
    ]


async def test_a_wrong_manifest_fails_its_deployment(desk):
    status = invalid("web", ["web.toml:1:1: wrong"], None)
    desk.answering.begin("r1", {"web"}, ("web.toml:1:1: wrong",))
    desk.answering.close({"web": replaced(status)})

    assert "r1 headwater/web failure: 0/0 web.toml:1:1: wrong" in await desk.said()


def replaced(status: DeploymentStatus) -> DeploymentStatus:
    return DeploymentStatus(
        status.name, status.phase, status.conditions, 0, 0, observed_revision="r1"
    )


async def test_a_description_has_140_characters(desk):
    desk.answering.begin("r1", (), ("x" * 500,))
    desk.answering.close({})
    await desk.said()

    assert len(desk.answers.given[-1].description) == 140


async def test_only_the_newest_answer_of_a_context_is_delivered(desk):
    desk.answers.gate.clear()
    async with desk.delivering():
        desk.answering.begin("r1", {"web"}, ())
        await asyncio.sleep(0)
        desk.answering.heard("web", ready())
        desk.answering.close({"web": ready()})
        desk.answers.gate.set()
        await asyncio.wait_for(desk.answering.flush(), 5)

    assert desk.answers.of("r1", "headwater/web") == ["success"]
    assert desk.answers.last("r1").state == "success"


def test_an_answer_that_cannot_be_given_now_is_given_later():
    async def scene() -> list[str]:
        desk = Desk()
        desk.answers.failures = [Transient("502")] * 5
        desk.answering.begin("r1", {"web"}, ())
        async with desk.delivering():
            await desk.answering.flush()
        return [s.context for s in desk.answers.given]

    assert run(scene()) == ["headwater", "headwater/web"]


async def test_an_answer_that_is_refused_for_good_does_not_hold_up_the_others(desk):
    desk.answers.failures = [Stalled("no permission")]
    desk.answering.begin("r1", {"web"}, ())

    assert await desk.said() == ["r1 headwater/web pending: reconciling"]


async def test_a_revision_that_was_answered_is_not_opened_again_by_what_waits_now(desk):
    waits = Condition("PlanBlocked", status=True, reason="PlanBlocked", message="approve it")
    blocked = DeploymentStatus("web", Phase.EXECUTING, (waits,), 2, 1, 0, "", "r1")
    desk.answering.begin("r1", (), ())
    desk.answering.close({})
    desk.answering.begin("r1", {"web"}, ())
    desk.answering.heard("web", blocked)
    await desk.said()

    assert desk.answers.of("r1", "headwater") == ["success"]
    assert desk.answers.of("r1", "headwater/web") == ["pending"]


class TestRestart:
    async def test_nothing_is_said_again_about_the_same_revision(self, desk):
        desk.answering.begin("r1", {"web"}, ())
        desk.answering.heard("web", ready())
        desk.answering.close({"web": ready()})
        await desk.said()
        later = Desk(disk=desk.disk)
        later.answering.begin("r1", {"web"}, ())
        later.answering.close({"web": ready()})

        assert await later.said() == []

    async def test_what_was_left_open_is_closed(self, desk):
        desk.answering.begin("r1", {"web"}, ())
        await desk.said()
        later = Desk(disk=desk.disk)
        later.answering.begin("r1", (), ())
        later.answering.heard("web", ready())
        later.answering.close({"web": ready()})

        assert await later.said() == [
            "r1 headwater/web success: 2/2",
            "r1 headwater success: 1/1 deployments ready",
        ]

    async def test_what_was_decided_and_not_said_is_said(self, desk):
        desk.answering.begin("r1", {"web"}, ())
        await desk.said()
        desk.answering.heard("web", ready())
        desk.answering.close({"web": ready()})
        later = Desk(disk=desk.disk)

        assert await later.said() == [
            "r1 headwater success: 1/1 deployments ready",
            "r1 headwater/web success: 2/2",
        ]

    async def test_what_an_older_revision_left_unsaid_is_said_and_then_forgotten(self, desk):
        desk.answering.begin("r1", {"web"}, ())
        desk.answering.begin("r2", (), ())
        later = Desk(disk=desk.disk)
        said = await later.said()

        assert "r1 headwater/web failure: superseded by r2" in said
        assert [key for key in desk.disk.documents if "/r1/" in key] == []

    async def test_unreadable_notes_are_left_out(self, desk):
        desk.answering.begin("r1", {"web"}, ())
        for key in desk.disk.documents:
            desk.disk.documents[key] = '{"not": "an answer"}'
        later = Desk(disk=desk.disk)
        later.answering.begin("r2", (), ())

        assert await later.said() == ["r2 headwater pending: reconciling"]
