"""What the tests of OpenStack ask of a gateway, and of the double behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.openstack.endpoint import OpenStackEndpoint
from fakes.openstack.glance import IMAGE
from fakes.openstack.refusals import Refused
from fakes.serving import Answer
from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import (
    CreateOrder,
    Machine,
    MachineSpec,
    Tags,
    machine_name,
)

SPEC = MachineSpec("lab", "debian", IMAGE, Size(name="m1.tiny"), open=("80/tcp",))
PUBLIC = {"floating_network": "public"}


@asynccontextmanager
async def opened(
    cloud: ResolvedCloud, directory: Path, installation: str = "ours"
) -> AsyncIterator[Gateway]:
    gateway = Gateway(installation, directory)
    await gateway.configure({"lab": cloud})
    try:
        yield gateway
    finally:
        await gateway.close()


def order(
    index: int, spec: MachineSpec = SPEC, *, incarnation: int = 1, deployment: str = "hello"
) -> CreateOrder:
    key = InstanceKey(deployment, "web", index)
    return CreateOrder(
        name=machine_name(key, incarnation),
        token=f"{key}.{incarnation}",
        spec=spec,
        tags=Tags("ours", key, incarnation, "digest", "f" * 40),
        authorized_key="ssh-ed25519 AAAA",
    )


def batch(*indexes: int, spec: MachineSpec = SPEC) -> list[CreateOrder]:
    return batched([order(index, spec) for index in indexes], {})


async def make(gateway: Gateway, orders: Sequence[CreateOrder]) -> list[Machine]:
    answers = await gateway.create(orders)
    made = [answer for answer in answers if isinstance(answer, Machine)]
    assert len(made) == len(orders), answers
    return made


async def refusal(gateway: Gateway, spec: MachineSpec = SPEC) -> Exception:
    [answer] = await gateway.create(batch(1, spec=spec))
    assert isinstance(answer, HeadwaterError)
    return answer


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
