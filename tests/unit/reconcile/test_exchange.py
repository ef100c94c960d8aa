"""Runtime parameters between the machines of a running system."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import NOON, desired, key, machine, node, record
from fakes.store import MemoryStore
from headwater.manifests.resolved import Literal, Reference
from headwater.manifests.values import LONGEST_VALUE
from headwater.planning.records import WorkState
from headwater.planning.status import DeploymentStatus, InstanceStatus, Phase
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.ledger import Ledger
from headwater.topology.desired import InstanceSpec
from headwater.topology.progress import Reply, Request, Verb

SYSTEM = desired(
    node("ce", outputs=["queue", "ready"]),
    node(
        "wn",
        2,
        inputs={
            "site": Literal("geneva"),
            "server": Reference("ce", 1, "queue"),
            "peers": Reference("wn", None, "slots"),
        },
        outputs=["slots"],
    ),
)
CE, WN1, WN2 = SYSTEM.instances.values()


class Talk:
    """An exchange with one machine per instance, named after it."""

    def __init__(self) -> None:
        self.ledger = Ledger(MemoryStore())
        self.exchange = Exchange(self.ledger, lambda: NOON)
        self.exchange.want(SYSTEM)
        self.machines: dict[str, Any] = {}
        for n, spec in enumerate((CE, WN1, WN2), start=1):
            self.join(spec, f"m{n}")

    def join(self, spec: InstanceSpec, id: str) -> None:
        there = machine(spec, id)
        self.machines[id] = there.id
        self.exchange.place(there)
        self.exchange.lead(spec.key, there.id)
        self.ledger.set_record(there.id, record(spec, WorkState.RUNNING))

    async def ask(self, id: str, verb: Verb, name: str = "", value: str = "", **rest: Any) -> Reply:
        return await self.exchange.ask(Request(self.machines[id], verb, name, value, **rest))

    async def get(self, id: str, name: str, **rest: Any) -> Reply:
        return await self.ask(id, Verb.GET, name, **rest)

    async def set(self, id: str, name: str, value: str) -> Reply:
        return await self.ask(id, Verb.SET, name, value)


@pytest.fixture
def talk() -> Talk:
    return Talk()


async def waiting(coroutine: Coroutine[None, None, Reply]) -> "asyncio.Task[Reply]":
    """A question that has been asked and is not answered yet."""
    task = asyncio.create_task(coroutine)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


class TestGet:
    async def test_a_value_that_is_set_is_told_at_once(self, talk):
        await talk.set("m1", "queue", "q")

        assert await talk.get("m2", "ce.queue") == Reply(0, "q")

    async def test_an_empty_value_is_set(self, talk):
        await talk.set("m1", "queue", "")

        assert await talk.get("m2", "ce.queue") == Reply(0, "")

    async def test_it_waits_until_the_value_is_set_and_wakes_at_once(self, talk):
        asked = await waiting(talk.get("m2", "ce.queue"))
        await talk.set("m1", "ready", "something else")
        await asyncio.sleep(0)
        still = asked.done()
        await talk.set("m1", "queue", "q")

        assert (still, await asyncio.wait_for(asked, 5)) == (False, Reply(0, "q"))

    async def test_two_machines_may_shake_hands(self, talk):
        async def shake(me: str, mine: str, yours: str) -> Any:
            await talk.set(me, mine, me)
            return (await talk.get(me, yours)).value

        both = asyncio.gather(shake("m1", "queue", "wn:slots"), shake("m2", "slots", "ce:queue"))

        assert list(await asyncio.wait_for(both, 5)) == ["m2", "m1"]

    async def test_without_waiting_an_unset_value_is_empty(self, talk):
        assert await talk.get("m2", "ce.queue", wait=False) == Reply(0, "")

    async def test_facts_are_known_from_boot(self, talk):
        assert (await talk.get("m2", "hostname")).value == "10.0.0.2"
        assert (await talk.get("m1", "wn.2:hostname")).value == "10.0.0.3"
        assert (await talk.get("m2", "instanceid")).value == "m2"
        assert (await talk.get("m3", "id")).value == "2"
        assert (await talk.get("m3", "nodename")).value == "wn.2"

    async def test_other_machines_are_told_the_address_that_they_can_reach(self, talk):
        forwarded = replace(machine(WN1, "m9"), address="127.0.0.1", inside="10.77.0.2")
        talk.exchange.place(forwarded)
        talk.exchange.lead(WN1.key, forwarded.id)

        assert (await talk.get("m1", "wn.hostname")).value == "10.77.0.2"

    async def test_an_address_that_comes_later_wakes_who_waits_for_it(self, talk):
        late = replace(machine(WN1, "m9"), address=None)
        talk.exchange.place(late)
        talk.exchange.lead(WN1.key, late.id)
        asked = await waiting(talk.get("m1", "wn.hostname"))
        talk.exchange.place(replace(late, address="10.0.0.9"))

        assert await asyncio.wait_for(asked, 5) == Reply(0, "10.0.0.9")

    async def test_counts_and_indexes_of_nodes_are_known(self, talk):
        assert (await talk.get("m1", "wn:multiplicity")).value == "2"
        assert (await talk.get("m1", "wn:ids")).value == "1,2"
        assert (await talk.get("m2", "ids")).value == "1,2"

    async def test_literals_and_references_are_read_by_the_name_of_the_input(self, talk):
        await talk.set("m1", "queue", "q")

        assert (await talk.get("m2", "site")).value == "geneva"
        assert (await talk.get("m2", "server")).value == "q"

    async def test_a_list_waits_for_its_last_item(self, talk):
        asked = await waiting(talk.get("m2", "peers"))
        await talk.set("m2", "slots", "4")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        half = asked.done()
        await talk.set("m3", "slots", "8")

        assert (half, await asyncio.wait_for(asked, 5)) == (False, Reply(0, "4\n8"))

    async def test_an_unknown_key_is_refused_with_a_suggestion(self, talk):
        reply = await talk.get("m2", "ce.queu")

        assert (reply.code, reply.error) == (7, "unknown key 'ce.queu'; did you mean 'queue'?")

    async def test_a_machine_of_nobody_is_refused(self, talk):
        talk.exchange.depart(talk.machines["m2"])

        assert (await talk.get("m2", "site")).code == 7

    async def test_who_waits_is_answered_when_the_deployment_goes(self, talk):
        asked = await waiting(talk.get("m2", "ce.queue"))
        talk.exchange.forget("shop")

        assert (await asyncio.wait_for(asked, 5)).code == 7

    async def test_who_gives_up_leaves_nothing_behind(self, talk):
        asked = await waiting(talk.get("m2", "ce.queue"))
        asked.cancel()
        await asyncio.wait([asked])

        assert talk.exchange.system("shop").waiters == {}

    async def test_states_are_those_of_the_status(self, talk):
        asked = await waiting(talk.get("m2", "ce:state"))
        row = InstanceStatus("ce.1", "ready")
        talk.exchange.show(DeploymentStatus("shop", Phase.EXECUTING, (), 3, 1, instances=(row,)))

        assert (await asyncio.wait_for(asked, 5)).value == "ready"
        assert (await talk.get("m2", "ss:state")).value == "Executing"


class TestSet:
    async def test_a_value_is_kept_with_its_time(self, talk):
        assert await talk.set("m1", "queue", "q") == Reply(0)
        assert talk.ledger.values[talk.machines["m1"]] == {"queue": ("q", NOON)}

    async def test_links_need_no_declaration(self, talk):
        assert (await talk.set("m1", "url.admin", "http://x")).code == 0
        assert (await talk.get("m2", "ce:url.admin")).value == "http://x"

    async def test_what_a_recipe_displays_is_its_statecustom(self, talk):
        await talk.ask("m1", Verb.DISPLAY, value="half way")

        assert (await talk.get("m2", "ce:statecustom")).value == "half way"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("wn.1:slots", "wn.1:slots is not ce.1's to set"),
            ("ss:state", "ss:state is not ce.1's to set"),
            ("wn:multiplicity", "wn:multiplicity is not ce.1's to set"),
            ("hostname", "hostname is not an output of ce: declare it in [spec.outputs]"),
            ("quue", "unknown key 'quue'; did you mean 'queue'?"),
        ],
    )
    async def test_what_is_not_an_own_output_is_refused(self, talk, name, said):
        reply = await talk.set("m1", name, "x")

        assert reply.code == 7
        assert said in reply.error

    async def test_a_machine_may_name_itself(self, talk):
        assert (await talk.set("m1", "ce.1:queue", "q")).code == 0

    async def test_a_value_has_64_kib_counted_in_bytes(self, talk):
        fits = await talk.set("m1", "queue", "a" * LONGEST_VALUE)
        bytes_count = await talk.set("m1", "queue", "é" * (LONGEST_VALUE // 2 + 1))

        assert (fits.code, bytes_count.code) == (0, 7)
        assert str(LONGEST_VALUE + 2) in bytes_count.error

    async def test_the_same_value_again_is_not_written_again(self, talk):
        await talk.set("m1", "queue", "q")
        before = talk.ledger.values[talk.machines["m1"]]
        await talk.set("m1", "queue", "q")

        assert talk.ledger.values[talk.machines["m1"]] is before


class TestAbort:
    async def test_who_waits_is_told_and_everything_ends_with_8(self, talk):
        asked = await waiting(talk.get("m2", "ce.queue"))
        talk.exchange.stop_waiting("shop", "ce.1: boom")

        assert await asyncio.wait_for(asked, 5) == Reply(8, error="the run is aborted: ce.1: boom")
        assert (await talk.get("m2", "site")).code == 8
        assert (await talk.set("m1", "queue", "q")).code == 8

    async def test_it_can_be_ignored(self, talk):
        talk.exchange.stop_waiting("shop", "boom")

        assert await talk.get("m2", "site", ignore_abort=True) == Reply(0, "geneva")
        assert await talk.get("m2", "ss:abort", ignore_abort=True) == Reply(0, "boom")

    async def test_it_can_be_taken_back(self, talk):
        talk.exchange.stop_waiting("shop", "boom")
        talk.exchange.stop_waiting("shop", "")

        assert (await talk.get("m2", "site")).code == 0
        assert await talk.get("m2", "ss:abort") == Reply(0, "")


class TestMachines:
    async def test_values_vanish_with_their_machine(self, talk):
        await talk.set("m1", "queue", "q")
        talk.exchange.depart(talk.machines["m1"])
        talk.ledger.forget_machine(talk.machines["m1"])

        asked = await waiting(talk.get("m2", "ce.queue"))
        talk.join(CE, "m8")
        await talk.set("m8", "queue", "again")

        assert await asyncio.wait_for(asked, 5) == Reply(0, "again")

    async def test_the_machine_that_speaks_for_an_instance_is_the_one_that_is_read(self, talk):
        await talk.set("m1", "queue", "old")
        new = machine(CE, "m8")
        talk.machines["m8"] = new.id
        talk.exchange.place(new)
        await talk.set("m8", "queue", "new")
        before = (await talk.get("m2", "ce.queue")).value
        own = (await talk.get("m8", "queue")).value
        switched = talk.exchange.lead(CE.key, new.id)

        assert (before, own, switched) == ("old", "new", True)
        assert (await talk.get("m2", "ce.queue")).value == "new"
        assert talk.exchange.lead(CE.key, new.id) is False

    async def test_a_switch_wakes_who_waits_for_what_the_new_one_has_set(self, talk):
        new = machine(CE, "m8")
        talk.machines["m8"] = new.id
        talk.exchange.place(new)
        await talk.set("m8", "queue", "new")
        asked = await waiting(talk.get("m2", "ce.queue"))
        talk.exchange.lead(CE.key, new.id)

        assert await asyncio.wait_for(asked, 5) == Reply(0, "new")

    async def test_a_departed_stand_in_leaves_the_lead_alone(self, talk):
        new = machine(CE, "m8")
        talk.exchange.place(new)
        talk.exchange.depart(new.id)

        assert talk.exchange.system("shop").leads[CE.key] == talk.machines["m1"]


class TestInputs:
    async def test_what_a_recipe_was_told_of_its_referenced_inputs_is_noted(self, talk):
        await talk.set("m1", "queue", "q")
        await talk.get("m2", "server")
        await talk.get("m2", "site")
        await talk.get("m2", "ce.queue")

        assert talk.ledger.records[talk.machines["m2"]].inputs == {"server": "q"}

    async def test_what_is_told_after_the_recipes_have_ended_is_not_noted(self, talk):
        await talk.set("m1", "queue", "q")
        talk.ledger.set_record(talk.machines["m2"], record(WN1))
        await talk.get("m2", "server")

        assert talk.ledger.records[talk.machines["m2"]].inputs == {}

    async def test_present_inputs_are_those_that_are_known(self, talk):
        before = talk.exchange.inputs("shop")
        await talk.set("m1", "queue", "q")

        assert before == {}
        assert talk.exchange.inputs("shop") == {
            key("wn.1"): {"server": "q"},
            key("wn.2"): {"server": "q"},
        }
        assert talk.exchange.inputs_of(key("wn.1")) == {"server": "q"}

    async def test_a_new_wish_is_followed_by_who_waits(self, talk):
        asked = await waiting(talk.get("m2", "server"))
        fixed = desired(
            node("ce", outputs=["queue"]),
            node("wn", 2, inputs={"server": Literal("fixed")}, outputs=["slots"]),
        )
        talk.exchange.want(fixed)

        assert await asyncio.wait_for(asked, 5) == Reply(0, "fixed")
