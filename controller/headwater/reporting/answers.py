"""The description of a commit status."""

from datetime import datetime

from headwater.planning.status import DeploymentStatus
from headwater.reporting.words import elapsed, first_failure, missing, shortened, verdict

LIMIT = 140
"""Characters; what GitHub takes."""


def describe(status: DeploymentStatus, now: datetime | None = None) -> str:
    """Counts, duration and the first failure's own words, in at most 140 characters.

    `now` ends the duration of a run that goes on; without it such a run has none yet.
    """
    failed = f", {status.failed} failed" if status.failed else ""
    text = f"{verdict(status)}: {status.ready}/{status.desired} ready{failed}"
    if status.verdict:  # Its machines may be gone, or on their way.
        text = f"{status.verdict.capitalize()}: {status.desired} instances"
    end = status.ended or now
    if status.reports:
        text += f", {status.reports} report{'s' if status.reports > 1 else ''}"
    if status.started is not None and end is not None:
        text += f" in {elapsed(status, end)}"
    if said := missing(status) if status.is_ready else first_failure(status):
        text += f"; {said}"
    return shortened(text, LIMIT)
