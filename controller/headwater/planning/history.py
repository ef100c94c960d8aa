"""What is remembered of a run when it is over."""

from dataclasses import replace
from datetime import datetime

from headwater.planning.records import Run, Stamp
from headwater.planning.status import DeploymentStatus, Phase, PhaseView, RunView


def stamped(run: Run, phase: Phase, now: datetime) -> Run:
    """The run, and when it came to this phase. It may come to one more than once."""
    known = run.phases or (Stamp(Phase.INITIALIZING, run.started),)
    if known[-1].phase is not phase:
        known = (*known, Stamp(phase, now))
    return replace(run, phases=known)


def outcome(status: DeploymentStatus) -> str:
    """The result of a run that came to rest so."""
    if status.verdict == "expired":
        return "expired"
    return "success" if status.is_ready else "failure"


def reason(status: DeploymentStatus) -> str:
    """The first reason why it did not succeed; empty where it did."""
    stalled = status.condition("Stalled")
    return stalled.message if stalled and stalled.status else ""


def present(status: DeploymentStatus, run: Run, now: datetime) -> RunView:
    """A run that is under way."""
    return RunView(
        deployment=status.name,
        number=run.number,
        revision=run.revision,
        phase=status.phase,
        result="",
        started=run.started,
        instances=status.desired,
        phases=durations(run, now),
        approvals=tuple(sorted(run.approvals)),
        reason=run.abort,
    )


def ended(status: DeploymentStatus, run: Run, now: datetime) -> RunView:
    """A run that came to rest."""
    view = present(status, run, now)
    return replace(view, ended=now, result=outcome(status), reason=reason(status))


def broken_off(name: str, run: Run, successor: Run, now: datetime) -> RunView:
    """A run that another one follows before it came to rest: failed already, or cancelled."""
    if run.abort:
        phase, result, why = Phase.ABORTED, "failure", run.abort
    else:
        by = f"superseded by {successor.revision[:10]}" if successor.digest else ""
        why = by or "its manifest was removed"
        phase, result = Phase.CANCELLED, "cancelled"
    return RunView(
        deployment=name,
        number=run.number,
        revision=run.revision,
        phase=phase,
        result=result,
        started=run.started,
        ended=now,
        reason=why,
        phases=durations(run, now),
        approvals=tuple(sorted(run.approvals)),
    )


def removed(name: str, run: Run, now: datetime) -> RunView:
    """The run that took a deployment away."""
    return RunView(
        deployment=name,
        number=run.number,
        revision=run.revision,
        phase=Phase.DONE,
        result="removed",
        started=run.started,
        ended=now,
        phases=durations(run, now),
        approvals=tuple(sorted(run.approvals)),
    )


def durations(run: Run, now: datetime) -> tuple[PhaseView, ...]:
    """Seconds in each phase, in the order in which they were come to first."""
    seconds: dict[Phase, float] = {}
    ends = [*(stamp.at for stamp in run.phases[1:]), now]
    for stamp, end in zip(run.phases, ends, strict=False):
        seconds[stamp.phase] = seconds.get(stamp.phase, 0.0) + (end - stamp.at).total_seconds()
    return tuple(PhaseView(phase, spent) for phase, spent in seconds.items())
