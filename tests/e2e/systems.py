"""Manifests for the tests: the shipped examples, and systems of one node with one recipe."""

from collections.abc import Mapping
from pathlib import Path

import tomli_w

API = "headwater.dev/v1alpha1"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples-repo"
RUNS = '#!/bin/sh -e\necho run >>"$HOME/runs"\n'
"""A recipe that leaves a line each time it runs."""

Table = Mapping[str, object]


def resource(kind: str, name: str, spec: Table) -> Table:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def document(*resources: Table) -> str:
    return tomli_w.dumps({"resources": list(resources)})


def site(level: str) -> dict[str, str]:
    """What every repository needs: the embedded cloud, and the image of its host."""
    cloud = resource("Cloud", "local", {"driver": "local", "options": {"level": level}})
    image = resource("Image", "host", {"platform": "debian", "ids": {"local": "host"}})
    return {"clouds/local.toml": document(cloud), "images/host.toml": document(image)}


def nothing() -> dict[str, str]:
    """A deployment without machines: where everything else is removed, a manifest is left.

    A repository in which none is left at all looks like a mistake, and is held back.
    """
    return system(name="nothing", replicas=0)


def system(
    recipe: str = RUNS,
    *,
    name: str = "box",
    replicas: int = 1,
    component: Table | None = None,
    node: Table | None = None,
    **spec: object,
) -> dict[str, str]:
    """A deployment whose node `one` runs one recipe; further keys go into the specifications."""
    kind = {"image": "host", "recipes": {"deploy": "deploy.sh"}, **(component or {})}
    nodes = {"one": {"component": name, "replicas": replicas, **(node or {})}}
    return {
        f"{name}/deploy.sh": recipe,
        f"{name}/system.toml": document(
            resource("Component", name, kind),
            resource("Deployment", name, {"cloud": "local", "nodes": nodes, **spec}),
        ),
    }


def example(name: str, level: str) -> dict[str, str]:
    """One of the shipped examples with the cloud and the image that it refers to."""
    files = {
        path.relative_to(EXAMPLES).as_posix(): path.read_text()
        for folder in ("clouds", "images", name)
        for path in sorted((EXAMPLES / folder).rglob("*"))
        if path.is_file()
    }
    files["clouds/local.toml"] += f'options = {{ level = "{level}" }}\n'
    return files
