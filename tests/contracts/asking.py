"""What the tests of one cloud ask of a gateway."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError
from headwater.manifests.resolved import ResolvedCloud
from headwater.topology.batches import batched
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import CreateOrder, Machine, MachineSpec, Tags, machine_name


@asynccontextmanager
async def opened(
    cloud: ResolvedCloud, directory: Path, installation: str = "ours"
) -> AsyncIterator[Gateway]:
    gateway = Gateway(installation, directory)
    await gateway.configure({cloud.name: cloud})
    try:
        yield gateway
    finally:
        await gateway.close()


async def make(gateway: Gateway, orders: Sequence[CreateOrder]) -> list[Machine]:
    answers = await gateway.create(orders)
    made = [answer for answer in answers if isinstance(answer, Machine)]
    assert len(made) == len(orders), answers
    return made


@dataclass(frozen=True)
class Orders:
    """Of machines that are like `usual` where nothing else is said."""

    usual: MachineSpec

    def order(
        self,
        index: int,
        spec: MachineSpec | None = None,
        *,
        incarnation: int = 1,
        deployment: str = "hello",
    ) -> CreateOrder:
        key = InstanceKey(deployment, "web", index)
        return CreateOrder(
            name=machine_name(key, incarnation),
            token=f"{key}.{incarnation}",
            spec=spec or self.usual,
            tags=Tags("ours", key, incarnation, "digest", "f" * 40),
            authorized_key="ssh-ed25519 AAAA",
        )

    def batch(self, *indexes: int, spec: MachineSpec | None = None) -> list[CreateOrder]:
        return batched([self.order(index, spec) for index in indexes], {})

    async def refusal(self, gateway: Gateway, spec: MachineSpec | None = None) -> Exception:
        [answer] = await gateway.create(self.batch(1, spec=spec))
        assert isinstance(answer, HeadwaterError)
        return answer
