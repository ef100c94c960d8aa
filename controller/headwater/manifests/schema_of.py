"""The JSON Schema of a model in one piece: no references, no titles, no nulls (TOML has none)."""

from functools import cache
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """Draft-07 compatible. Shared: not to be changed."""
    schema = model.model_json_schema(by_alias=True)
    return _inlined(schema, schema.get("$defs", {}))


def keys_at(schema: Schema, path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the schema knows for the table at the path."""
    for key in path:
        if isinstance(key, int):
            schema = schema.get("items", schema)
        else:
            named = schema.get("properties", {})
            any_key = schema.get("additionalProperties") or schema
            schema = named.get(key) or (any_key if isinstance(any_key, dict) else schema)
    return tuple(schema.get("properties", ()))


def _inlined(schema: Schema, definitions: Schema) -> Schema:
    if reference := schema.get("$ref"):
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[reference.rpartition("/")[2]], **beside}, definitions)
    result: Schema = {key: schema[key] for key in ("description", "type") if key in schema}
    for key, value in schema.items():
        match key, value:
            case ("title" | "$defs", _) | ("default", None):
                continue
            case ("properties", dict()):
                result[key] = {name: _inlined(part, definitions) for name, part in value.items()}
            case ("patternProperties", dict()):
                ((pattern, part),) = value.items()
                result["propertyNames"] = {"type": "string", "pattern": pattern}
                result["additionalProperties"] = _inlined(part, definitions)
            case ("anyOf", list()):
                result |= _alternatives([_inlined(part, definitions) for part in value])
            case (_, dict()) if key != "default":
                result[key] = _inlined(value, definitions)
            case _:
                result[key] = value
    return result


def _alternatives(schemas: list[Schema]) -> Schema:
    some = [schema for schema in schemas if schema.get("type") != "null"]
    return some[0] if len(some) == 1 else {"anyOf": some}
