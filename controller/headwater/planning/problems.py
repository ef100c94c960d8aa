"""What a manifest asks and a cloud cannot do: said when planning, not found out when running."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headwater.errors import HeadwaterError
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.machines import Ability, Capabilities

LOGIN = "22/tcp"
"""Open anyway: without it no machine is contextualised."""


@dataclass(frozen=True, slots=True)
class Need:
    """An ability that a field of the component asks for, with what it asks."""

    ability: Ability
    field: str
    asked: Callable[[InstanceSpec], tuple[str, ...]]
    """Empty where the field asks for nothing."""


NEEDS = (
    Need(
        Ability.PORTS,
        "spec.network.open",
        lambda spec: tuple(port for port in spec.machine.open if port != LOGIN),
    ),
    Need(
        Ability.VOLUMES,
        "spec.volumes",
        lambda spec: tuple(volume.name for volume in spec.volumes),
    ),
)


def problems(desired: Desired, capabilities: Callable[[str], Capabilities]) -> tuple[str, ...]:
    """One line per node and cloud. `capabilities` raises HeadwaterError for an unusable cloud."""
    found: dict[str, None] = {}
    for keys in desired.nodes.values():
        placed = {desired.instances[key].machine.cloud: desired.instances[key] for key in keys}
        for cloud, spec in sorted(placed.items()):
            try:
                found |= dict.fromkeys(lacks(spec, capabilities(cloud)))
            except HeadwaterError as error:
                found[f"cloud {cloud} cannot be used: {error}"] = None
    return tuple(found)


def lacks(spec: InstanceSpec, able: Capabilities) -> Iterator[str]:
    """What such an instance needs and the cloud cannot do."""
    node, cloud = spec.key.node, spec.machine.cloud
    if spec.work.packages and not able.packages:
        names = ", ".join(spec.work.packages)
        asks = f"node {node} needs packages ({names})"
        yield f"{asks}, and cloud {cloud} installs none ({able.description})"
    for need in NEEDS:
        if need.ability not in able.abilities and (asked := need.asked(spec)):
            asks = f"node {node} asks for {need.ability.value} ({need.field}: {', '.join(asked)})"
            yield f"{asks}, and cloud {cloud} has none ({able.description})"
