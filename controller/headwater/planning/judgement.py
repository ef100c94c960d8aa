"""The verdict on a test."""

from dataclasses import replace

from headwater.planning.lifecycle import STOP_GRACE, is_over
from headwater.planning.records import Run, Verdict
from headwater.planning.situation import Situation
from headwater.planning.status import DeploymentStatus
from headwater.planning.tasks import reports_awaited


def judged(situation: Situation, status: DeploymentStatus) -> Run:
    """The run, and the verdict on a test whose work has ended and whose reports are in."""
    run, desired = situation.run, situation.desired
    if desired is None or not desired.is_test or is_over(run) or reports_awaited(situation):
        return run
    if run.abort:
        given_up = run.aborted is not None and situation.now >= run.aborted + STOP_GRACE
        ended = given_up or status.at_rest
        return replace(run, verdict=Verdict.FAILED, decided=situation.now) if ended else run
    if status.is_ready and not situation.suspended:
        return replace(run, verdict=Verdict.PASSED, decided=situation.now)
    return run
