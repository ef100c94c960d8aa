"""What a pass does: planned, weighed by the guard, and within the quotas of the clouds."""

from headwater.planning.guard import guard
from headwater.planning.planner import Plan, plan
from headwater.planning.quota import fit
from headwater.planning.situation import Situation
from headwater.planning.tasks import with_tasks


def decide(situation: Situation) -> Plan:
    """The whole of what is to be done. The quotas come last: what is held back makes no room."""
    return fit(guard(situation, plan(situation)), situation.room)


def next_step(situation: Situation) -> Plan:
    """What of it can be done now, with the tasks that come before it and beside it."""
    return fit(with_tasks(situation, guard(situation, plan(situation))), situation.room)
