"""The state of things as metrics, from one snapshot per scrape."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from headwater.planning.status import ControllerStatus
from headwater.reporting.version import own_version

_Series = tuple[tuple[str, ...], float]


class Gauges(Collector):
    """Made anew at each scrape, so that nothing outlives what it tells of."""

    def __init__(
        self, snapshot: Callable[[], ControllerStatus], queue_depth: Callable[[], int]
    ) -> None:
        self._snapshot = snapshot
        self._queue_depth = queue_depth
        self._build = (own_version(), platform.python_version())

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: a snapshot must not be asked for while the parts are still put together."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("build_info", "This program.", ("version", "python"), [(self._build, 1)])
        yield _gauge("queue_depth", "Deployments to be looked at.", (), [((), self._queue_depth())])
        status = self._snapshot()
        yield from _clouds(status)
        yield from _deployments(status)


def _clouds(status: ControllerStatus) -> Iterator[GaugeMetricFamily]:
    machines = Counter(
        (i.cloud, i.state) for d in status.deployments for i in d.instances if i.machine
    )
    yield _gauge("machines", "Machines of ours.", ("cloud", "state"), machines.items())
    yield _gauge(
        "unknown_machines",
        "Machines in an account that are not ours; never touched.",
        ("cloud",),
        [((c.name,), c.unknown) for c in status.clouds],
    )
    yield _gauge(
        "volumes",
        "Volumes of ours; leaked ones are asked for by nobody, and left alone.",
        ("cloud", "state"),
        [((c.name, each.state), each.number) for c in status.clouds for each in c.volumes],
    )
    yield _gauge(
        "cloud_complete",
        "1 if the last listing was complete, else 0.",
        ("cloud",),
        [((c.name,), c.complete) for c in status.clouds],
    )


def _deployments(status: ControllerStatus) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "source_info",
        "The last revision that was read.",
        ("branch", "revision"),
        [((status.branch, status.revision), 1)],
    )
    yield _gauge("manifest_errors", "Errors in the manifests.", (), [((), len(status.diagnostics))])
    yield _gauge(
        "deployment_info",
        "A deployment, with its phase and the revision that is applied.",
        ("name", "phase", "revision"),
        [((d.name, d.phase.value, d.applied_revision), 1) for d in status.deployments],
    )
    yield _gauge(
        "deployment_ready",
        "1 if the deployment is Ready, else 0.",
        ("name",),
        [((d.name,), d.is_ready) for d in status.deployments],
    )
    healthy = ((d.name, d.condition("Healthy")) for d in status.deployments)
    yield _gauge(
        "deployment_healthy",
        "1 if every check of the deployment holds, else 0; without checks, no series.",
        ("name",),
        [((name,), found.status) for name, found in healthy if found],
    )
    yield _gauge(
        "instances",
        "Instances of a deployment, by state.",
        ("deployment", "state"),
        Counter((d.name, i.state) for d in status.deployments for i in d.instances).items(),
    )


def _gauge(
    name: str, text: str, labels: tuple[str, ...], series: Iterable[_Series]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"headwater_{name}", text, labels=labels)
    for values, value in series:
        family.add_metric(values, value)
    return family
