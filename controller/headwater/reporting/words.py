"""One line for people, out of values."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from headwater.planning.status import DeploymentStatus, InstanceStatus, Phase

STATES = (
    "failed",
    "unhealthy",
    "unreachable",
    "missing",
    "pending",
    "contextualising",
    "checking",
    "outdated",
    "stopping",
    "ready",
)
"""Of instances, in the order in which people want to hear of them."""
_MINUTE = 60
_EXACT = 10


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < _EXACT:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def shortened(text: str, limit: int) -> str:
    """One line of at most `limit` characters; an ellipsis shows where something is missing."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def short(revision: str) -> str:
    return revision[:7]


def counts(instances: Iterable[InstanceStatus]) -> str:
    """`2 failed, 29 ready`, worst first."""
    by_state = Counter(i.state for i in instances)
    known = [(by_state.pop(state), state) for state in STATES if state in by_state]
    return ", ".join(f"{n} {state}" for n, state in known + [(n, s) for s, n in by_state.items()])


def elapsed(status: DeploymentStatus, now: datetime) -> str:
    """How long the present run takes, or took."""
    if status.started is None:
        return ""
    return duration(max(0.0, ((status.ended or now) - status.started).total_seconds()))


def verdict(status: DeploymentStatus) -> str:
    """One word: Passed, Expired, Ready, Failed, Stalled, or the phase that the run is in."""
    if status.verdict and status.phase is not Phase.FINALIZING:
        return status.verdict.capitalize()
    if status.is_ready:
        return "Ready"
    if status.is_stalled:
        return "Failed" if status.failed else "Stalled"
    return status.phase.value


def missing(status: DeploymentStatus) -> str:
    """Without which instances it is Ready, and why; empty where none is missing."""
    ready = status.condition("Ready")
    return ready.message if ready is not None and status.failed else ""


def first_failure(status: DeploymentStatus) -> str:
    """What came first, with the instance that it comes from; empty if nothing failed.

    The condition tells it: instances also fail because they were stopped for another's sake.
    """
    if status.verdict and status.reason:
        return status.reason
    if (stalled := status.condition("Stalled")) is not None and stalled.status:
        return stalled.message or stalled.reason
    for instance in status.instances:
        if instance.state in {"failed", "unhealthy"}:
            said = instance.message or (
                f"{instance.step} failed" if instance.step else instance.state
            )
            return f"{instance.instance}: {said}"
    return status.diagnostics[0] if status.diagnostics else ""
