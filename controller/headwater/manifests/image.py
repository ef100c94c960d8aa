"""Image: what a machine starts from."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headwater.manifests.model import ApiVersion, Many, Metadata, Model
from headwater.manifests.quantities import Form, Label, Line, Package, Positive, wrong


class ImageSource(Model):
    url: Line
    format: Label = "qcow2"
    sha256: Annotated[str, Form("^[0-9a-f]{64}$", "a SHA-256 in 64 lower-case hex digits")]
    bytes: Positive | None = None


class ImageBuild(Model):
    """How the image factory makes it."""

    from_: Annotated[Label, Field(alias="from")]
    """The parent image."""
    packages: Many[Package] = ()
    pre_install: str | None = None
    post_install: str | None = None


class ImageSpec(Model):
    description: str = ""
    login_user: Line = "root"
    platform: Label = "linux"
    """How packages are installed."""
    ids: dict[Label, Line] = Field(default_factory=dict)
    """The image's id at each cloud."""
    source: ImageSource | None = None
    """Cached on each cloud at first use."""
    build: ImageBuild | None = None
    valid_until: date | None = None
    """The last day on which machines are made from it."""
    deprecated: Line = ""
    """A reason: new instances are refused."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.build and (self.ids or self.source):
            raise wrong("is built and referred to at once: write 'build', or 'ids' and 'source'")
        return self


class Image(Model):
    """What a machine starts from, under one name at every cloud."""

    api_version: ApiVersion
    kind: Literal["Image"]
    metadata: Metadata
    spec: ImageSpec = ImageSpec()
