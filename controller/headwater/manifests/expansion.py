"""DeploymentSets: the manifests of a revision, with a Deployment for every site."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from headwater.manifests.beside import path_beside
from headwater.manifests.index import Unresolved
from headwater.manifests.parse import Definition, ManifestFile, Unreadable
from headwater.manifests.quantities import LABEL
from headwater.manifests.resolved import Diagnostic
from headwater.manifests.sets import DeploymentSet, Site
from headwater.manifests.snapshot import File
from headwater.manifests.template import Template

LARGEST = 32 * 1024 * 1024
"""A small file must not become a huge one."""
Numbered = tuple[int, Site]
"""A site and its place in the list."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a deployment comes from that no manifest defines by itself."""

    set: str
    site: str
    template: str
    """The path of the file."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """All manifests, those of the sites included; templates are none."""

    definitions: list[Definition]
    diagnostics: list[Diagnostic]
    complete: bool
    """False also where it is not known which deployments a set makes."""
    origins: Mapping[str, Origin]
    """By name of the deployment that was made."""


def expand_sets(files: Iterable[ManifestFile], contents: Mapping[str, File]) -> Expanded:
    """Never raises on bad input."""
    every = list(files)
    templates = frozenset(_templates(every))
    # A file with a set in it is no template: it would hide itself.
    kept = [file for file in every if file.templates or file.path not in templates]
    written = [definition for file in kept for definition in file.definitions]
    sets = [_Set(d, contents) for d in written if d.kind == DeploymentSet.__name__]
    several = Counter(each.name for each in sets)
    made = [d for each in sets if several[each.name] == 1 for d in each.definitions()]
    parts: list[ManifestFile | _Set] = [*kept, *sets]
    return Expanded(
        definitions=[*written, *made],
        diagnostics=[diagnostic for part in parts for diagnostic in part.diagnostics],
        complete=all(part.complete for part in parts),
        origins={name: origin for each in sets for name, origin in each.origins.items()},
    )


def _templates(files: Iterable[ManifestFile]) -> Iterator[str]:
    for file in files:
        for written in file.templates:
            try:
                yield path_beside(file.path, written, "template")
            except Unresolved:
                continue


class _Set:
    """One set and the deployments that it makes."""

    def __init__(self, definition: Definition, contents: Mapping[str, File]) -> None:
        self.name = definition.name
        self._definition = definition
        self._contents = contents
        self.complete = False
        """It is known which deployments it makes."""
        self.origins: dict[str, Origin] = {}
        self.diagnostics: list[Diagnostic] = []

    def definitions(self) -> Iterator[Definition]:
        resource = self._definition.resource
        if not isinstance(resource, DeploymentSet):
            return
        spec, place = resource.spec, ("spec", "template")
        try:
            path = path_beside(self._definition.path, spec.template, "template")
            template = Template.read(path, self._contents)
        except Unresolved as error:
            self.diagnostics.append(self._definition.diagnose(place, error.message, error.hint))
            return
        except Unreadable as error:
            self.diagnostics.append(error.diagnostic(path))
            return
        if (size := sum(template.size(site.values) for site in spec.sites)) > LARGEST:
            words = f"its sites would make {size} characters of manifests; at most {LARGEST}"
            self.diagnostics.append(self._definition.diagnose(("spec", "sites"), words))
            return
        self.complete = True
        places = {site.name: n for n, site in reversed(list(enumerate(spec.sites)))}
        for name, sites in self._named(spec.sites, template).items():
            (_, first), *_ = sites
            self.origins[name] = Origin(self.name, first.name, path)
            wrong = (*self._unused(sites, template), *self._doubles(name, sites, places))
            yield template.deployment(name, self.name, first.values, wrong)

    def _named(self, sites: Iterable[Site], template: Template) -> dict[str, list[Numbered]]:
        """By name of the deployment."""
        named: dict[str, list[Numbered]] = {}
        for number, site in enumerate(sites):
            name = template.name(site.values) or f"{self.name}-{site.name}"
            if LABEL.matches(name):
                named.setdefault(name, []).append((number, site))
            else:
                words = f"site '{site.name}' would make deployment '{name}', which is no name"
                place = ("spec", "sites", number, "name")
                self.diagnostics.append(self._definition.diagnose(place, words, LABEL.words))
                self.complete = False
        return named

    def _unused(self, sites: Iterable[Numbered], template: Template) -> Iterator[Diagnostic]:
        for number, site in sites:
            for key in site.values.keys() - template.uses.keys() - {"name"}:
                place = ("spec", "sites", number, key)
                words = f"site '{site.name}' has '{key}', and the template has no use for it"
                known = ", ".join(sorted({*template.uses, "name"}))
                yield self._definition.diagnose(place, words, f"used there: {known}")

    def _doubles(
        self, name: str, sites: list[Numbered], places: Mapping[str, int]
    ) -> Iterator[Diagnostic]:
        """`places` has where each name of a site is listed first."""
        (start, first), *_ = sites
        for number, site in sites:
            place = ("spec", "sites", number, "name")
            if number != places[site.name]:
                words = f"site '{site.name}' is listed more than once"
                yield self._definition.diagnose(place, words)
            elif number != start:
                words = f"sites '{first.name}' and '{site.name}' both make deployment '{name}'"
                yield self._definition.diagnose(place, words)
