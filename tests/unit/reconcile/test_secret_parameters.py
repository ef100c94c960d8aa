"""Secrets and types between machines: who reads them, and where they are never seen."""

import json
from dataclasses import replace

import pytest

from fakes.builders import deployment, desired, key, node, situation
from fakes.house import House
from fakes.machines import Guest
from fakes.secrets import FakeSecrets
from headwater.manifests.resolved import Encrypted, Literal, Reference, ResolvedNode, Secret
from headwater.manifests.values import ParameterType
from headwater.planning.decision import decide
from headwater.planning.events import StepEnded
from headwater.reconcile.views import parameters
from headwater.topology.desired import expand
from headwater.topology.progress import Output, Reply, Verb

CANARY = "hunter2hunter2"
SECRET = ParameterType.SECRET


def typed(node: ResolvedNode, **types: ParameterType) -> ResolvedNode:
    return replace(node, types=types)


def cluster(**changed: ResolvedNode):
    """`ce` makes a token; `wn` reads it and a secret of the controller's; `other` reads nothing."""
    nodes = {
        "ce": typed(
            node("ce", outputs=["token", "slots", "up", "names"]),
            token=SECRET,
            slots=ParameterType.INTEGER,
            up=ParameterType.BOOLEAN,
            names=ParameterType.LIST,
        ),
        "wn": typed(
            node(
                "wn",
                2,
                inputs={"key": Reference("ce", 1, "token"), "munge": Secret("gpod/munge")},
                outputs=["note"],
            ),
            key=SECRET,
            munge=SECRET,
        ),
        "other": node("other", inputs={"site": Literal("geneva")}),
    }
    return deployment(*{**nodes, **changed}.values())


@pytest.fixture
async def house() -> House:
    """The cluster runs; nobody has set anything yet, and the recipes of `wn` go on."""
    there = House(secrets=FakeSecrets(**{"gpod/munge": CANARY}))
    there.machines.held |= {key("wn.1"), key("wn.2"), key("ce.1"), key("other.1")}
    await there.want(cluster())
    await there.rest()
    return there


def guest(house: House, instance: str) -> Guest:
    return Guest(key(instance), house.machine(key(instance)).id, house.conversation)


def everything(house: House) -> str:
    """All that the controller has written down, or shows."""
    shown = parameters("shop", house.exchange, house.ledger)
    outputs = {str(k): v for k, v in house.store.disk.outputs.items()}
    records = house.ledger.records
    documents = house.store.disk.documents
    status = house.reconciler.statuses
    contexts = house.machines.lines
    return repr([shown, outputs, records, documents, status, house.events, contexts])


def view(house: House, instance: str, name: str):
    every = parameters("shop", house.exchange, house.ledger)
    return next(v for v in every if (v.instance, v.name) == (instance, name))


class TestSecretsOfTheController:
    async def test_the_machine_that_is_bound_to_it_reads_it(self, house):
        assert await guest(house, "wn.2").get("munge") == CANARY
        assert CANARY not in everything(house)

    @pytest.mark.parametrize("asked", ["wn:munge", "wn.2:munge", "wn.munge"])
    async def test_nobody_else_reads_it_by_name(self, house, asked):
        reply = await guest(house, "other.1").ask(Verb.GET, asked)

        assert reply.code == 7
        assert "is a secret of wn." in reply.error

    async def test_people_see_that_it_is_there(self, house):
        shown = view(house, "wn.1", "munge")

        assert (shown.value, shown.type, shown.writer) == ("(secret)", "secret", "manifest")

    async def test_one_that_is_missing_stalls_its_deployment_alone(self):
        house = House()
        await house.want(cluster(), deployment(node("web"), name="good"))
        await house.rest()
        await house.rest("good")

        stalled = house.status().condition("Stalled")
        assert stalled is not None
        assert (stalled.status, stalled.reason) == (True, "SecretUnavailable")
        assert stalled.message == "secret 'gpod/munge' is nowhere: write it"
        assert house.instances() == ["web.1#1"]
        assert house.status("good").is_ready

    async def test_one_that_is_written_at_last_is_noticed(self):
        house = House()
        await house.want(cluster())
        await house.rest()
        supply = house.reconciler.survey.supply
        wanted = house.reconciler.survey.desired("shop")
        assert wanted is not None
        before = supply.changed([wanted])
        house.secrets.own["gpod/munge"] = CANARY

        assert (before, supply.changed([wanted])) == (set(), {"shop"})
        await house.rest()
        assert house.status().is_ready
        assert supply.changed([wanted]) == set()

    async def test_a_renewed_one_runs_its_readers_again_and_no_others(self, house):
        await guest(house, "ce.1").set("token", "t")
        for instance in ("wn.1", "wn.2", "ce.1", "other.1"):
            house.machines.release(key(instance))
        await house.rest()
        assert house.status().is_ready
        begun = len(house.machines.agents.begun)

        house.secrets.own["gpod/munge"] = "another secret"
        await house.rest()

        again = [str(who) for who, _ in house.machines.agents.begun[begun:]]
        assert sorted(again) == ["shop/wn.1", "shop/wn.2"]
        assert house.status().is_ready
        assert "another secret" not in everything(house)

    async def test_the_same_one_again_runs_nothing(self, house):
        for instance in ("wn.1", "wn.2", "ce.1", "other.1"):
            house.machines.release(key(instance))
        await house.rest()
        begun = len(house.machines.agents.begun)

        again = house.restarted()
        await again.want(cluster())
        await again.rest()

        assert len(again.machines.agents.begun) == begun


class TestSecretOutputs:
    async def test_who_refers_to_it_reads_it_and_it_lies_sealed(self, house):
        assert await guest(house, "ce.1").set("token", CANARY) == Reply(0, secret=True)

        assert await guest(house, "wn.1").get("key") == CANARY
        assert await guest(house, "wn.1").get("ce:token") == CANARY
        assert await guest(house, "ce.1").get("token") == CANARY
        assert CANARY not in everything(house)
        assert (view(house, "ce.1", "token").value, view(house, "wn.1", "key").value) == (
            "(secret)",
            "(secret)",
        )

    async def test_who_does_not_refer_to_it_is_refused(self, house):
        await guest(house, "ce.1").set("token", CANARY)
        reply = await guest(house, "other.1").ask(Verb.GET, "ce:token")

        assert reply.code == 7
        assert reply.error.startswith("ce:token is a secret of ce.1: an input that refers to it")

    async def test_it_survives_a_restart_and_is_still_hidden(self, house):
        await guest(house, "ce.1").set("token", CANARY)
        again = house.restarted()
        await again.want(cluster())
        await again.rest()
        machine = again.machine(key("ce.1")).id
        again.conversation.on_event(Output(machine, "c", 0, f"is {CANARY}\n".encode()))

        assert await guest(again, "wn.1").get("key") == CANARY
        assert again.store.disk.outputs[key("ce.1"), machine, "c"][1] == b"is ***\n"

    async def test_the_same_value_again_writes_nothing(self, house):
        await guest(house, "ce.1").set("token", CANARY)
        before = dict(house.store.disk.documents)
        await guest(house, "ce.1").set("token", CANARY)

        assert house.store.disk.documents == before

    async def test_what_another_key_sealed_counts_as_not_set(self, house):
        await guest(house, "ce.1").set("token", CANARY)
        for name, document in house.store.disk.documents.items():
            if name.startswith("values/"):
                values = json.loads(document)
                values["token"][0]["sealed"] = "gAAAAABf"
                house.store.disk.documents[name] = json.dumps(values)
        again = house.restarted()
        await again.want(cluster())
        await again.rest()

        assert view(again, "ce.1", "token").value is None

    async def test_a_value_from_before_it_was_declared_a_secret_is_hidden(self):
        house = House(secrets=FakeSecrets(**{"gpod/munge": "m" * 9}))
        house.machines.held.add(key("ce.1"))
        await house.want(cluster(ce=node("ce", outputs=["token"])))
        await house.rest()
        await guest(house, "ce.1").set("token", CANARY)
        await house.want(cluster(), revision="r2")
        await house.rest()

        assert view(house, "ce.1", "token").value == "(secret)"

    async def test_it_goes_with_its_machine(self, house):
        await guest(house, "ce.1").set("token", CANARY)
        before = view(house, "ce.1", "token").value
        lost = house.machine(key("ce.1")).id
        house.clouds.lose(lost)
        for _ in range(2):  # gone is what two listings lack
            await house.look()
            await house.rest()

        assert (before, view(house, "ce.1", "token").value) == ("(secret)", None)
        assert str(lost) not in " ".join(house.store.disk.documents)


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("slots", "+08", "8"),
            ("up", "True", "true"),
            ("names", "a\nb\n", "a\nb"),
            ("names", "", ""),
        ],
    )
    async def test_a_value_is_kept_in_its_one_form(self, house, name, text, value):
        assert await guest(house, "ce.1").set(name, text) == Reply(0)
        assert await guest(house, "ce.1").get(name) == value

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("slots", "many", "slots is an integer of 64 bits, and 'many' is not"),
            ("up", "", "up is true or false, and '' is neither"),
            ("names", "a\0b", "names is binary (it holds a NUL)"),
            ("token", CANARY + "\0", "token is binary (it holds a NUL)"),
            ("token", CANARY * 5000, "token has 70000 bytes; a value has at most 65536"),
            ("url.admin", f"http://x/?k={CANARY}", "url.admin would show a secret: declare"),
        ],
    )
    async def test_another_form_is_refused_and_says_why(self, house, name, text, words):
        reply = await guest(house, "ce.1").set(name, text)

        assert (reply.code, reply.value) == (7, "")
        assert reply.error.startswith(words)
        assert CANARY not in reply.error
        assert CANARY not in everything(house)

    async def test_people_see_the_types(self, house):
        shown = {v.name: v.type for v in parameters("shop", house.exchange, house.ledger)}

        assert shown == {
            "hostname": "string",
            "instanceId": "string",
            "site": "string",
            "note": "string",
            "slots": "integer",
            "up": "boolean",
            "names": "list",
            "token": "secret",
            "key": "secret",
            "munge": "secret",
        }


class TestWhatMachinesSay:
    async def test_a_failure_in_the_words_of_a_secret_is_masked_everywhere(self, house):
        house.machines.held.clear()
        house.machines.failing[key("wn.1")] = f"cannot log in with {CANARY}"
        house.machines._running.pop(house.machine(key("wn.1")).id)  # begun anew, it fails
        await house.rest()

        told = [e.words for e in house.told(StepEnded) if isinstance(e, StepEnded) and e.words]
        assert told == ["cannot log in with ***"]
        assert CANARY not in everything(house)

    async def test_an_abort_and_a_display_are_masked(self, house):
        there = guest(house, "wn.1")
        await there.ask(Verb.DISPLAY, value=f"using {CANARY}")
        await there.ask(Verb.ABORT, value=f"no {CANARY}")
        await house.rest()

        assert house.ledger.runs["shop"].abort == "wn.1: no ***"
        assert CANARY not in everything(house)


def test_a_secret_that_cannot_be_had_holds_every_action():
    waiting = replace(situation(desired(node("web"))), unavailable=("secret 'x' is nowhere",))

    plan = decide(waiting)

    assert (plan.actions, plan.held) == ((), ("secret 'x' is nowhere",))


def test_a_changed_file_begins_a_new_run_and_runs_nothing_again():
    """Whether the secret is another one is seen when it is read."""
    web = typed(node("web", inputs={"key": Secret("k")}), key=SECRET)
    old, new = (
        replace(deployment(web), encrypted={"k": Encrypted("k.age", oid, "")}) for oid in "12"
    )
    before, after = expand(old), expand(new)

    assert before.digest != after.digest
    assert [s.work.digest for s in before.instances.values()] == [
        s.work.digest for s in after.instances.values()
    ]
    assert after.secrets == {"k": Encrypted("k.age", "2", "")}
