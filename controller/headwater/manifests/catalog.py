"""All that one revision says, with every reference followed and every error told."""

from collections import defaultdict
from datetime import date

from headwater.manifests.cloud import Cloud
from headwater.manifests.deployment import Deployment
from headwater.manifests.index import Defined, Index
from headwater.manifests.inheritance import Components
from headwater.manifests.parse import Parser
from headwater.manifests.resolve import Resolution
from headwater.manifests.resolved import Catalog, Diagnostic, ResolvedCloud, ResolvedDeployment
from headwater.manifests.snapshot import Snapshot


def compile_catalog(snapshot: Snapshot, parser: Parser, *, today: date | None = None) -> Catalog:
    """Never raises on bad input. Without `today`, no image is too old."""
    files = parser.parse(snapshot)
    definitions = [definition for file in files for definition in file.definitions]
    index = Index(definitions)
    components = Components(index, snapshot.files)
    failed: dict[str, list[Diagnostic]] = defaultdict(list)
    elsewhere = [d for file in files for d in file.diagnostics] + components.diagnostics
    own = [(definition, d) for definition in definitions for d in definition.diagnostics]
    for definition, diagnostic in (*own, *index.duplicates()):
        is_deployment = definition.kind == Deployment.__name__
        (failed[definition.name] if is_deployment else elsewhere).append(diagnostic)
    deployments: dict[str, ResolvedDeployment] = {}
    for deployment in sorted(index.sound(Deployment), key=lambda d: d.name):
        resolution = Resolution(deployment, index, components, snapshot.files, today)
        if resolved := resolution.resolve():
            deployments[deployment.name] = resolved
        else:
            failed[deployment.name] += resolution.diagnostics
    return Catalog(
        revision=snapshot.revision,
        deployments=deployments,
        clouds={cloud.name: _cloud(cloud) for cloud in index.sound(Cloud)},
        failed={name: _sorted(failed[name]) for name in sorted(failed)},
        diagnostics=_sorted([*elsewhere, *(d for ds in failed.values() for d in ds)]),
        complete=all(file.complete for file in files),
        resources=len(definitions),
    )


def _cloud(cloud: Defined[Cloud]) -> ResolvedCloud:
    spec = cloud.resource.spec
    return ResolvedCloud(
        name=cloud.name,
        driver=spec.driver,
        region=spec.region,
        credentials=spec.credentials,
        options=spec.options,
        quota_instances=spec.quota.instances,
        reads_per_second=spec.limits.reads_per_second,
        writes_per_second=spec.limits.writes_per_second,
    )


def _sorted(diagnostics: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By place; the same diagnostic once, however many ways led to it."""
    return tuple(
        sorted(dict.fromkeys(diagnostics), key=lambda d: (d.path, d.line, d.column, d.message))
    )
