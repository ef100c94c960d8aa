"""The schema of a DeploymentSet's template: a Deployment's, with placeholders let in.

A form of its own, so that a `${...}` in an ordinary Deployment stays an error in the editor too.
"""

from headwater.manifests.placeholders import NAME
from headwater.manifests.schema_of import Schema

_WHOLE: Schema = {"type": "string", "pattern": f"^\\$\\{{{NAME}\\}}$"}
"""A value that may be of any type."""
_WITHIN: Schema = {"type": "string", "pattern": "\\$\\{"}


def template_of(deployment: Schema) -> Schema:
    """Its name is the set's to give: it may be left out."""
    schema = _admitting(deployment)
    metadata = {k: v for k, v in schema["properties"]["metadata"].items() if k != "required"}
    required = [key for key in schema["required"] if key != "metadata"]
    properties = {**schema["properties"], "metadata": metadata}
    return {**schema, "properties": properties, "required": required}


def _admitting(schema: Schema) -> Schema:
    """Strings may hold placeholders where they have a form, and stand for values without one."""
    if "anyOf" in schema:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, "anyOf": [*map(_admitting, schema["anyOf"]), _WHOLE]}
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return _or(schema | {"items": _admitting(schema["items"])}, _WHOLE)
        case "string" if "pattern" in schema or "enum" in schema:
            return _or(schema, _WITHIN)
        case "integer" | "boolean":
            return _or(schema, _WHOLE)
    return schema


def _object(schema: Schema) -> Schema:
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {k: _admitting(v) for k, v in schema["properties"].items()}
    if isinstance(values := schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _admitting(values)
    return result


def _or(schema: Schema, placeholder: Schema) -> Schema:
    outside: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    return {**outside, "anyOf": [inside, placeholder]}
