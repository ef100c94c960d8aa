"""Reports that are still to come (a stub: the branch `tasks-core` brings the rules)."""

from headwater.planning.situation import Situation


def reports_awaited(situation: Situation) -> bool:  # noqa: ARG001
    """The work of the run has ended, and some of its reports are not in yet."""
    return False
