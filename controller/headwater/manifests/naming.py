"""What is wrong with a template, told once for all the sites where it is."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from headwater.manifests.expansion import Origin
from headwater.manifests.resolved import Diagnostic

_SHOWN = 3
"""Sites that one message names."""

Failed = Mapping[str, list[Diagnostic]]
"""What is wrong, by deployment."""


def with_sites(failed: Failed, origins: Mapping[str, Origin]) -> dict[str, list[Diagnostic]]:
    """The same diagnostics; those of a template say of which sites they are."""
    sites: dict[tuple[str, Diagnostic], list[str]] = defaultdict(list)
    for name, diagnostics in failed.items():
        if origin := origins.get(name):
            for diagnostic in dict.fromkeys(diagnostics):
                sites[origin.set, diagnostic].append(origin.site)
    total = Counter(origin.set for origin in origins.values())

    def told(name: str, diagnostic: Diagnostic) -> Diagnostic:
        origin = origins.get(name)
        if origin is None or diagnostic.path != origin.template:
            return diagnostic
        where = _words(sites[origin.set, diagnostic], total[origin.set])
        return replace(
            diagnostic, message=f"{diagnostic.message}, at {where} of set '{origin.set}'"
        )

    return {name: [told(name, d) for d in diagnostics] for name, diagnostics in failed.items()}


def _words(sites: list[str], total: int) -> str:
    if len(sites) == total > 1:
        return "every site"
    named = ", ".join(f"'{site}'" for site in sites[:_SHOWN])
    more = f" and {len(sites) - _SHOWN} more" if len(sites) > _SHOWN else ""
    return f"{'site' if len(sites) == 1 else 'sites'} {named}{more}"
