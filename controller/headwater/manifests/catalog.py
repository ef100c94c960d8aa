"""All that one revision says, with every reference followed and every error told."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date

from headwater.manifests.cloud import Cloud
from headwater.manifests.dependencies import wrong_dependencies
from headwater.manifests.deployment import Deployment
from headwater.manifests.expansion import Origin, expand_sets
from headwater.manifests.index import Defined, Index
from headwater.manifests.inheritance import Components
from headwater.manifests.naming import with_sites
from headwater.manifests.parse import Parser
from headwater.manifests.quantities import size_bytes
from headwater.manifests.resolve import Resolution
from headwater.manifests.resolved import (
    Catalog,
    Diagnostic,
    Quota,
    ResolvedCloud,
    ResolvedDeployment,
)
from headwater.manifests.snapshot import Snapshot


def compile_catalog(snapshot: Snapshot, parser: Parser, *, today: date | None = None) -> Catalog:
    """Never raises on bad input. Without `today`, no image is too old."""
    found = expand_sets(parser.parse(snapshot), snapshot.files)
    index = Index(found.definitions)
    components = Components(index, snapshot.files)
    failed: dict[str, list[Diagnostic]] = defaultdict(list)
    elsewhere = [*found.diagnostics, *components.diagnostics]
    own = [(definition, d) for definition in found.definitions for d in definition.diagnostics]
    for definition, diagnostic in (*own, *index.duplicates()):
        is_deployment = definition.kind == Deployment.__name__
        (failed[definition.name] if is_deployment else elsewhere).append(diagnostic)
    sound = {deployment.name: deployment for deployment in index.sound(Deployment)}
    for name, diagnostic in wrong_dependencies(sound, index.names(Deployment)):
        failed[name].append(diagnostic)
    deployments: dict[str, ResolvedDeployment] = {}
    for name, deployment in sorted(sound.items()):
        resolution = Resolution(deployment, index, components, snapshot.files, today)
        if (resolved := resolution.resolve()) and name not in failed:
            deployments[name] = resolved
        else:
            failed[name] += resolution.diagnostics
    told = with_sites(failed, found.origins)
    return Catalog(
        revision=snapshot.revision,
        deployments=deployments,
        clouds={cloud.name: _cloud(cloud) for cloud in index.sound(Cloud)},
        failed={name: _sorted(told[name]) for name in sorted(told)},
        diagnostics=_sorted([*elsewhere, *(d for ds in told.values() for d in ds)]),
        complete=found.complete,
        resources=len(found.definitions),
        sets=_sets(found.origins),
    )


def _sets(origins: Mapping[str, Origin]) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for name, origin in origins.items():
        made[origin.set] = (*made.get(origin.set, ()), name)
    return made


def _cloud(cloud: Defined[Cloud]) -> ResolvedCloud:
    spec = cloud.resource.spec
    return ResolvedCloud(
        name=cloud.name,
        driver=spec.driver,
        region=spec.region,
        credentials=spec.credentials,
        options=spec.options,
        quota=Quota(
            spec.quota.instances,
            spec.quota.cpus,
            size_bytes(spec.quota.memory) if spec.quota.memory else None,
        ),
        reads_per_second=spec.limits.reads_per_second,
        writes_per_second=spec.limits.writes_per_second,
    )


def _sorted(diagnostics: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By place; the same diagnostic once, however many ways led to it."""
    return tuple(
        sorted(dict.fromkeys(diagnostics), key=lambda d: (d.path, d.line, d.column, d.message))
    )
