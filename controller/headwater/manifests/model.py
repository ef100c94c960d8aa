"""What every model of a manifest has in common."""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headwater.manifests.quantities import Label, Line

ApiVersion = Literal["headwater.dev/v1alpha1"]
API_VERSION: ApiVersion = "headwater.dev/v1alpha1"

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""An array: TOML has lists, frozen values have tuples, and no other conversion is made."""


class Model(BaseModel):
    """Written in camelCase; never converts one type to another; knows all its keys."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )


class Metadata(Model):
    name: Label
    """Unique per kind in the watched path."""
    labels: dict[str, Line] = Field(default_factory=dict)
    """For people and their tools; shown, never interpreted."""
