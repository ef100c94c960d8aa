"""What the tests of OpenStack ask of a gateway, and of the double behind it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from contracts.asking import Orders
from fakes.openstack.endpoint import OpenStackEndpoint
from fakes.openstack.glance import IMAGE
from fakes.openstack.refusals import Refused
from fakes.serving import Answer
from headwater.cloud.gateway import Gateway
from headwater.manifests.resolved import Size
from headwater.topology.machines import (
    Machine,
    MachineSpec,
)

SPEC = MachineSpec("lab", "debian", IMAGE, Size(name="m1.tiny"), open=("80/tcp",))
PUBLIC = {"floating_network": "public"}
ORDERS = Orders(SPEC)
order, batch, refusal = ORDERS.order, ORDERS.batch, ORDERS.refusal


def refuse(
    endpoint: OpenStackEndpoint, action: str, error: Refused | Answer, times: int = 1000
) -> None:
    left = [times]

    def before(asked: str) -> Answer | None:
        if asked == action and left[0]:
            left[0] -= 1
            if isinstance(error, Answer):
                return error
            raise error
        return None

    endpoint.before = before


async def until(gateway: Gateway, condition: Callable[[Sequence[Machine]], bool]) -> list[Machine]:
    """Looks again until it holds of what is listed."""
    async with asyncio.timeout(20):
        machines = (await gateway.observe("lab")).machines
        while not condition(machines):
            await asyncio.sleep(0.01)
            machines = (await gateway.observe("lab")).machines
    return sorted(machines, key=lambda machine: machine.key.index)


def server(endpoint: OpenStackEndpoint) -> dict[str, Any]:
    """What the last call for servers said."""
    said: dict[str, Any] = [c.body for c in endpoint.calls if c.action == "POST /servers"][-1]
    return dict(said["server"])


def own_groups(endpoint: OpenStackEndpoint) -> list[str]:
    every = [group["name"] for group in endpoint.project.neutron.groups.values()]
    return sorted(name for name in every if name != "default")


async def refusal_of(gateway: Gateway, index: int) -> object:
    [answer] = await gateway.create(batch(index))
    return answer
