"""Neither side of the wire believes the other: garbage ends a line, and nothing else."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.builders import deployment, key, node
from fakes.house import House
from faults.fuzzing import Fuzz, fuzzed, peak
from harness.agent_line import Machine, eventually, is_alive, machine_in
from headwater.errors import HeadwaterError
from headwater.reconcile.executor import context
from headwater.reconcile.ledger import Ledger
from headwater.remote.bootstrap import MARK, Step
from headwater.remote.bundle import bundle
from headwater.remote.keys import LoginKey, login_key
from headwater.remote.line import MOST_REQUESTS, Line, Terms
from headwater.remote.session import AgentSession
from headwater.topology.context import Target
from headwater_agent import protocol
from headwater_agent.frames import SOCKET, pack
from headwater_agent.protocol import LINE_LIMIT

Recorder = Callable[[str, object], None]

numbers = st.integers() | st.sampled_from([-1, 0, 2**31, 2**63, 10**30])
texts = st.text(max_size=20) | st.sampled_from(["c1", "\0", "\ud800", "x" * 100_000, "get", "set"])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
FROM_AGENT: list[dict[str, object]] = [
    protocol.hello("0" * 64),
    protocol.started("c1", 0, "deploy"),
    protocol.output("c1", 0, b"text"),
    protocol.ended(
        context="c1", succeeded=True, step="x", exit_code=0, reason="", words="", seconds=0.1
    ),
    protocol.report("c1", 0, b"text"),
    protocol.task_ended(
        task="c1", succeeded=True, step="x", exit_code=0, reason="", words="", seconds=0.1
    ),
    protocol.request(id=1, verb="set", key="a", value="b", wait=True, ignore_abort=False),
    protocol.cancel(1),
    protocol.blocked([1]),
]
FROM_CONTROLLER: list[dict[str, object]] = [
    protocol.context(
        id="c1",
        steps=[protocol.step("deploy", "web", "#!/bin/sh\ntrue\n", [])],
        environment=[["A", "b"]],
        timeout=5.0,
        authorized_keys=[],
        have=0,
    ),
    protocol.task(
        id="c1",
        steps=[protocol.step("report", "web", "#!/bin/sh\ntrue\n", [])],
        environment=[["A", "b"]],
        timeout=5.0,
        collects=True,
        have=0,
        have_report=0,
    ),
    protocol.heard("c1"),
    protocol.hosts(["127.0.0.1\tone"]),
    protocol.stop("why"),
    protocol.reply(1, 0, "value", ""),
]


@st.composite
def altered(draw: st.DrawFn, messages: list[dict[str, object]]) -> dict[str, object]:
    """A message with fields that are missing, new, or of any other value."""
    message = dict(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from([*message, "kind", "new"]))
        if draw(st.booleans()):
            message[field] = draw(json_values)
        else:
            message.pop(field, None)
    return message


@st.composite
def streams(draw: st.DrawFn, messages: list[dict[str, object]]) -> bytes:
    """Messages, some of them damaged, and garbage between them."""
    pieces = draw(
        st.lists(altered(messages).map(_line) | st.binary(max_size=40), min_size=1, max_size=6)
    )
    if draw(st.booleans()):
        place = draw(st.integers(0, len(pieces) - 1))
        cut = draw(st.integers(0, len(pieces[place])))
        pieces[place] = pieces[place][:cut] + draw(st.binary(max_size=3)) + pieces[place][cut:]
    return b"".join(pieces)


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


# The controller's side.


class Hearing:
    """A session with an agent that may say anything, and all that listens to it."""

    def __init__(self, house: House, login: LoginKey) -> None:
        self.house = house
        ((machine, record),) = house.ledger.records.items()
        desired = house.reconciler.wanted.desired("shop")
        assert desired is not None
        spec = desired.instances[record.key]
        listed = house.machine(record.key)
        self.line = Line(
            Target(machine, listed.key, "127.0.0.1", 22, "root", str(listed.host_key)),
            context(spec, record, desired.nodes),
            Terms(login, bundle(), house.conversation, asyncio.Semaphore(1), 1.0),
        )
        self.session = AgentSession(bundle(), self.line)

    def hear(self, received: bytes) -> None:
        self.session.data_received(received, None)

    async def end(self) -> HeadwaterError | None:
        """Why the session is over; None where it goes on."""
        for _ in range(3):
            await asyncio.sleep(0)
        await self.line._cancel_requests()
        try:
            async with asyncio.timeout(0):
                await self.session.over()
        except HeadwaterError as error:
            return error
        except TimeoutError:
            pass
        return None


async def hearing(login: LoginKey) -> Hearing:
    """One machine has been asked to run its recipes, and greets."""
    house = House()
    house.machines.silent.add(key())
    await house.want(deployment(node("web", outputs=["port"])))
    await house.rest()
    made = Hearing(house, login)
    made.hear(MARK + Step.HAVE.value + b"\n" + protocol.encode(protocol.hello("0" * 64)))
    return made


@pytest.fixture
def login(tmp_path: Path) -> LoginKey:
    return login_key(tmp_path / "keys")


def test_whatever_an_agent_says_the_controller_goes_on(login, record_property: Recorder):
    fuzz = Fuzz()

    async def hear(stream: bytes) -> None:
        told = await hearing(login)
        (record,) = told.house.ledger.records.values()
        told.hear(stream.replace(b"c1", record.context.encode()))
        await told.end()
        again = Ledger(told.house.store)
        assert again.records == told.house.ledger.records
        assert again.values == told.house.ledger.values

    @fuzzed(400)
    @given(streams(FROM_AGENT))
    def one(stream: bytes) -> None:
        with fuzz.example():
            asyncio.run(hear(stream))

    one()
    record_property("figure", fuzz.told("an agent's messages"))


def test_whatever_a_login_prints_ends_the_session_or_nothing(login, record_property: Recorder):
    fuzz = Fuzz()

    async def hear(pieces: list[bytes]) -> None:
        told = await hearing(login)
        told.session = AgentSession(bundle(), told.line)
        for piece in pieces:
            told.hear(piece)
        await told.end()

    marks = st.sampled_from([MARK, b"HEADWATER HAVE\n", b"HEADWATER REFUSED no\n", b"{", b"\n"])

    @fuzzed(300)
    @given(st.lists(st.binary(max_size=50) | marks | altered(FROM_AGENT).map(_line), max_size=8))
    def one(pieces: list[bytes]) -> None:
        with fuzz.example():
            asyncio.run(hear(pieces))

    one()
    record_property("figure", fuzz.told("what logins print"))


@pytest.mark.parametrize("flood", [b"x" * 65536, b'{"kind":"output","context":"' * 3000])
async def test_a_line_without_end_is_not_kept(login, flood):
    told = await hearing(login)

    def pour() -> None:
        for _ in range(200):
            told.hear(flood)

    assert peak(pour) < 8 * LINE_LIMIT
    assert "longer than" in str(await told.end())


async def test_questions_without_number_are_not_kept(login):
    told = await hearing(login)

    def ask(number: int) -> dict[str, object]:
        return protocol.request(
            id=number, verb="get", key="port", value="", wait=True, ignore_abort=False
        )

    for number in range(100_000):
        told.hear(protocol.encode(ask(number)))

    assert len(told.line._requests) <= MOST_REQUESTS
    assert "questions" in str(await told.end())


# The agent's side.


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path / "machine") as machine:
        yield machine


def works(machine: Machine, daemon: int, id: str) -> None:
    """The same agent as before runs what it is given."""
    line = machine.attach()
    assert machine.daemon == daemon
    line.run(id, "#!/bin/sh\necho works")
    assert line.ended(id)["succeeded"]


@contextmanager
def connected(machine: Machine) -> Iterator[socket.socket]:
    folder = os.open(machine.home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            yield connection
    finally:
        os.close(folder)


def open_files(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def test_whatever_comes_to_its_socket_the_agent_goes_on(machine, record_property: Recorder):
    fuzz = Fuzz()
    machine.attach().run("c0", "#!/bin/sh\ntrue")
    daemon = machine.daemon
    before = open_files(daemon)
    fields = st.lists(st.binary(max_size=8) | st.sampled_from([b"verb", b"attach", b"get"]))
    frames = fields.map(lambda every: pack(*every))
    sizes = st.sampled_from([b"-1\n", b"99999999\n", b"\n", b"1e3\n", b"5\nab", b"\xff" * 300])

    @fuzzed(400)
    @given(
        st.lists(st.binary(max_size=60) | frames | sizes, max_size=4), st.sampled_from([0, 1, 3])
    )
    def one(pieces: list[bytes], passed: int) -> None:
        with fuzz.example(), connected(machine) as connection, suppress(OSError):
            if passed:
                socket.send_fds(connection, [b"".join(pieces) or b"x"], [0] * passed)
            for piece in pieces:
                connection.sendall(piece)
        assert is_alive(daemon), (machine.home / "agent.log").read_text()

    one()
    eventually(lambda: open_files(daemon) <= before)
    works(machine, daemon, "c1")
    record_property("figure", fuzz.told("the agent's socket"))


def test_whatever_a_controller_says_the_agent_goes_on(machine, record_property: Recorder):
    fuzz = Fuzz()
    machine.attach().run("c0", "#!/bin/sh\ntrue")
    daemon = machine.daemon

    @fuzzed(40)
    @given(st.lists(streams(FROM_CONTROLLER), min_size=1, max_size=10))
    def one(pieces: list[bytes]) -> None:
        with fuzz.example():
            line = machine.attach()
            with suppress(BrokenPipeError):
                for piece in pieces:
                    line._write(piece)
            with suppress(BrokenPipeError):
                line.close()
            assert machine.daemon == daemon

    one()
    works(machine, daemon, "c1")
    record_property("figure", fuzz.told("a controller's messages"))
