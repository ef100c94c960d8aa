"""What people commit: small systems over two clouds, as one file for each deployment."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from fakes.builders import catalog, deployment, node
from headwater.manifests.resolved import Catalog, ResolvedCloud, ResolvedDeployment, Update
from headwater.manifests.snapshot import Snapshot
from headwater.topology.desired import Desired, InstanceSpec, _machine_digest, expand

NAMES = ("blog", "farm", "shop")
BROKEN = "broken"
GARBLED = "garbled"
"""A file that does not even tell which deployments it defines."""


@dataclass(frozen=True, slots=True)
class Wish:
    replicas: int = 2
    image: str = "debian-12"
    recipe: str = "serve"
    policy: str = "rerun"
    unavailable: int | str = "25%"
    surge: int = 1


SERIAL = "serial"
"""A file that makes every commit another one."""

Wishes = Mapping[str, Wish | str]
"""By deployment; a text in the place of a wish is `BROKEN`, and one that is nobody's `GARBLED`."""


def files(wishes: Wishes, serial: int) -> dict[str, str]:
    texts = {
        name: wish if isinstance(wish, str) else json.dumps(asdict(wish), sort_keys=True)
        for name, wish in wishes.items()
    }
    return {**texts, SERIAL: str(serial)}


def read(snapshot: Snapshot, clouds: Mapping[str, ResolvedCloud]) -> Catalog:
    texts = {
        name: (file.content or b"").decode()
        for name, file in snapshot.files.items()
        if name != SERIAL
    }
    good = {n: Wish(**json.loads(t)) for n, t in texts.items() if t not in {BROKEN, GARBLED}}
    found = catalog(
        *(resolved(name, wish) for name, wish in good.items()),
        revision=snapshot.revision,
        failed=[name for name, text in texts.items() if text == BROKEN],
        complete=GARBLED not in texts.values(),
    )
    return Catalog(
        revision=found.revision,
        deployments=found.deployments,
        clouds=clouds,
        failed=found.failed,
        diagnostics=found.diagnostics,
        complete=found.complete,
    )


def resolved(name: str, wish: Wish) -> ResolvedDeployment:
    """`shop` has two nodes at two clouds, `farm` one that is spread, `blog` one at one."""
    update = Update(
        max_unavailable=wish.unavailable,
        max_surge=wish.surge,
        on_recipe_change=wish.policy,
        order=("db", "web") if name == "shop" else (),
    )
    north = wish.replicas // 2
    where = {
        "blog": (("south", wish.replicas),),
        "farm": (("north", north), ("south", wish.replicas - north)),
        "shop": (("north", wish.replicas),),
    }[name]
    recipe = f"#!/bin/sh\n{wish.recipe}\n"
    nodes = [node("web", wish.replicas, image=wish.image, deploy=recipe, clouds=where)]
    if name == "shop":
        nodes.append(node("db", 1, deploy="#!/bin/sh\nstore\n", clouds=(("south", 1),)))
    return deployment(*nodes, name=name, update=update)


def desired(name: str, wish: Wish) -> Desired:
    return expand(resolved(name, wish))


def digest_at(spec: InstanceSpec, cloud: str) -> str:
    """Of the same machine at that cloud: which instance is where depends on what was there."""
    return _machine_digest(replace(spec.machine, cloud=cloud))
