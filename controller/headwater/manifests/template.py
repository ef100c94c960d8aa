"""The file that a DeploymentSet fills in: a Deployment with placeholders."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from headwater.manifests.beside import file_at
from headwater.manifests.deployment import Deployment
from headwater.manifests.index import Unresolved
from headwater.manifests.parse import Definition, Document, Unreadable, parse_resource, read
from headwater.manifests.placeholders import fill, keys_used
from headwater.manifests.resolved import Diagnostic
from headwater.manifests.sets import SET_LABEL, Value
from headwater.manifests.snapshot import File


@dataclass(frozen=True, slots=True)
class Template:
    document: Document
    content: dict[str, Any]
    uses: Mapping[str, int]
    """How often it names each key."""

    @classmethod
    def read(cls, path: str, contents: Mapping[str, File]) -> Self:
        """Raises Unresolved where it is no template, and Unreadable where it is no TOML."""
        document, content = read(path, file_at(path, contents, "template"))
        if "resources" in content:
            raise Unresolved(f"template '{path}' holds [[resources]], and not one Deployment")
        if content.get("kind") != Deployment.__name__:
            raise Unresolved(f"template '{path}' holds no Deployment")
        metadata = content.setdefault("metadata", {})
        if not isinstance(metadata, dict) or not isinstance(metadata.get("labels", {}), dict):
            raise Unresolved(f"template '{path}': 'metadata' and its 'labels' must be tables")
        try:
            return cls(document, content, Counter(keys_used(content)))
        except RecursionError:
            raise Unreadable("nested too deeply") from None

    def size(self, values: Mapping[str, Value]) -> int:
        """Characters of a filled in copy, at most."""
        parts = (self.uses[key] * len(str(value)) for key, value in values.items())
        return len(self.document.text) + sum(parts)

    def name(self, values: Mapping[str, Value]) -> str:
        """What it calls the deployment of a site; empty where it leaves that to the set."""
        written = self.content["metadata"].get("name")
        return str(fill(written, values)[0]) if keys_used(written) else ""

    def deployment(
        self, name: str, of: str, values: Mapping[str, Value], wrong: Iterable[Diagnostic]
    ) -> Definition:
        """The deployment of one site of the set `of`; what else is `wrong` with it counts too."""
        content, unfilled = fill(self.content, values)
        metadata = content["metadata"]
        labels = {**metadata.get("labels", {}), SET_LABEL: of}
        content["metadata"] = {**metadata, "name": name, "labels": labels}
        (definition,) = parse_resource(self.document, (), content).definitions
        found = [self.document.diagnose(c.path, c.message, c.hint) for c in unfilled]
        # What could not be filled in is wrong in other ways too, and only for that reason.
        every = (*wrong, *(found or definition.diagnostics))
        return replace(definition, resource=None, diagnostics=every) if every else definition
