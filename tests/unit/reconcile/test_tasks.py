"""Hooks and reports: when each is due, what waits for it, and that each happens once."""

import pytest

from fakes.builders import deployment, key, node
from fakes.house import CountingStore, House
from fakes.store import Disk
from fakes.tasks import Outcome, packed
from headwater.manifests.resolved import RecipeKind, ResolvedDeployment, Update
from headwater.planning.asking import GRACE
from headwater.planning.events import RunEnded, TaskFinished
from headwater.planning.status import Phase
from headwater.topology.context import Task
from headwater.topology.machines import MachineState
from headwater.topology.progress import ReportPiece, TaskEnded

LEFT = {"result.xml": b"<ok/>"}
REPORT = {RecipeKind.REPORT: "#!/bin/sh\nreport\n"}
SCALE = {
    RecipeKind.PRE_SCALE: "#!/bin/sh\ndrain\n",
    RecipeKind.POST_SCALE: "#!/bin/sh\nundrain\n",
}
LIVE = {
    RecipeKind.ON_INSTANCE_ADD: "#!/bin/sh\nadd\n",
    RecipeKind.ON_INSTANCE_REMOVE: "#!/bin/sh\nremove\n",
}


OTHER = deployment(node("db"), name="other")


@pytest.fixture
def house() -> House:
    return House()


def leaves(house: House, *instances: str, **outcome: object) -> None:
    for instance in instances:
        house.machines.outcomes[key(instance)] = Outcome(report=LEFT, **outcome)  # type: ignore[arg-type]


async def converged(house: House, wished: ResolvedDeployment, revision: str = "r1") -> House:
    await house.want(wished, revision=revision)
    await house.rest()
    assert house.status().is_ready
    return house


def begun(house: House) -> list[str]:
    """Every task that ever began, by machine in its order: `m-1 report`."""
    return [
        f"{machine.id} {task.rpartition('_')[2]}"
        for machine, journal in house.machines.agents.tasks.items()
        for task in journal.begun
    ]


def asked(house: House, instance: str) -> list[Task]:
    """What the instance's machines were asked."""
    return [task for target, task in house.machines.asked if target.instance == instance]


def environment(task: Task) -> dict[str, str]:
    return dict(task.environment)


def kept(house: House, name: str = "shop") -> list[tuple[int, str]]:
    return [(view.run, view.instance) for view in house.reports.views(name)]


async def test_a_service_is_ready_after_the_reports_of_its_run(house):
    house.machines.outcomes = {key("web.1"): Outcome(report=LEFT, held=True)}
    await house.want(deployment(node("web", 2, hooks=REPORT)))
    await house.rest()
    before = house.status()
    house.machines.release_task(key("web.1"))
    await house.rest()

    assert (before.phase, before.awaited, before.is_ready) == (Phase.SENDING_REPORTS, 1, False)
    assert not before.at_rest
    assert before.ready == 2
    assert (house.status().phase, house.status().is_ready) == (Phase.READY, True)
    assert (house.status().reports, house.status().awaited) == (2, 0)


async def test_reports_are_named_as_the_seed_did_and_kept_whole(house):
    leaves(house, "web.1")
    await converged(house, deployment(node("web", hooks=REPORT)))

    (view,) = house.reports.views("shop")
    (place,) = house.store.disk.whole
    assert view.file == "web.1_report_2030-01-01T120000Z.tgz"
    assert house.store.disk.reports[place] == packed(LEFT)
    assert view.size == len(packed(LEFT))


async def test_a_component_without_a_report_sends_none_unless_its_deployment_is_a_test(house):
    await converged(house, deployment(node("web")))
    assert begun(house) == []

    await house.want(deployment(node("web"), name="exam", lifecycle="test"))
    await house.rest("exam")
    assert kept(house, "exam") == [(1, "web.1")]


async def test_each_context_reports_once(house):
    wished = deployment(node("web", 2, hooks=REPORT))
    await converged(house, wished)
    for _ in range(3):
        await house.look()
        await house.rest()
    assert begun(house) == ["m-1 report", "m-2 report"]

    again = deployment(node("web", 2, deploy="#!/bin/sh\nnew\n", hooks=REPORT))
    await converged(house, again, "r2")
    assert sorted(begun(house)) == ["m-1 report", "m-1 report", "m-2 report", "m-2 report"]


async def test_a_changed_report_recipe_runs_nothing_again(house):
    await converged(house, deployment(node("web", hooks=REPORT)))
    run = house.ledger.runs["shop"].number
    changed = {RecipeKind.REPORT: "#!/bin/sh\nbetter\n"}
    await converged(house, deployment(node("web", hooks=changed)), "r2")

    assert len(house.machines.agents.begun) == 1
    assert begun(house) == ["m-1 report"]
    assert house.ledger.runs["shop"].number == run + 1


async def test_a_failed_run_is_at_rest_after_the_reports_of_all(house):
    house.machines.failing[key("web.2")] = "boom"
    house.machines.outcomes = {key(f"web.{n}"): Outcome(report=LEFT, held=True) for n in (1, 2, 3)}
    house.machines.silent.add(key("web.3"))
    await house.want(deployment(node("web", 3, hooks=REPORT)))
    await house.rest()
    before = house.status()
    for n in (1, 2):
        house.machines.release_task(key(f"web.{n}"))
    await house.rest()

    assert (before.phase, before.at_rest, before.is_stalled) == (Phase.SENDING_REPORTS, False, True)
    assert (house.status().phase, house.status().at_rest) == (Phase.ABORTED, True)
    assert kept(house) == [(1, "web.1"), (1, "web.2")]
    assert [e.message for e in house.told(RunEnded)] == ["web.2: deploy exited with 7: boom"]


async def test_what_an_abort_stops_reports_afterwards(house):
    house.machines.held = {key("web.1")}
    await house.want(deployment(node("web", 2, hooks=REPORT)))
    await house.rest()
    house.people.abort("shop", "enough")
    await house.rest()

    assert sorted(kept(house)) == [(1, "web.1"), (1, "web.2")]
    assert house.status().at_rest


async def test_a_run_that_failed_again_reports_again(house):
    house.machines.failing[key("web.1")] = "boom"
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    house.clock.move(60)
    house.people.retry("shop")
    await house.rest()

    assert kept(house) == [(1, "web.1"), (2, "web.1")]


async def test_a_report_that_does_not_come_is_not_awaited_for_ever(house):
    leaves(house, "web.1", held=True)
    await house.want(deployment(node("web", hooks=REPORT)))
    following = await house.rest()
    assert following.again == 300 + GRACE.total_seconds()

    house.clock.move(following.again)
    await house.rest()
    assert house.status().is_ready


async def test_a_broken_line_shortens_the_wait_for_a_report(house):
    leaves(house, "web.1", held=True)
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    house.machines.break_line(house.machine(key("web.1")).id)
    house.machines.silent.add(key("web.1"))
    following = await house.rest()

    assert following.again == GRACE.total_seconds()


async def test_a_failing_report_fails_nothing_and_is_told_with_its_exit_code(house):
    leaves(house, "web.1", exit_code=3)
    await converged(house, deployment(node("web", hooks=REPORT)))
    status = house.status()

    assert [i.message for i in status.instances] == ["report exited with 3"]
    told = [(o.action, o.instance, o.succeeded, o.message) for o in status.outcomes]
    assert ("report", "web.1", False, "report exited with 3") in told
    assert kept(house) == [(1, "web.1")]
    (event,) = house.told(TaskFinished)
    assert (event.kind, event.exit_code, event.size) == ("report", 3, len(packed(LEFT)))


async def test_scaling_down_drains_then_reports_then_terminates(house):
    both = REPORT | SCALE
    await converged(house, deployment(node("web", 3, hooks=both)))
    gone = house.machine(key("web.3"))
    house.clock.move(60)
    leaves(house, "web.3", held=True)
    await house.want(deployment(node("web", 2, hooks=both)), revision="r2")
    await house.rest()
    drained = (begun(house)[-1], house.instances(), house.status().diagnostics)
    house.machines.release_task(key("web.3"))
    await house.rest()
    house.machines.release_task(key("web.3"))
    await house.rest()

    waits = "web.3: goes after its pre-scale and report"
    assert drained == (f"{gone.id.id} pre-scale", ["web.1#1", "web.2#1", "web.3#1"], (waits,))
    assert begun(house)[-2:] == [f"{gone.id.id} pre-scale", f"{gone.id.id} report"]
    assert house.instances() == ["web.1#1", "web.2#1"]
    assert kept(house)[-1] == (2, "web.3")
    env = environment(asked(house, "web.3")[-2])
    assert {name: env[name] for name in env if "SCALING" in name} == {
        "HEADWATER_SCALING_NODE": "web",
        "HEADWATER_SCALING_INSTANCES": "web.3",
        "HEADWATER_SCALING_ACTION": "remove",
        "SLIPSTREAM_SCALING_NODE": "web",
        "SLIPSTREAM_SCALING_VMS": "web.3",
        "SLIPSTREAM_SCALING_ACTION": "vm_remove",
    }


@pytest.mark.parametrize("surge", [0, 1])
async def test_a_replaced_machine_drains_and_reports_and_its_successor_takes_up(house, surge):
    update, hooks = Update(max_surge=surge), REPORT | SCALE
    await converged(house, deployment(node("web", 2, hooks=hooks), update=update))
    new = deployment(node("web", 2, image="debian-13", hooks=hooks), update=update)
    await converged(house, new, "r2")
    await house.rest()

    old = ["report", "pre-scale", "report"]
    assert begun(house) == [
        *(f"m-1 {name}" for name in old),
        *(f"m-2 {name}" for name in old),
        *(f"m-{n} {name}" for n in (3, 4) for name in ("report", "post-scale")),
    ] or sorted(begun(house)) == sorted(
        [f"m-{n} {name}" for n in (1, 2) for name in old]
        + [f"m-{n} {name}" for n in (3, 4) for name in ("report", "post-scale")]
    )
    assert house.instances() == ["web.1#2", "web.2#2"]
    after = environment(next(t for t in asked(house, "web.1") if t.steps[0].name == "post-scale"))
    assert after["HEADWATER_SCALING_ACTION"] == "replace"
    assert after["HEADWATER_SCALING_INSTANCES"] == "web.1"


async def test_a_repaired_machine_is_no_replaced_one(house):
    await converged(house, deployment(node("web", hooks=SCALE)))
    house.clouds.become(house.machine(key("web.1")).id, MachineState.STOPPED)
    await house.look()
    await house.rest()

    assert (house.instances(), begun(house)) == (["web.1#2"], [])


async def test_break_before_make_makes_nothing_before_the_old_one_has_gone(house):
    update, hooks = Update(max_surge=0), dict(SCALE)
    await converged(house, deployment(node("web", hooks=hooks), update=update))
    leaves(house, "web.1", held=True)
    new = deployment(node("web", image="debian-13", hooks=hooks), update=update)
    await house.want(new, revision="r2")
    await house.rest()
    assert house.instances() == ["web.1#1"]

    house.machines.outcomes.clear()
    house.machines.release_task(key("web.1"))
    await house.rest()
    assert house.instances() == ["web.1#2"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_removed_deployment_drains_and_reports_though_its_manifest_is_gone(house, restarts):
    hooks = REPORT | SCALE
    await converged(house, deployment(node("web", 2, hooks=hooks), node("db")))
    house.clock.move(60)
    if restarts:
        house = house.restarted()
        house.clock.move(60)
    leaves(house, "web.1", "web.2")
    await house.want(OTHER, revision="r2")
    following = await house.rest()

    assert following.result == "removed"
    assert house.instances() == []
    assert begun(house) == [
        f"m-{n} {name}" for n in (2, 3) for name in ("report", "pre-scale", "report")
    ]
    assert kept(house) == [(1, "web.1"), (1, "web.2"), (2, "web.1"), (2, "web.2")]
    left = {key.partition("/")[0] for key in house.store.disk.documents}
    assert left - {"accepted"} == {"history", "steps", "swept"}


async def test_what_runs_on_a_machine_is_stopped_before_it_says_goodbye(house):
    house.machines.held = {key("web.1")}
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    await house.want(OTHER, revision="r2")
    await house.rest()

    assert [reason for _, reason in house.machines.stopped] == ["the instance goes"]
    assert (house.instances(), begun(house)) == ([], ["m-1 report"])


async def test_a_machine_on_which_nothing_began_goes_at_once(house):
    house.machines.silent.add(key("web.1"))
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    await house.want(OTHER, revision="r2")
    await house.rest()

    assert (house.instances(), begun(house)) == ([], [])


async def test_a_machine_that_cannot_be_talked_to_goes_at_once_and_the_reason_says_so(house):
    await converged(house, deployment(node("web", 2, hooks=REPORT | SCALE)))
    house.machines.break_line(house.machine(key("web.2")).id, "no route to host")
    house.machines.silent.add(key("web.2"))
    await house.want(deployment(node("web", 1, hooks=REPORT | SCALE)), revision="r2")
    await house.rest()

    assert house.instances() == ["web.1#1"]
    (ended,) = [o for o in house.status().outcomes if o.action == "terminate"]
    said = "web has 1 instances now; without its pre-scale and report: no route to host"
    assert ended.message == said


async def test_a_hook_that_hangs_holds_a_machine_for_the_report_timeout_only(house):
    await converged(house, deployment(node("web", 2, hooks=dict(SCALE))))
    leaves(house, "web.2", held=True)
    await house.want(deployment(node("web", 1, hooks=dict(SCALE))), revision="r2")
    following = await house.rest()
    there = house.instances()
    house.clock.move(following.again or 0)
    await house.rest()

    assert there == ["web.1#1", "web.2#1"]
    assert house.instances() == ["web.1#1"]
    (ended,) = [o for o in house.status().outcomes if o.action == "terminate"]
    assert ended.message.endswith("; without its pre-scale: not done within 300 s")


async def test_survivors_of_every_node_are_told_who_came(house):
    first = (node("web", 2, hooks=LIVE), node("db", hooks=LIVE), node("mute"))
    await converged(house, deployment(*first))
    assert begun(house) == []

    more = (node("web", 4, hooks=LIVE), *first[1:])
    await converged(house, deployment(*more), "r2")

    told = {name: [environment(t) for t in asked(house, name)] for name in ("web.1", "db.1")}
    assert {name: [e["HEADWATER_SCALING_INSTANCES"] for e in es] for name, es in told.items()} == {
        "web.1": ["web.3 web.4"],
        "db.1": ["web.3 web.4"],
    }
    assert {e["HEADWATER_SCALING_ACTION"] for es in told.values() for e in es} == {"add"}
    assert asked(house, "web.3") == asked(house, "web.4") == asked(house, "mute.1") == []


async def test_survivors_are_told_who_went(house):
    await converged(house, deployment(node("web", 4, hooks=LIVE)))
    await converged(house, deployment(node("web", 2, hooks=LIVE)), "r2")

    for name in ("web.1", "web.2"):
        (task,) = asked(house, name)
        assert task.steps[0].script == LIVE[RecipeKind.ON_INSTANCE_REMOVE]
        assert environment(task)["HEADWATER_SCALING_INSTANCES"] == "web.3 web.4"
        assert environment(task)["SLIPSTREAM_SCALING_ACTION"] == "vm_remove"


async def test_a_repair_counts_as_one_that_went_and_one_that_came(house):
    await converged(house, deployment(node("web", 2, hooks=LIVE)))
    house.clouds.lose(house.machine(key("web.2")).id)
    for _ in range(2):
        await house.look()
        await house.rest()
    await house.rest()

    scripts = [task.steps[0].name for task in asked(house, "web.1")]
    assert scripts == ["on-instance-remove", "on-instance-add"]
    assert asked(house, "web.2") == []


async def test_changes_merge_while_a_hook_runs(house):
    await converged(house, deployment(node("web", 1, hooks=LIVE)))
    leaves(house, "web.1", held=True)
    await converged(house, deployment(node("web", 2, hooks=LIVE)), "r2")
    await converged(house, deployment(node("web", 3, hooks=LIVE)), "r3")
    await converged(house, deployment(node("web", 4, hooks=LIVE)), "r4")
    house.machines.outcomes.clear()
    house.machines.release_task(key("web.1"))
    await house.rest()
    await house.rest()

    told = [environment(t)["HEADWATER_SCALING_INSTANCES"] for t in asked(house, "web.1")]
    assert told == ["web.2", "web.3 web.4"]


async def test_the_live_set_survives_a_restart(house):
    await converged(house, deployment(node("web", 2, hooks=LIVE)))
    house = house.restarted()
    await converged(house, deployment(node("web", 3, hooks=LIVE)), "r2")

    assert begun(house) == ["m-1 added", "m-2 added"]


async def test_an_incomplete_listing_tells_nobody_that_somebody_went(house):
    await converged(house, deployment(node("web", 2, hooks=LIVE)))
    house.clouds.omitted.add(house.machine(key("web.2")).id)
    await house.look()
    await house.rest()
    house.clouds.omitted.clear()
    await house.look()
    await house.rest()

    assert begun(house) == []


async def test_a_suspended_deployment_is_asked_nothing_new(house):
    house.machines.held = {key("web.1")}
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    house.people.suspend("shop", "audit", "ann", "")
    house.machines.release(key("web.1"))
    await house.rest()
    before = begun(house)
    house.people.resume("shop")
    await house.rest()

    assert (before, begun(house)) == ([], ["m-1 report"])


async def test_what_was_not_asked_for_is_not_kept(house):
    await converged(house, deployment(node("web", hooks=REPORT)))
    machine, before = house.machine(key("web.1")).id, dict(house.store.disk.reports)
    ended = next(iter(house.ledger.tasks[machine].asked)).id
    for task in ("task_unknown", ended, "../../etc/passwd"):
        house.conversation.on_event(ReportPiece(machine, task, 0, b"x" * 100))
        house.conversation.on_event(TaskEnded(machine, task, succeeded=False, reason="exit"))

    assert house.store.disk.reports == before
    assert len(house.told(TaskFinished)) == 1


async def test_a_report_with_a_gap_is_not_kept_and_said_so(house):
    leaves(house, "web.1", held=True)
    await house.want(deployment(node("web", hooks=REPORT)))
    await house.rest()
    machine = house.machine(key("web.1")).id
    (task,) = house.ledger.tasks[machine].asked
    house.conversation.on_event(ReportPiece(machine, task.id, 10, b"late"))
    house.conversation.on_event(TaskEnded(machine, task.id, succeeded=True))
    await house.rest()

    said = "the report could not be made: 10 bytes of it are missing"
    assert [i.message for i in house.status().instances] == [said]
    assert (kept(house), house.status().is_ready) == ([], True)


class Killed(BaseException):
    pass


class Mortal(CountingStore):
    """Ends its process at the given write: before it, or right after."""

    def __init__(self, disk: Disk, left: int, *, after: bool) -> None:
        super().__init__(disk)
        self.left = left
        self.after = after

    def save(self, key: str, document: str | None) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        super().save(key, document)
        if self.left == 0:
            raise Killed


LIFE = [
    deployment(node("web", 1, hooks=REPORT | SCALE | LIVE)),
    deployment(node("web", 2, hooks=REPORT | SCALE | LIVE)),
    deployment(node("web", 2, image="debian-13", hooks=REPORT | SCALE | LIVE)),
    deployment(node("web", 1, image="debian-13", hooks=REPORT | SCALE | LIVE)),
    None,
]


async def lived(house: House) -> House:
    """The whole life of a deployment; a controller that is killed is followed by another one."""
    for number, wished in enumerate(LIFE):
        done = False
        while not done:
            try:
                await house.want(*([wished] if wished else []), OTHER, revision=f"r{number}")
                for _ in range(3):  # What a listing lacks once is looked for again.
                    await house.rest()
                    await house.look()
                done = True
            except* Killed:
                house = House(house.clouds, house.machines.agents, house.store.disk)
    return house


@pytest.mark.parametrize("after", [False, True])
async def test_every_task_happens_once_wherever_the_controller_is_killed(after):
    house = await lived(House())
    expected, writes = sorted(begun(house)), len(house.store.writes)
    assert (len(expected), house.instances()) == (18, [])

    for left in range(1 + after, writes + 1, 2):  # One kill a write: before it, or after it.
        house = await lived(House(store=Mortal(Disk(), left, after=after)))
        assert (left, sorted(begun(house)), house.instances()) == (left, expected, [])
