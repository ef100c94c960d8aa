"""Prometheus metrics: what happened is counted from events, what is comes from a snapshot.

Names of objects stand only on gauges made from the snapshot: they vanish with their object.
"""

from collections.abc import Callable
from typing import assert_never

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

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
from headwater.planning.status import ControllerStatus
from headwater.reporting.gauges import Gauges

_FAST = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
_SLOW = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """A listener of events, and the text that `/metrics` answers with."""

    def __init__(
        self, snapshot: Callable[[], ControllerStatus], queue_depth: Callable[[], int]
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        registry.register(Gauges(snapshot, queue_depth))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"headwater_{name}", text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SLOW
        ) -> Histogram:
            return Histogram(
                f"headwater_{name}_seconds", text, labels, registry=registry, buckets=buckets
            )

        self._passes = counter("passes", "Passes over a deployment, by result.", "result")
        self._pass = histogram("pass", "Duration of a pass.", buckets=_FAST)
        self._actions = counter("actions", "Actions on machines.", "action", "result")
        self._action = histogram("action", "Duration of an action.", "action")
        self._context = histogram("context", "Duration of a contextualisation.", "result")
        self._task = histogram("task", "Duration of a hook or report.", "kind", "result")
        self._report_bytes = counter("report_bytes", "Bytes of the reports that were kept.")
        self._reads = counter("source_reads", "Revisions read from the repository.")
        self._read = histogram("source_read", "Duration of reading a revision.", buckets=_FAST)
        self._failures = counter("source_failures", "Looks at the repository that failed.")
        self._listings = counter("cloud_listings", "Listings of an account.", "cloud", "result")
        self._listing = histogram("cloud_listing", "Duration of a listing.", buckets=_FAST)
        self._loops = counter("loops_detected", "Passes that repeated without effect.")
        self._leaks = counter("leaked_machines", "Machines of ours that nothing remembered.")
        self._health = counter("health_changes", "Checks that stand differently.", "state")
        self._run = histogram("run", "From a commit seen to its end.", "result")

    def __call__(self, event: Event) -> None:  # noqa: C901, PLR0912  # one case per event
        match event:
            case RevisionRead():
                self._reads.inc()
                self._read.observe(event.seconds)
            case SourceFailed():
                self._failures.inc()
            case CloudListed():
                result = "complete" if event.complete else "incomplete"
                self._listings.labels(event.cloud, result).inc()
                self._listing.observe(event.seconds)
            case PassEnded():
                self._passes.labels(event.result).inc()
                self._pass.observe(event.seconds)
            case ActionEnded():
                self._actions.labels(event.action, _result(succeeded=not event.error)).inc()
                self._action.labels(event.action).observe(event.seconds)
            case StepEnded():
                self._context.labels(_result(succeeded=event.succeeded)).observe(event.seconds)
            case TaskFinished():
                self._task.labels(event.kind, _result(succeeded=event.succeeded)).observe(
                    event.seconds
                )
                self._report_bytes.inc(event.size)
            case RunEnded():
                self._run.labels(event.result).observe(event.seconds)
            case LoopDetected():
                self._loops.inc()
            case LeakFound():
                self._leaks.inc(event.machines)
            case HealthChanged():
                self._health.labels(event.state).inc()
            case StatusChanged():
                pass  # the snapshot tells
            case _:
                assert_never(event)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition that the Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _result(*, succeeded: bool) -> str:
    return "success" if succeeded else "failure"
