"""Component: one kind of machine."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headwater.manifests.model import ApiVersion, Many, Metadata, Model
from headwater.manifests.quantities import (
    ByteSize,
    Duration,
    Label,
    Line,
    MountPath,
    Package,
    ParameterName,
    Port,
    Positive,
    PublicKey,
    UrlPath,
    wrong,
)
from headwater.manifests.references import DefaultValue
from headwater.manifests.values import ParameterType

Type = Annotated[ParameterType, Field(strict=False)]


class Size(Model):
    """The cheapest size of the cloud that fits; or the cloud's own name for it."""

    cpus: Positive | None = None
    memory: ByteSize | None = None
    disk: ByteSize | None = None
    name: Line | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.name is not None and (self.cpus or self.memory or self.disk):
            raise wrong("has both a name and needs: write 'name', or 'cpus', 'memory' and 'disk'")
        return self


class Network(Model):
    public: bool = True
    """An address that can be reached from outside."""
    open: Many[Port] = ()
    """Ports that the cloud lets through: `22/tcp`."""


class Input(Model):
    description: str = ""
    required: bool = False
    """A node must bind it."""
    type: Type = ParameterType.STRING
    """Which texts may be its value; `secret`: only a secret may be bound to it."""
    default: DefaultValue | None = None
    """The value where no node binds it."""

    @model_validator(mode="after")
    def _default(self) -> Self:
        if self.default is None:
            return self
        if self.required:
            raise wrong("is required, and has a default all the same")
        if self.type is ParameterType.SECRET:
            raise wrong("is a secret, which has no default: its value would be in Git")
        return self


class Output(Model):
    description: str = ""
    type: Type = ParameterType.STRING
    """Which texts a machine may set; `secret`: shown to nobody but its readers."""


class Recipes(Model):
    """Files beside the manifest, or inline with a `#!` line; any interpreter of the guest."""

    pre_install: str | None = None
    """Before the packages are installed."""
    post_install: str | None = None
    """After the packages are installed."""
    deploy: str | None = None
    """The work: starts as soon as its machine is ready for it."""
    report: str | None = None
    """Collects files for people, on every exit."""
    on_instance_add: str | None = None
    """On the surviving instances, when one came."""
    on_instance_remove: str | None = None
    """On the surviving instances, when one went."""
    pre_scale: str | None = None
    """On the instances that are about to go or change."""
    post_scale: str | None = None
    """On the instances that changed."""


class HttpCheck(Model):
    port: Annotated[int, Field(ge=1, le=65535)]
    path: UrlPath = "/"
    status: Annotated[int, Field(ge=100, le=599)] = 200


class TcpCheck(Model):
    port: Annotated[int, Field(ge=1, le=65535)]


class Health(Model):
    """What holds while an instance is Ready: exactly one check, asked on the machine itself."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: str | None = None
    """A recipe: exit code 0 means healthy."""
    interval: Duration = "30s"
    failures: Positive = 3
    """So many in a row, and the instance is replaced, within the repair limits."""

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        if [self.http, self.tcp, self.command].count(None) != 2:  # noqa: PLR2004  # all but one
            raise wrong("needs exactly one of 'http', 'tcp' and 'command'")
        return self


class Volume(Model):
    """A disk of each instance's own: made once, and attached to every machine that plays it."""

    name: Label
    size: ByteSize
    """At least; what exists keeps the size that it has."""
    mount_path: MountPath
    retain: bool = False
    """Survives its instance, and is there again when the instance comes back."""


class ComponentSpec(Model):
    description: str = ""
    extends: Label | None = None
    """Nearest definition wins; packages are a union; recipes run root first."""
    image: Label | None = None
    size: Size | None = None
    network: Network | None = None
    packages: Many[Package] = ()
    ssh_keys: Many[PublicKey] | None = None
    """Operators' public keys."""
    inputs: dict[ParameterName, Input] = Field(default_factory=dict)
    outputs: dict[ParameterName, Output] = Field(default_factory=dict)
    """`hostname`, `instanceId`, `state` and `url.*` exist by themselves."""
    recipes: Recipes = Recipes()
    health: Health | None = None
    volumes: Many[Volume] = ()
    """Joined with the inherited ones; of the same name, the nearest definition wins."""


class Component(Model):
    """One kind of machine: what it starts from, what it is told to do, what it tells."""

    api_version: ApiVersion
    kind: Literal["Component"]
    metadata: Metadata
    spec: ComponentSpec
