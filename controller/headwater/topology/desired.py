"""From a resolved manifest to the instances that should exist."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from headwater.manifests.resolved import (
    Binding,
    CommandCheck,
    Encrypted,
    HttpCheck,
    Keep,
    Literal,
    RecipeKind,
    Reference,
    ResolvedDeployment,
    ResolvedNode,
    Secret,
    TcpCheck,
    Update,
    VolumeSpec,
)
from headwater.manifests.values import ParameterType
from headwater.topology.context import VOLUMES, Check, Step
from headwater.topology.digests import digest
from headwater.topology.hooks import Hooks, fingerprint, hooks
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import MachineSpec
from headwater.topology.placement import Places, assign

_NOWHERE: Places = {}

INSTALL_STEPS = (
    ("pre-install", RecipeKind.PRE_INSTALL),
    ("post-install", RecipeKind.POST_INSTALL),
    ("deploy", RecipeKind.DEPLOY),
)


@dataclass(frozen=True, slots=True)
class Work:
    """All that can be done again on a running machine: a difference here means a re-run."""

    steps: tuple[Step, ...]
    inputs: Mapping[str, Binding | None]
    outputs: frozenset[str]
    authorized_keys: tuple[str, ...]
    platform: str
    timeout: float
    """Seconds, for all steps together."""
    digest: str
    """Of what the machine runs and is given; the timeout does not count."""
    types: Mapping[str, ParameterType] = field(default_factory=dict)
    """Of the inputs and outputs that are more than strings."""

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(package for step in self.steps for package in step.packages)


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """One instance as wanted. Instances of a node share their specs and digests."""

    key: InstanceKey
    machine: MachineSpec
    machine_digest: str
    work: Work
    hooks: Hooks
    check: Check | None = None
    volumes: tuple[VolumeSpec, ...] = ()

    @property
    def check_digest(self) -> str:
        """Empty where there is no check."""
        return self.check.digest if self.check else ""


@dataclass(frozen=True, slots=True)
class Desired:
    """A deployment as wanted."""

    name: str
    digest: str
    """Of everything that is wanted: a difference begins a new run."""
    description: str
    instances: Mapping[InstanceKey, InstanceSpec]
    nodes: Mapping[str, tuple[InstanceKey, ...]]
    clouds: frozenset[str]
    update: Update
    protect: bool
    """Nothing is deleted or replaced without an approval."""
    max_deletes: int | str
    """How many instances may go in a scale-down; a count or a percentage."""
    deletion_policy: str
    """`delete` or `orphan`: what becomes of the machines when the manifest goes away."""
    provision_timeout: float
    """Seconds from the order of a machine until its agent answers."""
    execute_timeout: float
    """Seconds for all recipes of one machine together."""
    is_test: bool
    """It runs once per digest and ends; anything else is kept true for ever."""
    keep: Keep
    ttl: float | None
    """Seconds from the beginning of a run until everything is torn down."""
    secrets: Mapping[str, Encrypted | None] = field(default_factory=dict)
    """Every secret that an input is bound to, with its file in the repository if it has one."""
    depends_on: tuple[str, ...] = ()
    """Deployments that must be Ready before this one is made."""
    tolerate: Mapping[str, int] = field(default_factory=dict)
    """How many instances of a node may fail; nodes of which none may are not in it."""
    volumes_at: frozenset[str] = frozenset()
    """The clouds where it asks for volumes."""


def expand(deployment: ResolvedDeployment, places: Places = _NOWHERE) -> Desired:
    """Every instance that should exist, by key, in the order of nodes and indexes.

    `places` tells where those are that exist: of a node that is spread, they stay there.
    """
    instances: dict[InstanceKey, InstanceSpec] = {}
    nodes: dict[str, tuple[InstanceKey, ...]] = {}
    for node in deployment.nodes.values():
        specs = _instances(deployment, node, places)
        instances.update((spec.key, spec) for spec in specs)
        nodes[node.name] = tuple(spec.key for spec in specs)
    return Desired(
        name=deployment.name,
        digest=_digest(deployment, instances.values()),
        description=deployment.description,
        instances=instances,
        nodes=nodes,
        clouds=frozenset(spec.machine.cloud for spec in instances.values()),
        update=deployment.update,
        protect=deployment.protect,
        max_deletes=deployment.max_deletes,
        deletion_policy=deployment.deletion_policy,
        provision_timeout=deployment.provision_timeout,
        execute_timeout=deployment.execute_timeout,
        is_test=deployment.lifecycle == "test",
        keep=deployment.keep,
        ttl=deployment.ttl,
        secrets=_secrets(deployment),
        depends_on=deployment.depends_on,
        tolerate=_tolerate(deployment),
        volumes_at=frozenset(s.machine.cloud for s in instances.values() if s.volumes),
    )


def _secrets(deployment: ResolvedDeployment) -> dict[str, Encrypted | None]:
    bound = (bound for node in deployment.nodes.values() for bound in node.inputs.values())
    names = {each.name for each in bound if isinstance(each, Secret)}
    return {name: deployment.encrypted.get(name) for name in sorted(names)}


def _tolerate(deployment: ResolvedDeployment) -> dict[str, int]:
    nodes = deployment.nodes.values()
    return {node.name: node.tolerate_failures for node in nodes if node.tolerate_failures}


def _digest(deployment: ResolvedDeployment, instances: Collection[InstanceSpec]) -> str:
    update = deployment.update
    hooks = {spec.key.node: asked for spec in instances if (asked := fingerprint(spec.hooks))}
    encrypted = [[name, file.oid] for name, file in sorted(deployment.encrypted.items())]
    tolerate = _tolerate(deployment)
    volumes = {
        node.name: [[each.name, each.size, each.path, each.retain] for each in node.volumes]
        for node in deployment.nodes.values()
        if node.volumes
    }
    return digest(
        {
            **({"hooks": hooks} if hooks else {}),
            **({"tolerate": tolerate} if tolerate else {}),
            **({"volumes": volumes} if volumes else {}),
            "instances": [
                [str(spec.key), spec.machine_digest, spec.work.digest, spec.check_digest]
                for spec in instances
            ],
            "timeouts": [deployment.provision_timeout, deployment.execute_timeout],
            "update": [
                update.max_unavailable,
                update.max_surge,
                update.on_recipe_change,
                list(update.order),
            ],
            **({"encrypted": encrypted} if encrypted else {}),
            "ends": [
                deployment.lifecycle,
                deployment.ttl,
                deployment.keep.policy,
                deployment.keep.seconds,
            ],
        }
    )


def _instances(
    deployment: ResolvedDeployment, node: ResolvedNode, places: Places
) -> list[InstanceSpec]:
    specs = {cloud: _machine(node, cloud) for cloud, _ in node.clouds}
    digests = {cloud: _machine_digest(spec) for cloud, spec in specs.items()}
    work = {cloud: _work(deployment, node, spec.platform) for cloud, spec in specs.items()}
    check = _check(node)
    asked = {cloud: hooks(deployment, node, spec.login_user) for cloud, spec in specs.items()}
    keys = [
        InstanceKey(deployment.name, node.name, index)
        for index in range(1, node.replicas + 1)
        if index not in node.skip
    ]
    return [
        InstanceSpec(
            key, specs[cloud], digests[cloud], work[cloud], asked[cloud], check, node.volumes
        )
        for key, cloud in assign(node.clouds, keys, places).items()
    ]


def _machine(node: ResolvedNode, cloud: str) -> MachineSpec:
    image = node.images[cloud]
    return MachineSpec(
        cloud=cloud,
        image=image.name,
        image_id=image.id,
        size=node.sizes.get(cloud, node.size),
        public=node.public,
        open=node.open,
        login_user=image.login_user,
        platform=image.platform,
    )


def _machine_digest(spec: MachineSpec) -> str:
    size = spec.size
    return digest(
        {
            "cloud": spec.cloud,
            "image": spec.image_id,
            "size": [size.cpus, size.memory, size.disk, size.name],
            "network": [spec.public, sorted(spec.open)],
        }
    )


def _work(deployment: ResolvedDeployment, node: ResolvedNode, platform: str) -> Work:
    steps = _steps(node)
    mounts = [[each.name, each.path] for each in node.volumes]
    return Work(
        steps=steps,
        inputs=dict(node.inputs),
        outputs=frozenset(node.outputs),
        authorized_keys=node.ssh_keys,
        platform=platform,
        timeout=deployment.execute_timeout,
        digest=digest(
            {
                "steps": [[step.name, step.script, list(step.packages)] for step in steps],
                "inputs": {name: _binding(bound) for name, bound in node.inputs.items()},
                "outputs": sorted(node.outputs),
                "keys": list(node.ssh_keys),
                **({"volumes": mounts} if mounts else {}),
                **({"types": dict(node.types)} if node.types else {}),
            }
        ),
        types=node.types,
    )


def _steps(node: ResolvedNode) -> tuple[Step, ...]:
    """Volumes, pre-install, packages, post-install, deploy.

    Inherited recipes of a kind run root first.
    """
    steps = [
        Step(name, recipe.component, recipe.text)
        for name, kind in INSTALL_STEPS
        for recipe in node.recipes.get(kind, ())
    ]
    if node.packages:
        after = sum(step.name == "pre-install" for step in steps)
        steps.insert(after, Step("packages", node.component, packages=node.packages))
    first = (Step(VOLUMES, node.component),) if node.volumes else ()
    return (*first, *steps)


def _check(node: ResolvedNode) -> Check | None:
    health = node.health
    if health is None:
        return None
    match health.asks:
        case CommandCheck(recipe):
            asked: list[object] = ["command", recipe.text]
        case HttpCheck(port, path, status):
            asked = ["http", port, path, status]
        case TcpCheck(port):
            asked = ["tcp", port]
    told = digest([asked, health.interval, health.failures])
    return Check(told, health.asks, health.interval, health.failures)


def _binding(bound: Binding | None) -> list[object] | None:
    match bound:
        case None:
            return None
        case Literal(value):
            return ["literal", value]
        case Reference(node, index, output):
            return ["from", node, index, output]
        case Secret(name):
            return ["secret", name]
