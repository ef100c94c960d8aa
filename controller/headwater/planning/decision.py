"""What a pass does: planned, weighed by the guard, and within the quotas of the clouds."""

from headwater.planning.guard import guard
from headwater.planning.planner import Plan, plan
from headwater.planning.quota import fit
from headwater.planning.situation import Situation


def decide(situation: Situation) -> Plan:
    """The quotas come last: what the guard holds back makes no room."""
    return fit(guard(situation, plan(situation)), situation.room)
