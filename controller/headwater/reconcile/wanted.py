"""What the newest accepted revision asks for, and how it differs from the one before."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from headwater.manifests.resolved import Catalog, ResolvedDeployment
from headwater.topology.desired import Desired, expand
from headwater.topology.placement import Places

NOTHING = Catalog("", {}, {}, {}, (), complete=False)


@dataclass(slots=True)
class Wanted:
    places: Callable[[], Places] = dict
    """The clouds of the instances that exist."""
    catalog: Catalog = NOTHING
    _desired: dict[str, tuple[ResolvedDeployment, Desired]] = field(default_factory=dict)
    _dependents: dict[str, set[str]] = field(default_factory=dict)

    def update(self, catalog: Catalog) -> set[str]:
        """Take over a revision. Returns the deployments that it touches.

        A deployment that is wrong in it keeps what it last asked for.
        """
        previous, self.catalog = self.catalog, catalog
        touched = {
            name for name in catalog.failed if previous.failed.get(name) != catalog.failed[name]
        }
        for name, resolved in catalog.deployments.items():
            known = self._desired.get(name)
            if known is None or known[0] != resolved:
                self._desired[name] = (resolved, self.expand(resolved))
                touched.add(name)
            elif name in previous.failed:
                touched.add(name)
        if catalog.complete:
            for name in [n for n in self._desired if self.is_removed(n)]:
                del self._desired[name]
                touched.add(name)
        self._dependents = defaultdict(set)
        for name, (resolved, _) in self._desired.items():
            for other in resolved.depends_on:
                self._dependents[other].add(name)
        return touched

    def expand(self, resolved: ResolvedDeployment) -> Desired:
        """The instances of a node that is spread over several clouds stay where they are."""
        spread = any(len(node.clouds) > 1 for node in resolved.nodes.values())
        return expand(resolved, self.places() if spread else {})

    def dependents(self, name: str) -> Collection[str]:
        """Deployments whose manifests say that this one comes first."""
        return self._dependents.get(name, set())

    @contextmanager
    def updated(self, catalog: Catalog) -> Iterator[set[str]]:
        """The same for the block; when it raises, the revision has not been taken over."""
        previous = self.catalog, dict(self._desired), self._dependents
        try:
            yield self.update(catalog)
        except BaseException:
            self.catalog, self._desired, self._dependents = previous
            raise

    def desired(self, name: str) -> Desired | None:
        known = self._desired.get(name)
        return known[1] if known else None

    def resolved(self, name: str) -> ResolvedDeployment | None:
        known = self._desired.get(name)
        return known[0] if known else None

    def is_removed(self, name: str) -> bool:
        """Only a revision that could be read whole can say that something is not in it."""
        catalog = self.catalog
        return catalog.complete and name not in catalog.deployments and name not in catalog.failed

    @property
    def names(self) -> frozenset[str]:
        return frozenset({*self._desired, *self.catalog.failed})

    @property
    def failed(self) -> Mapping[str, tuple[str, ...]]:
        return {name: tuple(map(str, why)) for name, why in self.catalog.failed.items()}
