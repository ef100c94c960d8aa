"""How often the clouds are listed while machines boot, on a clock that jumps."""

import asyncio
from dataclasses import replace

from fakes.builders import deployment, node
from fakes.cloud import FakeClouds
from fakes.looptime import run
from fakes.site import Site
from headwater.planning.events import ActionEnded
from headwater.topology.machines import CreateOrder, Machine, MachineState

BOOT = 5.0


class BootingClouds(FakeClouds):
    """Machines take their time; nobody tells when they are there."""

    def _make(self, order: CreateOrder) -> Machine:
        machine = replace(super()._make(order), state=MachineState.PENDING)
        self.put(machine)
        up = MachineState.RUNNING
        asyncio.get_running_loop().call_later(BOOT, lambda: self.become(machine.id, up))
        return machine


def test_a_booting_machine_is_seen_within_a_second_or_so_and_for_few_listings():
    site = Site({"two": [deployment(node("web", 2))]})
    site.clouds = clouds = BootingClouds()
    site.house = site._controller()

    async def scene() -> tuple[float, int]:
        now = asyncio.get_running_loop().time
        async with site.running() as house:
            await asyncio.sleep(7.0)  # in the middle of the rest between two listings
            revision = site.commit("two")
            while not house.told(ActionEnded):  # noqa: ASYNC110  # time jumps
                await asyncio.sleep(0.01)
            made, before = now(), clouds.listings["local"]
            async with asyncio.timeout(60):
                while not house.reconciler.statuses["shop"].is_ready:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
            took, listed = now() - made, clouds.listings["local"] - before
            await site.settled(revision)
            return took, listed

    took, listed = run(scene())
    assert BOOT <= took <= BOOT + 1.2
    assert listed <= 6
