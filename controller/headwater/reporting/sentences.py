"""What happened, in one line for people."""

from typing import assert_never

from headwater.planning.events import (
    ActionEnded,
    CloudListed,
    Event,
    HealthChanged,
    LeakFound,
    LoopDetected,
    PassEnded,
    RevisionRead,
    RunEnded,
    SourceFailed,
    StatusChanged,
    StepEnded,
    TaskFinished,
)
from headwater.reporting.words import duration, short

_ENDS = {"success": "is ready", "cancelled": "was cancelled", "expired": "has expired"}
_VERBS = {
    "create": "created",
    "terminate": "terminated",
    "contextualise": "contextualised",
    "attach": "has its volume",
    "retag": "has its volume marked anew",
    "discard": "has lost a volume",
}


def sentence(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912  # one case per event
    """What a person following along wants to hear of it; empty for what is mere routine."""
    match event:
        case RevisionRead():
            broken = f", {n} errors" if (n := len(event.diagnostics)) else ""
            return f"revision {short(event.revision)}: {event.deployments} deployments{broken}"
        case SourceFailed():
            return f"repository: {event.reason}"
        case CloudListed():
            return f"cloud {event.cloud}: {event.error}" if event.error else ""
        case PassEnded():
            return ""
        case ActionEnded():
            where = f"{event.deployment}/{event.instance}"
            if event.error:
                return f"{where}: {event.action} failed: {event.error}"
            done = _VERBS.get(event.action, event.action)
            why = f" ({event.reason})" if event.reason else ""
            return f"{where} {done} in {duration(event.seconds)}{why}"
        case StepEnded():
            return _step(event)
        case HealthChanged():
            said = f": {event.words}" if event.words else ""
            return f"{event.deployment}/{event.instance} is {event.state}{said}"
        case TaskFinished():
            return _task(event)
        case StatusChanged():
            if event.status is None:
                return f"{event.deployment} is gone"
            return ""
        case RunEnded():
            end = _ENDS.get(event.result, "failed")
            said = f": {event.message}" if event.message else ""
            took = duration(event.seconds)
            return f"{event.deployment} {end} at {short(event.revision)} after {took}{said}"
        case LoopDetected():
            return f"{event.deployment}: {event.passes} passes in a row did the same; slowing down"
        case LeakFound():
            return f"{event.deployment}: {event.machines} machines that nobody asks for go"
        case _:
            assert_never(event)


def _step(event: StepEnded) -> str:
    where = f"{event.deployment}/{event.instance}"
    if event.succeeded:
        return f"{where} is contextualised in {duration(event.seconds)}"
    code = f" with exit code {event.exit_code}" if event.exit_code is not None else ""
    said = f": {event.words}" if event.words else ""
    return f"{where}: {event.step or 'contextualisation'} failed{code}{said}"


def _task(event: TaskFinished) -> str:
    where = f"{event.deployment}/{event.instance}"
    kept = f", {event.report} is kept ({event.size} bytes)" if event.report else ""
    if event.succeeded:
        return f"{where}: {event.kind} done in {duration(event.seconds)}{kept}"
    code = f" with exit code {event.exit_code}" if event.exit_code is not None else ""
    said = f": {event.words}" if event.words else ""
    return f"{where}: {event.kind} failed{code}{said}{kept}"
