"""CustomResourceDefinitions: the same resources, as a Kubernetes API server holds them.

Structural schemas (every node typed, nothing by reference), as the API server demands.
"""

from typing import Any

from headwater.manifests.model import API_VERSION
from headwater.manifests.resources import Resource
from headwater.manifests.schema_of import Schema, schema_of

GROUP, _, VERSION = API_VERSION.partition("/")

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_COLUMNS = {
    "Deployment": [
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("Phase", "string", ".status.phase"),
        ("Revision", "string", ".status.appliedRevision"),
    ],
    "Component": [
        ("Image", "string", ".spec.image"),
        ("Extends", "string", ".spec.extends"),
    ],
    "Image": [
        ("Platform", "string", ".spec.platform"),
        ("Valid", "date", ".spec.validUntil"),
    ],
    "Cloud": [
        ("Driver", "string", ".spec.driver"),
        ("Region", "string", ".spec.region"),
    ],
    "DeploymentSet": [
        ("Template", "string", ".spec.template"),
    ],
}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_CONDITION = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {
        "type": _TEXT,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": _TEXT,
        "message": _TEXT,
        "lastTransitionTime": {"type": "string", "format": "date-time"},
    },
}
_STATUS = {
    "type": "object",
    "properties": {
        "phase": _TEXT,
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "observedRevision": _TEXT,
        "attemptedRevision": _TEXT,
        "appliedRevision": _TEXT,
        "desired": _COUNT,
        "ready": _COUNT,
        "failed": _COUNT,
    },
}
_KEPT = frozenset(
    [
        *("type", "description", "format", "pattern", "enum", "default", "minimum", "maximum"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties"),
        *("items", "properties", "required", "additionalProperties"),
    ]
)


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


def crd(model: type[Resource]) -> dict[str, Any]:
    """The definition of the model's kind."""
    kind = model.__name__
    schema = _resource(schema_of(model))
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            *({"name": n, "type": t, "jsonPath": path} for n, t, path in _COLUMNS[kind]),
            _AGE,
        ],
        "schema": {"openAPIV3Schema": schema},
    }
    if kind == "Deployment":
        version["subresources"] = {"status": {}}
        schema["properties"]["status"] = _STATUS
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural(kind)}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural(kind),
                "singular": kind.lower(),
                "categories": ["headwater"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _resource(schema: Schema) -> Schema:
    """The API server itself says what `metadata` holds."""
    return {
        "type": "object",
        "description": schema["description"],
        "required": [key for key in ("spec",) if key in schema["required"]],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": structural(schema["properties"]["spec"]),
        },
    }


def structural(schema: Schema) -> Schema:
    """Without what structural schemas may not hold; looser where they cannot say it."""
    if "anyOf" in schema:
        described: Schema = {
            key: schema[key] for key in ("description", "default") if key in schema
        }
        types = {part.get("type") for part in schema["anyOf"]}
        marker = "int-or-string" if types == {"integer", "string"} else "preserve-unknown-fields"
        return {**described, f"x-kubernetes-{marker}": True}
    result = {key: value for key, value in schema.items() if key in _KEPT}
    if "properties" in result:
        result["properties"] = {k: structural(v) for k, v in schema["properties"].items()}
        if isinstance(result.pop("additionalProperties", None), dict):
            result["x-kubernetes-preserve-unknown-fields"] = True
    elif isinstance(values := result.get("additionalProperties"), dict):
        result["additionalProperties"] = structural(values)
    if "items" in result:
        result["items"] = structural(schema["items"])
    if "exclusiveMinimum" in schema:
        result |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if isinstance(result.get("default"), dict | list):
        del result["default"]
    return result
