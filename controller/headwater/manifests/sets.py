"""DeploymentSet: one system, many sites."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from headwater.manifests.model import ApiVersion, Many, Metadata, Model
from headwater.manifests.quantities import Duration, Label, Line, Positive, wrong

MOST_SITES = 10_000
SET_LABEL = "headwater.dev/set"
"""The label of a deployment that a set makes; its value is the set's name."""

Scalar = str | int | bool
Value = Scalar | list[Scalar]
"""What a placeholder stands for."""


def _value(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    if all(isinstance(item, str) or _is_whole(item) for item in items):
        return value
    raise wrong("is no value of a site: a string, an integer, true, false, or an array of these")


def _is_whole(value: object) -> bool:
    """True, false, or an integer that TOML promises to hold."""
    return isinstance(value, int) and value.bit_length() <= 64  # noqa: PLR2004  # TOML's own bound


_SCALARS: list[dict[str, Any]] = [{"type": t} for t in ("string", "integer", "boolean")]
SiteValue = Annotated[
    Value,
    PlainValidator(_value),
    WithJsonSchema({"anyOf": [*_SCALARS, {"type": "array", "items": {"anyOf": _SCALARS}}]}),
]


class Site(Model):
    """One deployment of the set. Every other key is a value for the template: `${key}`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SiteValue] = Field(init=False)

    name: Label
    """Unique in the set; `${name}` in the template."""

    @property
    def values(self) -> dict[str, Value]:
        return {"name": self.name, **self.__pydantic_extra__}


class PullRequests(Model):
    """One short-lived deployment per open pull request that carries the label."""

    label: Line
    ttl: Duration = "4h"
    max: Positive = 5


class DeploymentSetSpec(Model):
    description: str = ""
    template: Line
    """A file with a Deployment, from this manifest's folder; `${...}` in it is filled in."""
    sites: Annotated[Many[Site], Field(max_length=MOST_SITES)] = ()
    """A deployment is made for each, named `<set>-<site>`."""
    pull_requests: PullRequests | None = None
    """Instead of a list of sites."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.sites) == (self.pull_requests is not None):
            raise wrong("needs 'sites', at least one, or else 'pullRequests'")
        return self


class DeploymentSet(Model):
    """The same system at many sites: a template, and what differs from site to site."""

    api_version: ApiVersion
    kind: Literal["DeploymentSet"]
    metadata: Metadata
    spec: DeploymentSetSpec
