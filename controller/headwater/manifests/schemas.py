"""The files in `crd/`: schemas for editors, definitions for Kubernetes."""

import json
from collections.abc import Mapping

from headwater.manifests.crds import GROUP, crd, plural
from headwater.manifests.deployment import Deployment
from headwater.manifests.resources import KINDS
from headwater.manifests.schema_of import Schema, schema_of
from headwater.manifests.template_schema import template_of
from headwater.manifests.yaml import dump

_DRAFT = "http://json-schema.org/draft-07/schema#"
_GENERATED = "# Written by `headwater schema`: change the models instead.\n"


def schema_files() -> Mapping[str, str]:
    """Texts by file name: a schema and a CRD for each kind; schemas of several and of templates."""
    schemas = {kind: schema_of(model) for kind, model in KINDS.items()}
    files = {f"{kind.lower()}.schema.json": _json(kind, schemas[kind]) for kind in KINDS}
    files["resources.schema.json"] = _json("Resources", _several(list(schemas.values())))
    template = template_of(schemas[Deployment.__name__])
    files["deployment-template.schema.json"] = _json("Deployment template", template)
    for kind, model in KINDS.items():
        files[f"{GROUP}_{plural(kind)}.yaml"] = _GENERATED + dump(crd(model))
    return files


def _several(schemas: list[Schema]) -> Schema:
    return {
        "description": "Several resources in one file.",
        "type": "object",
        "properties": {
            "resources": {"type": "array", "minItems": 1, "items": {"oneOf": schemas}},
        },
        "required": ["resources"],
        "additionalProperties": False,
    }


def _json(title: str, schema: Schema) -> str:
    return json.dumps({"$schema": _DRAFT, "title": title, **schema}, indent=2) + "\n"
