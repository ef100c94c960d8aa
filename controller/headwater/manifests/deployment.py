"""Deployment: the system."""

from typing import Annotated, Literal

from pydantic import Field

from headwater.manifests.model import ApiVersion, Many, Metadata, Model
from headwater.manifests.quantities import (
    CountOrPercent,
    Duration,
    Label,
    NodeName,
    ParameterName,
    Positive,
)
from headwater.manifests.references import InputValue

MOST = 10_000
"""Machines of one node, and of one deployment."""
Replicas = Annotated[int, Field(ge=0, le=MOST)]


class Timeouts(Model):
    provision: Duration = "10m"
    """Until every machine runs and answers."""
    execute: Duration = "30m"
    """For all recipes of one machine together."""
    report: Duration = "5m"
    """For the report recipe."""


class Node(Model):
    component: Label
    """The kind of machine."""
    replicas: Replicas = 1
    """How many machines play this node."""
    cloud: Label | None = None
    """Where, if not at the deployment's cloud."""
    spread: Annotated[dict[Label, Positive], Field(min_length=1)] | None = None
    """One node over several clouds: how many at each. The sum is `replicas`.

    When it changes, an instance stays at its cloud as long as that is to hold so many.
    """
    skip: Many[Positive] = ()
    """Indexes that are left out: the way to remove one instance in the middle."""
    tolerate_failures: Replicas = 0
    """Up to this many may fail, and the run still goes on: lists of outputs are of the others."""
    inputs: dict[ParameterName, InputValue] = Field(default_factory=dict)
    """Literals, other nodes' outputs, or secrets by name."""


class Update(Model):
    max_unavailable: CountOrPercent = "25%"
    """How many of a node may be away at once."""
    max_surge: CountOrPercent = 1
    """How many of a node may exist beyond `replicas`: make before break."""
    on_recipe_change: Literal["rerun", "replace", "ignore"] = "rerun"
    """What a changed recipe or input means for running instances."""
    on_failure: Literal["rollback", "stop"] = "stop"
    """Roll back to the last good revision, once; or stop."""
    order: Many[NodeName] = ()
    """Nodes that are updated first, in this order."""


class Safety(Model):
    protect: bool = False
    """Nothing is deleted or replaced without an approval."""
    max_deletes: CountOrPercent = "50%"
    """The guard on scale-downs."""
    deletion_policy: Literal["delete", "orphan"] = "delete"
    """When the manifest goes away."""


class Keep(Model):
    policy: Literal["never", "always", "on-success", "on-error"] = "never"
    """Which ended runs keep their machines."""
    for_: Annotated[Duration | None, Field(alias="for")] = None
    """How long they are kept; without it until the next run."""


class DeploymentSpec(Model):
    description: str = ""
    cloud: Label | None = None
    """The nodes' cloud."""
    lifecycle: Literal["service", "test"] = "service"
    """Kept true for ever; or run once per revision, report, tear down."""
    ttl: Duration | None = None
    """Torn down this long after its run began: with the last commit that changed it, or by hand."""
    timeouts: Timeouts = Timeouts()
    depends_on: Many[Label] = ()
    """Other deployments that must be Ready before this one is made, and that go after it."""
    nodes: Annotated[dict[NodeName, Node], Field(min_length=1)]
    update: Update = Update()
    """How a new revision reaches running instances."""
    safety: Safety = Safety()
    keep: Keep | None = None
    """What stays after a test."""


class Deployment(Model):
    """A system of several machines that is kept as it is written here."""

    api_version: ApiVersion
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec
