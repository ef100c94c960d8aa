"""Manifests to take facts from: small, right, and wrong in one place after `replace`."""

from hashlib import sha1

from hypothesis import HealthCheck, settings

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog
from headwater.manifests.snapshot import File, FileKind, Snapshot

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties: a busy machine is no reason to fail."""

HEADER = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "{}"
[metadata]
name = "{}"
[spec]
"""

WEB = (
    HEADER.format("Component", "web")
    + """\
image = "host"
packages = ["nginx"]
[spec.inputs.title]
[spec.inputs.peers]
[spec.outputs.ready]
[spec.recipes]
deploy = "deploy.sh"
"""
)

SHOP = (
    HEADER.format("Deployment", "shop")
    + """\
cloud = "local"
[spec.nodes.front]
component = "web"
replicas = 3
[spec.nodes.front.inputs]
title = "Shop"
peers = { from = "front[*].hostname" }
"""
)

GOOD = {"shop/shop.toml": SHOP, "web/web.toml": WEB, "web/deploy.sh": "#!/bin/sh\ntrue\n"}


def file(content: str | bytes, kind: FileKind = FileKind.REGULAR) -> File:
    content = content.encode() if isinstance(content, str) else content
    return File(sha1(content).hexdigest(), kind, len(content), content)  # noqa: S324  # as git does


def snapshot(files: dict[str, str]) -> Snapshot:
    return Snapshot("c0ffee", {path: file(text) for path, text in files.items()})


def catalog(**changed: str) -> Catalog:
    """GOOD with other texts of `shop`, `web` or `deploy`, and `more` as `more/more.toml`."""
    paths = dict(zip(("shop", "web", "deploy"), GOOD, strict=True)) | {"more": "more/more.toml"}
    files = GOOD | {paths[name]: text for name, text in changed.items()}
    return compile_catalog(snapshot(files), Parser())


def told(found: Catalog) -> list[str]:
    return [str(diagnostic) for diagnostic in found.diagnostics]
