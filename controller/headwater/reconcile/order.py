"""Deployments that come one after the other (`spec.dependsOn`), and who is to be told of whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headwater.planning.status import DeploymentStatus
from headwater.planning.waits import Wait, for_dependencies, for_dependents
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.observer import Observer
from headwater.reconcile.wanted import Wanted
from headwater.topology.desired import Desired


@dataclass(frozen=True, slots=True)
class Order:
    wanted: Wanted
    ledger: Ledger
    observer: Observer
    statuses: Mapping[str, DeploymentStatus]

    def waits(self, name: str, desired: Desired | None) -> tuple[Wait, ...]:
        """What comes first: dependencies when it is made, dependents when it goes."""
        if desired is None:
            dependents = sorted(self._dependents(name))
            removed = filter(self.wanted.is_removed, dependents)
            return tuple(for_dependents(dependents, removed))
        revision = self.wanted.catalog.revision
        return tuple(for_dependencies(desired.depends_on, self.statuses, revision))

    def _dependents(self, name: str) -> Iterator[str]:
        """Those that have machines; of one that is not defined any more its run has kept it."""
        for other, run in self.ledger.runs.items():
            desired = self.wanted.desired(other)
            left = run.orphan and desired is None and self.wanted.is_removed(other)
            depends_on = desired.depends_on if desired else run.depends_on
            if name in depends_on and not left and self.observer.machines(other):
                yield other

    def concerned(self, name: str, status: DeploymentStatus | None) -> set[str]:
        """Who may go on, or has to say something else, now that the status is so."""
        waiting = {
            other for other in self.wanted.dependents(name) if not self.observer.machines(other)
        }
        run = self.ledger.runs.get(name)
        if status is None and run is not None:
            waiting |= set(filter(self.wanted.is_removed, run.depends_on))
        return waiting
