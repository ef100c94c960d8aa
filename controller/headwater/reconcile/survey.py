"""What is known of one deployment at one moment, gathered for a decision."""

from dataclasses import dataclass, field, replace

from headwater.planning.events import LeakFound, RunEnded
from headwater.planning.history import broken_off
from headwater.planning.records import Run, next_run, with_safety_of
from headwater.planning.situation import Fleet, Situation
from headwater.reconcile.executor import Executor
from headwater.reconcile.gathering import gathered
from headwater.reconcile.history import History
from headwater.reconcile.order import Order
from headwater.reconcile.rollback import Rollback
from headwater.reconcile.safety import Safety
from headwater.reconcile.stocktaking import adopt
from headwater.reconcile.supply import Supply
from headwater.reconcile.wanted import Wanted
from headwater.topology.desired import Desired


@dataclass(slots=True)
class Survey:
    wanted: Wanted
    executor: Executor
    safety: Safety
    rollback: Rollback
    supply: Supply
    order: Order
    _strays: dict[str, int] = field(default_factory=dict)
    """Deployments that nobody asks for and the ledger does not know: the look that found them."""

    def desired(self, name: str) -> Desired | None:
        """What to bring about; None where the deployment is to go."""
        return self.rollback.desired(name)

    def is_first_sight(self, name: str) -> bool:
        """Machines of ours that nobody knows are a leak when two looks have shown them."""
        if self.desired(name) is not None or name in self.executor.ledger.runs:
            self._strays.pop(name, None)
            return False
        looks = self.executor.observer.looks
        return looks <= self._strays.setdefault(name, looks)

    def has_only_volumes(self, name: str) -> bool:
        """Nothing else is left of it or remembered: those are not a pass's to end."""
        executor = self.executor
        gone = self.desired(name) is None and name not in executor.ledger.runs
        left = executor.observer.machines(name) or executor.observer.limbo(name)
        return gone and not left and bool(executor.observer.depot.volumes(name))

    def run(self, name: str, desired: Desired | None) -> Run:
        """The present run; a new one begins when what is wanted differs."""
        ledger, catalog = self.executor.ledger, self.wanted.catalog
        run = ledger.runs.get(name)
        digest = desired.digest if desired else ""
        if run is None or (run.digest != digest and name not in catalog.failed):
            is_leak = run is None and desired is None
            run = self.begin(name, run, digest)
            if is_leak:
                leaked = self.executor.observer.machines(name)
                self.executor.emit(LeakFound(name, len(leaked)))
                run = with_safety_of(run, leaked)
            ledger.set_run(name, run)
            self.executor.exchange.stop_waiting(name, "")
        return run

    def begin(self, name: str, before: Run | None, digest: str) -> Run:
        """The next run; one that was still under way is broken off, and remembered so."""
        now, history = self.executor.clock(), History(self.executor.ledger)
        reports = self.executor.tasks.reports
        number = 1 + max(history.newest(name), 0 if before else reports.last_run(name))
        run = next_run(before, self.wanted.catalog.revision, digest, now, number=number)
        if before is not None and before.ended is None:
            end = broken_off(name, before, run, now)
            history.add(end, now)
            seconds = (now - before.started).total_seconds()
            self.executor.emit(RunEnded(name, before.revision, end.result, seconds, end.reason))
        return run

    def situation(self, name: str, desired: Desired | None, run: Run) -> Situation:
        executor = self.executor
        if desired is not None:
            executor.exchange.want(desired)
            executor.tasks.memory.want(desired)
        unavailable = self.supply.provide(desired) if desired else ()
        situation = gathered(executor, self.wanted.catalog, name, desired, run)
        adopt(executor.ledger, situation)
        situation = replace(
            situation,
            unavailable=unavailable,
            tasks=executor.tasks.of(name, situation.machines),
            waits=self.order.waits(name, desired),
        )
        fleet = Fleet(executor.observer.total, len(self.wanted.names))
        return self.safety.weigh(situation, fleet)

    def remember(self, situation: Situation, run: Run) -> Situation:
        """Keep the run, durably, and go on with it."""
        self.executor.ledger.set_run(situation.deployment, run)
        return replace(situation, run=run)
