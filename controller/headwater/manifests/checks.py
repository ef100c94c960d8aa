"""Health checks as written, with their recipe read."""

from collections.abc import Mapping

from headwater.manifests.component import Component
from headwater.manifests.quantities import seconds
from headwater.manifests.recipes import recipe
from headwater.manifests.resolved import CommandCheck, Health, HttpCheck, TcpCheck
from headwater.manifests.snapshot import File


def health(
    name: str, manifest: str, component: Component, files: Mapping[str, File]
) -> Health | None:
    """The check of a component of this path; None where it has none.

    Raises Unresolved where its recipe cannot be read or run.
    """
    written = component.spec.health
    if written is None:
        return None
    asks: HttpCheck | TcpCheck | CommandCheck
    if written.http is not None:
        asks = HttpCheck(written.http.port, written.http.path, written.http.status)
    elif written.tcp is not None:
        asks = TcpCheck(written.tcp.port)
    else:
        asks = CommandCheck(recipe(name, manifest, written.command or "", files))
    return Health(asks, seconds(written.interval), written.failures)
