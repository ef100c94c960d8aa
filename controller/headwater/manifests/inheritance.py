"""Components flattened along `extends`.

Nearest definition wins; packages are a union; recipes run root first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from headwater.manifests.checks import health
from headwater.manifests.component import (
    Component,
    ComponentSpec,
    Input,
    Network,
    Output,
    Recipes,
    Size,
    Volume,
)
from headwater.manifests.index import Defined, Index, Unresolved, broken
from headwater.manifests.parse import Definition
from headwater.manifests.recipes import recipe
from headwater.manifests.resolved import Diagnostic, Health, Recipe, RecipeKind
from headwater.manifests.snapshot import File
from headwater.manifests.volumes import clash, joined

T = TypeVar("T")

DEEPEST = 100
"""Components one above the other: what each inherits, each holds."""
_SHOWN = 6
"""Names of a cycle that a message holds."""
_NO_SIZE = Size()
_ANY_NETWORK = Network()

_FIELDS = {
    kind: next(name for name, field in Recipes.model_fields.items() if field.alias == kind.value)
    for kind in RecipeKind
}


@dataclass(frozen=True, slots=True)
class FlatComponent:
    """A component with all that it inherits. A table (`size`, `health`) is taken whole."""

    name: str
    depth: int = 0
    """How many stand one above the other, this one included."""
    image: str | None = None
    size: Size = _NO_SIZE
    network: Network = _ANY_NETWORK
    packages: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    inputs: Mapping[str, Input] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    recipes: Mapping[RecipeKind, tuple[Recipe, ...]] = field(default_factory=dict)
    health: Health | None = None
    volumes: tuple[Volume, ...] = ()


class Components:
    """All sound components of an index, flattened; the others with what is wrong."""

    def __init__(self, index: Index, files: Mapping[str, File]) -> None:
        self._index = index
        self._files = files
        self._flat: dict[str, FlatComponent | None] = {}
        self._cyclic: dict[str, tuple[int, list[str]]] = {}
        """Where in which cycle a component stands."""
        self.diagnostics: list[Diagnostic] = []
        for component in index.sound(Component):
            self._flatten(component)

    def get(self, name: str) -> FlatComponent:
        """Raises Unresolved."""
        found = self._index.get(Component, name)
        if (flat := self._flat[name]) is None:
            raise broken(found.definition)
        return flat

    def _flatten(self, leaf: Defined[Component]) -> None:
        """From the leaf up to what is known, and down again: chains may be long."""
        chain: dict[str, Defined[Component]] = {}
        component: Defined[Component] | None = leaf
        while component and component.name not in self._flat and component.name not in chain:
            chain[component.name] = component
            component = self._parent(component)
        if component and component.name in chain:
            names = list(chain)
            cycle = names[names.index(component.name) :]
            self._cyclic |= {name: (place, cycle) for place, name in enumerate(cycle)}
        for above in reversed(chain.values()):
            before = len(self.diagnostics)
            flat = self._joined(above)
            self._flat[above.name] = flat if len(self.diagnostics) == before else None

    def _parent(self, component: Defined[Component]) -> Defined[Component] | None:
        try:
            return self._index.get(Component, component.resource.spec.extends or "")
        except Unresolved:
            return None

    def _joined(self, component: Defined[Component]) -> FlatComponent:
        """To be thrown away if it left diagnostics."""
        spec, definition = component.resource.spec, component.definition
        parent = FlatComponent("")
        try:
            parent = self._above(component)
        except Unresolved as unresolved:
            self._refuse(definition, ("spec", "extends"), unresolved)
        flat = _inherited(component.name, spec, parent, self._recipes(component))
        flat = replace(flat, health=self._health(component) or parent.health)
        for name in sorted(flat.inputs.keys() & flat.outputs.keys()):
            words = Unresolved(f"parameter '{name}' is both an input and an output")
            place = "outputs" if name in spec.outputs else "inputs"
            self._refuse(definition, ("spec", place, name), words)
        if clashing := clash(flat.volumes):
            self._refuse(definition, ("spec", "volumes"), Unresolved(clashing))
        return flat

    def _above(self, component: Defined[Component]) -> FlatComponent:
        if (parent := component.resource.spec.extends) is None:
            return FlatComponent("")
        if found := self._cyclic.get(component.name):
            raise Unresolved(f"component '{component.name}' extends itself: {_round(*found)}")
        above = self.get(parent)
        if above.depth == DEEPEST:
            words = f"component '{component.name}' extends {DEEPEST} others, one above the other"
            raise Unresolved(words, f"at most {DEEPEST - 1}: join some of them")
        return above

    def _recipes(self, component: Defined[Component]) -> dict[RecipeKind, Recipe]:
        found = {}
        definition = component.definition
        for kind, attribute in _FIELDS.items():
            written = getattr(component.resource.spec.recipes, attribute)
            if written is None:
                continue
            try:
                found[kind] = recipe(component.name, definition.path, written, self._files)
            except Unresolved as unresolved:
                self._refuse(definition, ("spec", "recipes", kind.value), unresolved)
        return found

    def _health(self, component: Defined[Component]) -> Health | None:
        definition = component.definition
        try:
            return health(component.name, definition.path, component.resource, self._files)
        except Unresolved as unresolved:
            self._refuse(definition, ("spec", "health", "command"), unresolved)
            return None

    def _refuse(self, definition: Definition, path: tuple[str, ...], words: Unresolved) -> None:
        self.diagnostics.append(definition.diagnose(path, words.message, words.hint))


def _round(place: int, cycle: list[str]) -> str:
    """`a -> b -> a`; of a long way only the beginning."""
    names = [cycle[(place + step) % len(cycle)] for step in range(min(len(cycle), _SHOWN))]
    rest = [f"... ({len(cycle)} components)"] if len(cycle) > _SHOWN else []
    return " -> ".join((*names, *rest, cycle[place]))


def _inherited(
    name: str, spec: ComponentSpec, parent: FlatComponent, own: Mapping[RecipeKind, Recipe]
) -> FlatComponent:
    return FlatComponent(
        name,
        depth=parent.depth + 1,
        image=spec.image or parent.image,
        size=spec.size or parent.size,
        network=spec.network or parent.network,
        packages=_union(parent.packages, spec.packages),
        ssh_keys=parent.ssh_keys if spec.ssh_keys is None else _union((), spec.ssh_keys),
        inputs={**parent.inputs, **spec.inputs},
        outputs={**parent.outputs, **spec.outputs},
        recipes={
            kind: (*parent.recipes.get(kind, ()), *([own[kind]] if kind in own else []))
            for kind in RecipeKind
            if kind in own or kind in parent.recipes
        },
        volumes=joined(parent.volumes, spec.volumes),
    )


def _union(first: Iterable[T], second: Iterable[T]) -> tuple[T, ...]:
    """Without repetitions, in order of appearance."""
    return tuple(dict.fromkeys((*first, *second)))
