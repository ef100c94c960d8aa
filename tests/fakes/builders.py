"""Values of the core, with defaults that mean: a small healthy system."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from headwater.manifests.resolved import (
    Binding,
    Catalog,
    Diagnostic,
    Health,
    HttpCheck,
    Recipe,
    RecipeKind,
    ResolvedCloud,
    ResolvedDeployment,
    ResolvedImage,
    ResolvedNode,
    Size,
    Update,
    VolumeSpec,
)
from headwater.planning.records import Health as Told
from headwater.planning.records import Record, Run, WorkState
from headwater.planning.situation import Situation
from headwater.topology.desired import Desired, InstanceSpec, expand
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine, MachineState, Tags
from headwater.topology.progress import HealthState

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
CLOUD = "local"
PAGE = Health(HttpCheck(8080, "/", 200), interval=30.0, failures=3)
STORE = VolumeSpec("store", 3 << 30, "/data")
HOST_KEY = "ssh-ed25519 AAAAhost"


def key(instance: str = "web.1", deployment: str = "shop") -> InstanceKey:
    node, _, index = instance.rpartition(".")
    return InstanceKey(deployment, node, int(index))


def node(
    name: str = "web",
    replicas: int = 1,
    *,
    image: str = "debian",
    deploy: str = "#!/bin/sh\n",
    inputs: Mapping[str, Binding | None] | None = None,
    outputs: Iterable[str] = (),
    packages: Iterable[str] = (),
    skip: Iterable[int] = (),
    clouds: tuple[tuple[str, int], ...] = (),
    health: Health | None = None,
    hooks: Mapping[RecipeKind, str] | None = None,
    volumes: Iterable[VolumeSpec] = (),
) -> ResolvedNode:
    placed = clouds or ((CLOUD, replicas),)
    recipe = Recipe(component=name, text=deploy)
    return ResolvedNode(
        name=name,
        component=name,
        replicas=replicas,
        clouds=placed,
        images={cloud: ResolvedImage(image, image, "root", "debian") for cloud, _ in placed},
        size=Size(cpus=1),
        public=True,
        open=(),
        packages=tuple(packages),
        ssh_keys=(),
        recipes={
            **({RecipeKind.DEPLOY: (recipe,)} if deploy else {}),
            **{kind: (Recipe(name, text),) for kind, text in (hooks or {}).items()},
        },
        inputs=dict(inputs or {}),
        outputs=tuple(outputs),
        skip=frozenset(skip),
        health=health,
        volumes=tuple(volumes),
    )


def deployment(
    *nodes: ResolvedNode,
    name: str = "shop",
    update: Update | None = None,
    lifecycle: str = "service",
) -> ResolvedDeployment:
    return ResolvedDeployment(
        name=name,
        path=f"{name}.toml",
        description="",
        labels={},
        lifecycle=lifecycle,
        nodes={each.name: each for each in nodes or (node(),)},
        update=update or Update(),
    )


def desired(*nodes: ResolvedNode, name: str = "shop", update: Update | None = None) -> Desired:
    return expand(deployment(*nodes, name=name, update=update))


def catalog(
    *deployments: ResolvedDeployment,
    revision: str = "r1",
    failed: Iterable[str] = (),
    complete: bool = True,
    clouds: Iterable[str] = (CLOUD,),
) -> Catalog:
    wrong = {name: (Diagnostic(f"{name}.toml", 1, 1, "wrong"),) for name in failed}
    return Catalog(
        revision=revision,
        deployments={deployment.name: deployment for deployment in deployments},
        clouds={cloud: ResolvedCloud(cloud, "fake") for cloud in clouds},
        failed=wrong,
        diagnostics=tuple(d for ds in wrong.values() for d in ds),
        complete=complete,
    )


def checked(
    record: Record, state: HealthState = HealthState.HEALTHY, *, held: bool = True
) -> Record:
    """By the check that was asked for with it."""
    words = "" if state is HealthState.HEALTHY else "no answer"
    return replace(record, health=Told(state, NOON, words, held))


def machine(
    spec: InstanceSpec,
    id: str = "m1",
    *,
    incarnation: int = 1,
    state: MachineState = MachineState.RUNNING,
    digest: str | None = None,
    instance: InstanceKey | None = None,
) -> Machine:
    """Of this specification, unless `digest` says that it is of another."""
    tags = Tags(
        "house",
        instance or spec.key,
        incarnation,
        digest or spec.machine_digest,
        "r0",
        size=spec.machine.size,
    )
    return Machine(
        id=MachineId(spec.machine.cloud, id),
        name=id,
        tags=tags,
        state=state,
        address=f"10.0.0.{id.removeprefix('m')}",
        host_key=HOST_KEY,
        created=NOON,
    )


def record(
    spec: InstanceSpec,
    state: WorkState = WorkState.SUCCEEDED,
    *,
    run: int = 1,
    generation: int = 1,
    digest: str | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Record:
    return Record(
        key=spec.key,
        work_digest=digest or spec.work.digest,
        generation=generation,
        run=run,
        state=state,
        since=NOON,
        inputs=inputs or {},
        ended=NOON if state is WorkState.SUCCEEDED else None,
        check=spec.check_digest,
    )


def failed(spec: InstanceSpec, words: str = "boom", run: int = 1) -> Record:
    """Its deploy recipe exited with 7."""
    return replace(
        record(spec, WorkState.FAILED, run=run),
        step="deploy",
        exit_code=7,
        reason="exit",
        words=words,
    )


def run(number: int = 1, abort: str = "") -> Run:
    return Run(number, "r1", "d1", NOON, abort=abort)


def situation(
    desired: Desired | None,
    machines: Iterable[tuple[Machine, Record | None]] = (),
    *,
    run: Run | None = None,
    after: float = 0.0,
    incomplete: str = "",
    limbo: Iterable[InstanceKey] = (),
    inputs: Mapping[InstanceKey, Mapping[str, str]] | None = None,
    incarnations: Mapping[InstanceKey, int] | None = None,
    problems: tuple[str, ...] = (),
) -> Situation:
    """Machines with their records, `after` seconds past noon."""
    pairs = list(machines)
    return Situation(
        deployment=desired.name if desired else "shop",
        desired=desired,
        machines=tuple(machine for machine, _ in pairs),
        run=run or Run(1, "r1", "d1", NOON),
        now=NOON + timedelta(seconds=after),
        incomplete=incomplete,
        limbo=frozenset(limbo),
        records={machine.id: record for machine, record in pairs if record},
        inputs=inputs or {},
        incarnations=incarnations or {},
        problems=problems,
    )
