"""The generated files: never stale, and what Kubernetes and editors demand of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.manifests.crds import crd
from headwater.manifests.resources import KINDS
from headwater.manifests.schema_of import Schema
from headwater.manifests.schemas import schema_files
from headwater.manifests.yaml import dump

CRD = Path(__file__).parents[3] / "crd"
FORBIDDEN = {
    "$ref",
    "$defs",
    "anyOf",
    "oneOf",
    "const",
    "title",
    "propertyNames",
    "patternProperties",
    "discriminator",
}


def nodes(schema: Schema, path: str = "spec") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}.{key}")


def schema_of_version(kind: str) -> tuple[Schema, Schema]:
    (version,) = crd(KINDS[kind])["spec"]["versions"]
    return version, version["schema"]["openAPIV3Schema"]


def test_the_files_in_crd_are_those_that_the_models_make():
    """Run `headwater schema` when this fails."""
    committed = {path.name: path.read_text() for path in CRD.iterdir()}

    assert committed == schema_files()


@pytest.mark.parametrize("kind", KINDS)
def test_every_node_of_a_crd_is_typed_and_says_only_what_is_structural(kind):
    _, schema = schema_of_version(kind)

    for path, node in nodes(schema):
        free = {"x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"}
        assert node.get("type") or free & node.keys(), path
        assert not FORBIDDEN & node.keys(), path
        assert not {"properties", "additionalProperties"} <= node.keys(), path
        assert node.get("additionalProperties") is not False, path
        assert node.get("default", "") is not None, path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


def test_quantities_carry_their_patterns_into_the_crd():
    _, schema = schema_of_version("Deployment")
    spec = schema["properties"]["spec"]["properties"]

    assert spec["timeouts"]["properties"]["provision"]["pattern"] == "^[1-9][0-9]{0,8}[smhd]$"
    surge = spec["update"]["properties"]["maxSurge"]
    assert surge["x-kubernetes-int-or-string"] is True


def test_a_deployment_has_columns_and_a_status_of_its_own():
    version, schema = schema_of_version("Deployment")

    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns == ["Ready", "Phase", "Revision", "Age"]
    assert version["subresources"] == {"status": {}}
    assert "appliedRevision" in schema["properties"]["status"]["properties"]


@pytest.mark.parametrize("name", [name for name in schema_files() if name.endswith(".json")])
def test_schemas_for_editors_stand_alone(name):
    text = schema_files()[name]

    assert json.loads(text)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$ref" not in text
    assert '"null"' not in text


def test_yaml_quotes_what_would_mean_something_else():
    value = {
        "plain": "some words",
        "on": True,
        "texts": ["yes", "1", "", "a: b", "# c", "tab\t", "é"],
        "nested": [{"a": 1, "b": [[], {}]}, [2, None]],
    }

    assert dump(value) == (
        "plain: some words\n"
        '"on": true\n'
        "texts:\n"
        '  - "yes"\n  - "1"\n  - ""\n  - "a: b"\n  - "# c"\n  - "tab\\t"\n  - "é"\n'
        "nested:\n"
        "  - a: 1\n    b:\n      - []\n      - {}\n"
        "  - - 2\n    - null\n"
    )
