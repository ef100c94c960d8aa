"""Manifests with every reference followed: what `topology.expand` works from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headwater.manifests.values import ParameterType


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong in one place. Lines and columns count from 1, in code points."""

    path: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}"
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class RecipeKind(StrEnum):
    PRE_INSTALL = "preInstall"
    POST_INSTALL = "postInstall"
    DEPLOY = "deploy"
    REPORT = "report"
    ON_INSTANCE_ADD = "onInstanceAdd"
    ON_INSTANCE_REMOVE = "onInstanceRemove"
    PRE_SCALE = "preScale"
    POST_SCALE = "postScale"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A script: it begins with a `#!` line. `path` is empty where it stands in the manifest."""

    component: str
    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A page that is answered with this status."""

    port: int
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A port that takes connections."""

    port: int


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A recipe that exits with 0."""

    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Health:
    """What holds while an instance is Ready."""

    asks: HttpCheck | TcpCheck | CommandCheck
    interval: float
    """Seconds."""
    failures: int
    """In a row; then the instance is unhealthy."""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    name: str
    id: str
    """The image's id at the node's cloud."""
    login_user: str
    platform: str


@dataclass(frozen=True, slots=True)
class Literal:
    value: str
    many: bool = False
    """Written as an array: one item per line."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Another node's output; `index` None stands for every instance's (`wn[*].hostname`)."""

    node: str
    index: int | None
    output: str


@dataclass(frozen=True, slots=True)
class Secret:
    """By name only; the value is never in Git."""

    name: str


Binding = Literal | Reference | Secret


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A secret's file in the repository."""

    path: str
    oid: str
    """Names the content."""
    content: str = field(repr=False)
    """What age wrote, in base64."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the machine needs (memory and disk in bytes), or the cloud's own name for it."""

    cpus: int | None = None
    memory: int | None = None
    disk: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume as wanted, one for each instance."""

    name: str
    size: int
    """Bytes, at least."""
    path: str
    """Where it is mounted on the machine."""
    retain: bool = False
    """It survives its instance."""


@dataclass(frozen=True, slots=True)
class ResolvedNode:
    """A node with its component flattened along `extends`, root first."""

    name: str
    component: str
    replicas: int
    clouds: tuple[tuple[str, int], ...]
    """(cloud, how many), in the order in which indexes are given out; the sum is `replicas`."""
    images: Mapping[str, ResolvedImage]
    """By cloud."""
    size: Size
    """A name stands for what a cloud calls it in `sizes`, or else is the cloud's own."""
    public: bool
    open: tuple[str, ...]
    packages: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    recipes: Mapping[RecipeKind, tuple[Recipe, ...]]
    inputs: Mapping[str, Binding | None]
    """Every declared input; None where it is optional and not bound."""
    outputs: tuple[str, ...]
    """Declared ones; `hostname`, `instanceId`, `state` and `url.*` exist by themselves."""
    sizes: Mapping[str, Size] = field(default_factory=dict)
    """By cloud, where it has another name for the size."""
    types: Mapping[str, ParameterType] = field(default_factory=dict)
    """Of the inputs and outputs that are declared as something else than a string."""
    skip: frozenset[int] = frozenset()
    tolerate_failures: int = 0
    health: Health | None = None
    volumes: tuple[VolumeSpec, ...] = ()
    """In the order in which they are mounted."""


@dataclass(frozen=True, slots=True)
class Update:
    """How a new revision reaches running instances. Counts, or percentages of the node."""

    max_unavailable: int | str = "25%"
    max_surge: int | str = 1
    on_recipe_change: str = "rerun"
    order: tuple[str, ...] = ()
    on_failure: str = "stop"
    """`rollback` goes back to the last good revision, once."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays after a test."""

    policy: str = "never"
    """`never`, `always`, `on-success` or `on-error`."""
    seconds: float | None = None
    """For how long; None until the next run."""


@dataclass(frozen=True, slots=True)
class ResolvedDeployment:
    name: str
    path: str
    description: str
    labels: Mapping[str, str]
    lifecycle: str
    nodes: Mapping[str, ResolvedNode]
    encrypted: Mapping[str, Encrypted] = field(default_factory=dict)
    """Secrets by name: those of its inputs that the repository has a file for."""
    depends_on: tuple[str, ...] = ()
    provision_timeout: float = 600.0
    """Seconds."""
    execute_timeout: float = 1800.0
    """Seconds."""
    report_timeout: float = 300.0
    """Seconds."""
    update: Update = field(default_factory=Update)
    deletion_policy: str = "delete"
    protect: bool = False
    max_deletes: int | str = "50%"
    keep: Keep = Keep()
    ttl: float | None = None
    """Seconds from the beginning of a run until everything is torn down."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of ours a cloud may hold; None is no limit."""

    instances: int | None = None
    cpus: int | None = None
    memory: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ResolvedCloud:
    name: str
    driver: str
    region: str = ""
    credentials: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    quota: Quota = Quota()
    reads_per_second: float | None = None
    writes_per_second: float | None = None
    """Limits of our own on calls; None leaves it to the driver's default."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that one revision says. What is broken is in `failed`, and everything else goes on."""

    revision: str
    deployments: Mapping[str, ResolvedDeployment]
    clouds: Mapping[str, ResolvedCloud]
    failed: Mapping[str, tuple[Diagnostic, ...]]
    """Deployments that are defined but wrong, by name: they stay as they are."""
    diagnostics: tuple[Diagnostic, ...]
    """Every error of the revision, by path and line."""
    complete: bool
    """False while some file does not tell which resources it defines: no removal follows then."""
    resources: int = 0
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The deployments that each DeploymentSet makes, broken ones too."""
