"""What a recipe finds in its environment of its place in the deployment."""

from collections.abc import Mapping

from headwater.topology.keys import InstanceKey

Nodes = Mapping[str, tuple[InstanceKey, ...]]


def environment(key: InstanceKey, cloud: str, nodes: Nodes) -> tuple[tuple[str, str], ...]:
    """Besides what the agent adds; `nodes` as in `Desired`, none where the manifest is gone.

    It is no part of the work's digest: no recipe runs again because another instance comes or goes.
    """
    return (
        ("HEADWATER_DEPLOYMENT", key.deployment),
        ("HEADWATER_INSTANCE", key.instance),
        ("HEADWATER_NODE", key.node),
        ("HEADWATER_INDEX", str(key.index)),
        ("HEADWATER_MULTIPLICITY", str(len(nodes.get(key.node, ())))),
        ("HEADWATER_SIZE", str(sum(len(keys) for keys in nodes.values()))),
        ("HEADWATER_CLOUD", cloud),
        # All that SlipStream's own recipes saw of its names, reports and scaling hooks apart.
        ("SLIPSTREAM_CONNECTOR_INSTANCE", cloud),
    )
