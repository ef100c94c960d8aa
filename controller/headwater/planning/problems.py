"""What a manifest asks and a cloud cannot do: said when planning, not found out when running."""

from collections.abc import Callable

from headwater.errors import HeadwaterError
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.machines import Capabilities


def problems(desired: Desired, capabilities: Callable[[str], Capabilities]) -> tuple[str, ...]:
    """One line per node and cloud. `capabilities` raises HeadwaterError for an unusable cloud."""
    found: dict[str, None] = {}
    for keys in desired.nodes.values():
        placed = {desired.instances[key].machine.cloud: desired.instances[key] for key in keys}
        for cloud, spec in sorted(placed.items()):
            try:
                found |= dict.fromkeys(_of_spec(spec, capabilities(cloud)))
            except HeadwaterError as error:
                found[f"cloud {cloud} cannot be used: {error}"] = None
    return tuple(found)


def _of_spec(spec: InstanceSpec, able: Capabilities) -> list[str]:
    if spec.work.packages and not able.packages:
        names = ", ".join(spec.work.packages)
        asks = f"node {spec.key.node} needs packages ({names})"
        return [f"{asks}, and cloud {spec.machine.cloud} installs none ({able.description})"]
    return []
