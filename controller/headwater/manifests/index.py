"""Resources by kind and name, and why one cannot be had."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from headwater.manifests.cloud import Cloud
from headwater.manifests.image import Image
from headwater.manifests.model import API_VERSION
from headwater.manifests.parse import Definition, Document
from headwater.manifests.resolved import Diagnostic
from headwater.manifests.resources import Resource
from headwater.manifests.suggestions import did_you_mean

R = TypeVar("R", bound=Resource)

BUILT_IN: tuple[Resource, ...] = (
    Cloud.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "Cloud",
            "metadata": {"name": "local"},
            "spec": {"driver": "local"},
        }
    ),
    Image.model_validate(
        {"apiVersion": API_VERSION, "kind": "Image", "metadata": {"name": "host"}, "spec": {}}
    ),
)
"""What exists where the repository defines nothing by that kind and name."""


class Unresolved(Exception):
    """A reference that leads nowhere, in words that fit its place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Defined(Generic[R]):
    """A sound resource and the place that defines it."""

    resource: R
    definition: Definition

    @property
    def name(self) -> str:
        return self.definition.name


class Index:
    """All definitions of a snapshot."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self._definitions: dict[str, dict[str, list[Definition]]] = {}
        self._hints: dict[tuple[str, str], str] = {}
        for definition in definitions:
            self._of(definition.kind).setdefault(definition.name, []).append(definition)
        for resource in BUILT_IN:
            name = resource.metadata.name
            built_in = Definition(resource.kind, name, Document("built in", ""), (), resource)
            self._of(resource.kind).setdefault(name, [built_in])

    def sound(self, model: type[R]) -> Iterator[Defined[R]]:
        """Every resource of the kind that is right in itself and defined once."""
        for definitions in self._of(model.__name__).values():
            (first, *others) = definitions
            if not others and isinstance(first.resource, model):
                yield Defined(first.resource, first)

    def names(self, model: type[R]) -> Collection[str]:
        """All that are defined, rightly or not."""
        return self._of(model.__name__).keys()

    def get(self, model: type[R], name: str) -> Defined[R]:
        """Raises Unresolved: nothing has the name, two things have it, or it is broken."""
        kind = model.__name__.lower()
        match self._of(model.__name__).get(name, []):
            case []:
                raise Unresolved(f"unknown {kind} '{name}'", self._hint(model.__name__, name))
            case [only] if isinstance(only.resource, model):
                return Defined(only.resource, only)
            case [only]:
                raise broken(only)
            case several:
                paths = " and ".join(sorted({definition.path for definition in several}))
                raise Unresolved(f"{kind} '{name}' is defined more than once", f"in {paths}")

    def duplicates(self) -> Iterator[tuple[Definition, Diagnostic]]:
        """Every definition whose name another one of its kind has, naming the other's place."""
        place = ("metadata", "name")
        for kind, by_name in self._definitions.items():
            for name, several in by_name.items():
                for number, definition in enumerate(several if len(several) > 1 else ()):
                    other = several[0 if number else 1].diagnose(place, "")
                    words = f"{kind.lower()} '{name}' is defined more than once"
                    hint = f"also at {other.path}:{other.line}:{other.column}"
                    yield definition, definition.diagnose(place, words, hint)

    def _of(self, kind: str) -> dict[str, list[Definition]]:
        return self._definitions.setdefault(kind, {})

    def _hint(self, kind: str, name: str) -> str:
        """Remembered: a thousand deployments may miss one component."""
        if (kind, name) not in self._hints:
            self._hints[kind, name] = did_you_mean(name, self._of(kind))
        return self._hints[kind, name]


def broken(definition: Definition) -> Unresolved:
    """For the places that use it: one line that leads to its own diagnostics."""
    kind = definition.kind.lower()
    return Unresolved(f"{kind} '{definition.name}' is broken", f"see {definition.path}")
