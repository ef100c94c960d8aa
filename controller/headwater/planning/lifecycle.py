"""How a deployment ends by itself: a test with its verdict, anything when its time is up.

A service has no end but its `ttl`. A test runs once; when its verdict is known its machines go, or
stay as its keep policy says, and nothing is made or repaired again before its next run.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from headwater.planning.actions import Action, Terminate
from headwater.planning.records import Run, Verdict, later
from headwater.planning.situation import Situation
from headwater.planning.status import Phase
from headwater.topology.machines import Machine, MachineState

STOP_GRACE = timedelta(seconds=30)
"""How long an aborted test waits for machines to say that they have stopped."""
EARLIER = "of an earlier run: a test begins with new machines"


def is_over(run: Run) -> bool:
    """Nothing is made, repaired or failed any more."""
    return run.verdict is not None or run.expired is not None


def aged(situation: Situation) -> Run:
    """The run, and whether its time is up. What is suspended does not end."""
    run, end = situation.run, _expiry(situation)
    if situation.suspended or end is None or run.expired or situation.now < end:
        return run
    return replace(run, expired=situation.now)


def ending(situation: Situation) -> list[Action] | None:
    """What goes now, of what has ended; None where nothing has: the manifest is to be followed."""
    if situation.desired is None:
        return None
    why = ""
    if is_over(situation.run):
        leaving = situation.machines if is_ending(situation) else ()
        why = end_of(situation)
    elif leaving := _earlier(situation):
        why = EARLIER
    else:
        return None
    return [
        Terminate(machine, why) for machine in leaving if machine.state is not MachineState.STOPPING
    ]


def is_ending(situation: Situation) -> bool:
    """Its machines are to go."""
    expired = situation.run.expired is not None
    return expired or (situation.run.verdict is not None and not _is_kept(situation))


def needs_no_approval(situation: Situation) -> bool:
    """A test's machines go at its end: it is what a test is."""
    desired = situation.desired
    return desired is not None and desired.is_test and ending(situation) is not None


def end_of(situation: Situation) -> str:
    """In words, how it ended."""
    run, desired = situation.run, situation.desired
    if run.expired is not None and desired is not None:
        return f"expired at {run.expired:%Y-%m-%d %H:%M:%S} UTC (ttl {desired.ttl or 0:g} s)"
    return f"the test has {run.verdict}" if run.verdict else ""


def last_phase(situation: Situation) -> Phase | None:
    """Of what is over and has no machines any more, or is to have none; None before."""
    run = situation.run
    if not is_over(run) or situation.desired is None:
        return None
    if situation.machines:
        return Phase.FINALIZING if is_ending(situation) else None
    failed = run.verdict is Verdict.FAILED and run.expired is None
    return Phase.ABORTED if failed else Phase.DONE


def kept(situation: Situation) -> str:
    """In words, until when the machines of a test stay; empty where they do not."""
    if not is_over(situation.run) or is_ending(situation) or not situation.machines:
        return ""
    end = _kept_until(situation)
    return "its machines are kept until " + (
        f"{end:%Y-%m-%d %H:%M:%S} UTC" if end else "its next run"
    )


def deadlines(situation: Situation) -> Iterator[datetime]:
    """When to look again although nothing has happened."""
    run, end = situation.run, _expiry(situation)
    if end is not None and run.expired is None:
        yield end
    if run.verdict is not None and _is_kept(situation) and (end := _kept_until(situation)):
        yield end
    awaited = situation.desired is not None and situation.desired.is_test and not is_over(run)
    if awaited and run.aborted is not None and situation.now < run.aborted + STOP_GRACE:
        yield run.aborted + STOP_GRACE


def _expiry(situation: Situation) -> datetime | None:
    desired = situation.desired
    if desired is None or desired.ttl is None:
        return None
    return later(situation.run.started, desired.ttl)


def _is_kept(situation: Situation) -> bool:
    run, desired = situation.run, situation.desired
    if run.verdict is None or desired is None:
        return False
    wanted = {"always", "on-success" if run.verdict is Verdict.PASSED else "on-error"}
    end = _kept_until(situation)
    return (run.keep or desired.keep.policy in wanted) and (end is None or situation.now < end)


def _kept_until(situation: Situation) -> datetime | None:
    run, desired = situation.run, situation.desired
    if desired is None or desired.keep.seconds is None or run.decided is None:
        return None
    return later(run.decided, desired.keep.seconds)


def _earlier(situation: Situation) -> tuple[Machine, ...]:
    """Machines that an earlier run of a test has worked on."""
    if situation.desired is None or not situation.desired.is_test or situation.run.abort:
        return ()
    records, number = situation.records, situation.run.number
    return tuple(
        machine
        for machine in situation.machines
        if machine.id in records and records[machine.id].run < number
        if machine.state is not MachineState.STOPPING
    )
