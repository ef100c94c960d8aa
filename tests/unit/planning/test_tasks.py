"""What holds for tasks, whatever the world looks like: they decide nothing, and nothing is lost."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import NOON
from fakes.worlds import property_settings, worlds
from headwater.manifests.resolved import RecipeKind
from headwater.planning.actions import Create, Terminate
from headwater.planning.asking import silence
from headwater.planning.decision import decide, next_step
from headwater.planning.planner import Plan, plan
from headwater.planning.records import Live, MachineTasks, TaskMemory, TaskRecord, WorkState
from headwater.planning.situation import Situation
from headwater.planning.tasks import reports_awaited, with_tasks
from headwater.planning.verdict import assess
from headwater.topology.context import Step
from headwater.topology.hooks import NAMES, Hooks

if TYPE_CHECKING:
    from headwater.topology.keys import MachineId

HOOKS = Hooks(
    user="root",
    steps={kind: (Step(name, "test", "#!/bin/sh\n"),) for kind, name in NAMES.items()},
    is_test=False,
    report_timeout=300.0,
    execute_timeout=1800.0,
)


@st.composite
def asking(draw: st.DrawFn) -> Situation:
    """A world whose nodes have every hook, and where some machines were asked something."""
    situation = draw(worlds())
    if draw(st.booleans()):
        situation = replace(situation, desired=None)
    nodes = {machine.key.node for machine in situation.machines}
    members = {m.key.instance: m.tags.incarnation for m in situation.machines}
    live = (
        Live(2, {1: {}, 2: members}, dict.fromkeys(members, 1)) if draw(st.booleans()) else Live()
    )
    replaces = {m.key: m.tags.incarnation for m in situation.machines if draw(st.booleans())}
    memory = TaskMemory(hooks=dict.fromkeys(nodes, HOOKS), live=live, replaces=replaces)
    situation = replace(situation, tasks=memory)
    asked: dict[MachineId, MachineTasks] = {}
    for task in with_tasks(situation, plan(situation)).tasks:
        state = draw(st.sampled_from([None, *WorkState]))
        if state is not None:
            record = TaskRecord(task.id, task.kind, NOON, 1, state=state)
            before = asked.get(task.machine.id, MachineTasks(task.key))
            asked[task.machine.id] = replace(before, asked=(*before.asked, record))
    return replace(situation, tasks=replace(memory, machines=asked))


def _ends(plan: Plan) -> set[object]:
    return {action.machine.id for action in plan.actions if isinstance(action, Terminate)}


@given(asking())
@property_settings
def test_tasks_only_put_off_ends_and_what_is_made_in_their_place(situation):
    decided, step = plan(situation), with_tasks(situation, plan(situation))
    put_off = [
        a for a in decided.actions if isinstance(a, Terminate) and a.machine.id not in _ends(step)
    ]

    kept = [a for a in decided.actions if not isinstance(a, Terminate | Create)]
    assert [a for a in step.actions if not isinstance(a, Terminate | Create)] == kept
    missing = [a for a in decided.actions if isinstance(a, Create) and a not in step.actions]
    assert {a.key for a in missing} <= {a.key for a in put_off}
    assert not [a for a in missing if a.replaces]
    assert len(step.held) == len(decided.held) + len(put_off)


@given(asking())
@property_settings
def test_each_task_is_asked_once_and_only_where_somebody_listens(situation):
    tasks = with_tasks(situation, plan(situation)).tasks
    known = [(machine, t.id) for machine, m in situation.tasks.machines.items() for t in m.asked]
    every = [(task.machine.id, task.id) for task in tasks]

    assert len(every + known) == len({*every, *known})
    for task in tasks:
        assert not silence(task.machine, situation.records.get(task.machine.id))


@given(asking())
@property_settings
def test_what_is_put_off_ends_when_its_time_is_over(situation):
    asked = {
        machine: replace(tasks, asked=tasks.asked)
        for machine, tasks in situation.tasks.machines.items()
    }
    for task in with_tasks(situation, plan(situation)).tasks:
        before = asked.get(task.machine.id, MachineTasks(task.key))
        record = TaskRecord(task.id, task.kind, NOON, 1)
        asked[task.machine.id] = replace(before, asked=(*before.asked, record))
    late = replace(
        situation,
        now=NOON.replace(year=2031),
        tasks=replace(situation.tasks, machines=asked),
    )

    assert _ends(with_tasks(late, plan(late))) == _ends(plan(late))
    assert not reports_awaited(late)


@given(asking())
@property_settings
def test_the_digest_and_the_limits_know_nothing_of_tasks(situation):
    without = replace(situation, tasks=TaskMemory())

    assert decide(situation) == decide(without) == next_step(without)
    assert plan(situation).digest == plan(without).digest


@given(asking())
@property_settings
def test_nothing_is_ready_while_a_report_is_awaited(situation):
    status = assess(situation, next_step(situation))

    assert (status.awaited > 0) == reports_awaited(situation)
    assert not (status.awaited and (status.is_ready or status.at_rest))


@given(asking())
@property_settings
def test_a_machine_that_goes_is_told_nothing_else(situation):
    going = _ends(plan(situation))
    tasks = with_tasks(situation, plan(situation)).tasks

    others = [t for t in tasks if t.machine.id in going and not t.leaves]
    assert others == []
    assert {t.kind for t in tasks if t.leaves} <= {RecipeKind.PRE_SCALE, RecipeKind.REPORT}
