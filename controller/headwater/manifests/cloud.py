"""Cloud: where machines come from."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from headwater.manifests.model import ApiVersion, Metadata, Model
from headwater.manifests.quantities import ByteSize, Form, Label, Line, wrong


def _option(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float | bool) for item in items):
        raise wrong("is not an option: a string, a number, true, false, or an array of these")
    return tuple(items) if isinstance(value, list) else value


_SCALAR: list[dict[str, Any]] = [{"type": t} for t in ("string", "number", "boolean")]
Option = Annotated[
    object,
    PlainValidator(_option),
    WithJsonSchema({"anyOf": [*_SCALAR, {"type": "array", "items": {"anyOf": _SCALAR}}]}),
]
Natural = Annotated[int, Field(ge=0)]
Driver = Annotated[
    str, Form("^[a-z0-9][a-z0-9_-]*$", "a driver: 'local', 'qemu', or libcloud's name")
]


class Quota(Model):
    """Ours, checked when planning; the cloud's own counts too."""

    instances: Natural | None = None
    cpus: Natural | None = None
    memory: ByteSize | None = None


class Limits(Model):
    writes_per_second: Annotated[float, Field(gt=0, strict=False)] | None = None
    reads_per_second: Annotated[float, Field(gt=0, strict=False)] | None = None


class CloudSpec(Model):
    description: str = ""
    driver: Driver
    """`local`, `qemu`, any compute provider of libcloud, or one that a package registers."""
    region: Line = ""
    credentials: Line = ""
    """A name in the controller's secrets directory."""
    options: dict[str, Option] = Field(default_factory=dict)
    """Of the driver's constructor, of its create_node, or ours: see Headwater's page on clouds."""
    quota: Quota = Quota()
    limits: Limits = Limits()
    """How fast we ask at most; both have defaults for all drivers but `local` and `qemu`."""
    sizes: dict[Label, Line] = Field(default_factory=dict)
    """Our names for the cloud's sizes."""


class Cloud(Model):
    """An account where machines come from."""

    api_version: ApiVersion
    kind: Literal["Cloud"]
    metadata: Metadata
    spec: CloudSpec
