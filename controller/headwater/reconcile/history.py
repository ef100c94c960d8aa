"""The runs that have ended, by deployment: they outlive it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from headwater.planning.status import RunView, StepView
from headwater.reconcile.ledger import Ledger

KEPT_RUNS = 50
"""Of a deployment."""
KEPT_AFTER_REMOVAL = timedelta(days=30)
RUNS, STEPS, SWEPT = "history", "steps", "swept"
_RUNS = TypeAdapter(tuple[RunView, ...])
_STEPS = TypeAdapter(tuple[int, tuple[StepView, ...]])


@dataclass(frozen=True, slots=True)
class History:
    """Kept in the ledger's notes; what cannot be read any more is begun anew."""

    ledger: Ledger

    def of(self, deployment: str) -> tuple[RunView, ...]:
        """Oldest first."""
        note = self.ledger.note(f"{RUNS}/{deployment}")
        try:
            return () if note is None else _RUNS.validate_python(note)
        except ValidationError:
            return ()

    def everything(self) -> tuple[RunView, ...]:
        """Of all deployments, by name."""
        names = sorted(key.removeprefix(f"{RUNS}/") for key, _ in self.ledger.notes(f"{RUNS}/"))
        return tuple(run for name in names for run in self.of(name))

    def newest(self, deployment: str) -> int:
        """The highest number that a run of it has had; 0 where there was none."""
        return max((run.number for run in self.of(deployment)), default=0)

    def add(self, run: RunView, now: datetime) -> None:
        """Once per run: told again, it is the same one."""
        others = [known for known in self.of(run.deployment) if known.number != run.number]
        kept = tuple([*others, run][-KEPT_RUNS:])
        self.ledger.set_note(f"{RUNS}/{run.deployment}", _RUNS.dump_python(kept, mode="json"))
        self._sweep(now)

    def keep_steps(self, deployment: str, number: int, steps: tuple[StepView, ...]) -> None:
        """Of the last run alone: they are told before its machines go."""
        content = _STEPS.dump_python((number, steps), mode="json")
        self.ledger.set_note(f"{STEPS}/{deployment}", content)

    def steps(self, deployment: str, number: int) -> tuple[StepView, ...]:
        """Nothing for any other run than the last one."""
        note = self.ledger.note(f"{STEPS}/{deployment}")
        try:
            kept, steps = (0, ()) if note is None else _STEPS.validate_python(note)
        except ValidationError:
            return ()
        return steps if kept == number else ()

    def _sweep(self, now: datetime) -> None:
        """Once a day: what is long gone is forgotten."""
        if self.ledger.note(SWEPT) == f"{now:%Y-%m-%d}":
            return
        self.ledger.set_note(SWEPT, f"{now:%Y-%m-%d}")
        for key in [key for key, _ in self.ledger.notes(f"{RUNS}/")]:
            name = key.removeprefix(f"{RUNS}/")
            last = max((run.ended or run.started for run in self.of(name)), default=now)
            if name not in self.ledger.runs and now - last > KEPT_AFTER_REMOVAL:
                self.ledger.set_note(key, None)
                self.ledger.set_note(f"{STEPS}/{name}", None)
