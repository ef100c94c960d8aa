"""What deciding costs: manifests read, instances planned, rounds that find nothing to do."""

import argparse
import asyncio
import cProfile
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import cost, example, say
from fakes.builders import CLOUD, deployment, desired, node, situation
from fakes.house import House
from fakes.source import GitRepository
from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Reference, ResolvedDeployment
from headwater.planning.planner import plan
from headwater.source.git import GitSource
from headwater.topology.desired import Desired

MANIFESTS, DEPLOYMENTS, INSTANCES = 1000, 1000, 10
TODAY = date(2026, 1, 1)
RUNS = 5
DEPLOYMENT = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "Deployment"

[metadata]
name = "NAME"
labels = { team = "infra" }

[spec]
description = "One server and its clients, of system NAME"
cloud = "local"

[spec.nodes.server]
component = "apache"
inputs = { greeting = "Hello from NAME" }

[spec.nodes.client]
component = "testclient"
replicas = 3

[spec.nodes.client.inputs]
"webserver.hostname" = { from = "server.hostname" }
"webserver.ready" = { from = "server.ready" }
"webserver.page" = { from = "server.page" }

[spec.timeouts]
provision = "10m"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, help="write the cProfile of a round here")
    options = parser.parse_args()
    asyncio.run(_reading())
    _planning()
    asyncio.run(_rounds(options.profile))


async def _reading() -> None:
    """As the controller does it: fetched into its own mirror, unchanged files not parsed again."""
    files = _repository()
    whole, again, same = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="headwater-benchmark-") as scratch:
            repository = GitRepository(Path(scratch, "repository"))
            repository.commit(files)
            parser = Parser()
            mirror = Path(scratch, "mirror")
            async with GitSource(str(repository.directory), "main", "", mirror) as source:
                whole.append(await _read(source, parser))
                changed = files["systems/s7.toml"].replace("replicas = 3", "replicas = 4")
                repository.commit(files | {"systems/s7.toml": changed})
                again.append(await _read(source, parser))
                repository.git("commit", "--quiet", "--allow-empty", "--message", "nothing")
                same.append(await _read(source, parser))
    say(f"{len(files)} files, {MANIFESTS} manifests: fetched, read, validated", "s", whole, 1.0)
    say(f"{MANIFESTS} manifests after a change of one: the same", "s", again)
    say(f"{MANIFESTS} manifests after an empty commit: the same", "s", same)


async def _read(source: GitSource, parser: Parser) -> float:
    with cost() as spent:
        catalog = compile_catalog(await source.fetch(), parser, today=TODAY)
    if catalog.diagnostics:
        raise ValueError(catalog.diagnostics[0])
    return spent.wall


def _repository() -> dict[str, str]:
    files = example("clouds", "images", "hello-world")
    del files["hello-world/deployment.toml"]
    rest = MANIFESTS - sum(name.endswith(".toml") for name in files)
    names = [f"s{number}" for number in range(rest)]
    return files | {f"systems/{name}.toml": DEPLOYMENT.replace("NAME", name) for name in names}


def _planning() -> None:
    total = DEPLOYMENTS * INSTANCES
    expanding, planning = [], []
    for _ in range(RUNS):
        with cost() as expanded:
            wanted = _crowd(total)
        with cost() as planned:
            actions = plan(situation(wanted)).actions
        if len(actions) != total:
            raise ValueError(f"{len(actions)} actions")
        expanding.append(expanded.wall)
        planning.append(planned.wall)
    say(f"{total} new instances: expanded from manifests", "s", expanding)
    say(f"{total} new instances: planned", "s", planning, 1.0)


def _crowd(total: int) -> Desired:
    return desired(*(node(f"n{number}", 1000) for number in range(total // 1000)))


async def _rounds(profile: Path | None) -> None:
    """Through the whole reconciler, in memory: only clouds and machines are not real."""
    house = House()
    names = [f"s{number}" for number in range(DEPLOYMENTS)]
    await house.want(*(_cluster(name) for name in names))
    with cost() as converging:
        while await _round(house, names):
            house.machines.work()
    before = house.clouds.listings[CLOUD], len(house.store.writes), house.machines.calls
    looks, rounds = [], []
    for _ in range(RUNS):
        with cost() as look:
            await house.look()
        with cost() as passes, _profiled(profile):
            changes = await _round(house, names)
        if changes:
            raise ValueError(f"{changes} deployments are not at rest")
        looks.append(look.cpu)
        rounds.append(look.cpu + passes.cpu)
    after = house.clouds.listings[CLOUD], len(house.store.writes), house.machines.calls
    listings, writes, calls = ((b - a) / RUNS for a, b in zip(before, after, strict=True))
    what = f"{DEPLOYMENTS} deployments x {INSTANCES} instances"
    say(f"{what}: brought up, in memory: CPU", "s", [converging.cpu])
    say(f"{what}: no-op pass over all: CPU", "s", rounds, 2.0)
    say(f"{what}: of this the look at the cloud: CPU", "s", looks)
    say(f"{what}: listings of the account in it", "", [listings], 1.0)
    say(f"{what}: writes to the store in it", "", [writes], 0.0)
    say(f"{what}: messages to machines in it", "", [calls], 0.0)


async def _round(house: House, names: list[str]) -> int:
    """One pass over each. How many of them have more to do."""
    results = [(await house.dispatch.rounds(name)).result for name in names]
    return sum(result != "unchanged" for result in results)


def _cluster(name: str) -> ResolvedDeployment:
    """The shape of gpod-cluster: everybody knows the head, and the head knows everybody."""
    workers = Reference("wn", None, "hostname")
    return deployment(
        node("ce", inputs={"allWorkers": workers}),
        node("wn", INSTANCES - 1, inputs={"ceHostname": Reference("ce", 1, "hostname")}),
        name=name,
    )


@contextmanager
def _profiled(file: Path | None) -> Iterator[None]:
    """The last round's profile stays."""
    if file is None:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(file)


if __name__ == "__main__":
    main()
