"""Output of recipes as it is kept: masked, and taken up again where it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.builders import key
from fakes.secrets import SEAL
from fakes.store import MemoryStore
from headwater.reconcile.ports import Store
from headwater.reconcile.secrecy import Secrecy
from headwater.reconcile.transcript import Transcript
from headwater.store.sqlite import SqliteStore
from headwater.topology.keys import MachineId
from headwater.topology.progress import Ended, Output, Request, TaskEnded, Verb
from headwater.topology.secrets import SecretValue

CANARY = "hunter2hunter2"
WEB, M1 = key(), MachineId("local", "m1")


def secrecy(*secrets: str) -> Secrecy:
    made = Secrecy(SEAL)
    made.provide("shop", {str(n): SecretValue(secret) for n, secret in enumerate(secrets)})
    return made


class Agent:
    """Tells what was printed, from where the controller says that it has it."""

    def __init__(self, store: Store, printed: bytes, *secrets: str) -> None:
        self.store = store
        self.printed = printed
        self.secrets = secrets or (CANARY,)
        self.connect()

    def connect(self, *, restarted: bool = True) -> None:
        if restarted:
            self.transcript = Transcript(self.store, secrecy(*self.secrets))
        self.told = self.store.output_size(WEB, M1, "c")

    def tell(self, size: int, *, repeat: int = 0) -> None:
        start = max(0, self.told - repeat)
        piece = self.printed[start : self.told + size]
        self.told = start + len(piece)
        self.transcript.append(WEB, Output(M1, "c", start, piece))

    def end(self) -> None:
        self.tell(len(self.printed))
        self.transcript.cleaned(WEB, Ended(M1, "c", succeeded=True))


def kept(store: Store) -> bytes:
    if isinstance(store, MemoryStore):
        return store.disk.outputs[WEB, M1, "c"][1]
    assert isinstance(store, SqliteStore)
    (file,) = store.outputs.directory.rglob("*.log")
    return file.read_bytes()


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = SqliteStore(tmp_path / "state")
    yield made
    made.close()


def test_a_secret_that_straddles_two_pieces_is_masked(store):
    agent = Agent(store, f"it is {CANARY}!\n".encode())
    agent.tell(10)
    before = kept(store)
    agent.end()

    assert before == b"it is "
    assert kept(store) == b"it is ***!\n"
    assert store.output_size(WEB, M1, "c") == len(agent.printed)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_line_that_breaks_in_the_middle_of_a_secret_takes_nothing_away(store, restarted):
    agent = Agent(store, f"it is {CANARY} and {CANARY}!\n".encode())
    agent.tell(10)
    agent.connect(restarted=restarted)
    agent.tell(20)
    agent.connect(restarted=restarted)
    agent.end()

    assert kept(store) == b"it is *** and ***!\n"


def test_what_is_told_twice_is_kept_once(store):
    agent = Agent(store, f"it is {CANARY} and {CANARY}!\n".encode())
    agent.tell(25)
    agent.tell(5, repeat=20)
    agent.tell(5, repeat=30)
    agent.end()

    assert kept(store) == b"it is *** and ***!\n"


def test_what_only_began_as_a_secret_is_kept_at_the_end(store):
    agent = Agent(store, b"> hun")
    agent.end()

    assert kept(store) == b"> hun"


def test_most_of_a_secret_at_the_end_is_masked(store):
    agent = Agent(store, f"> {CANARY[:-1]}".encode())
    agent.end()

    assert kept(store) == b"> ***"


def test_a_gap_lets_what_waited_go(store):
    agent = Agent(store, b"")
    agent.transcript.append(WEB, Output(M1, "c", 0, b"it is hunt"))
    agent.transcript.append(WEB, Output(M1, "c", 100, b"er2hunter2"))

    assert kept(store).startswith(b"it is hunt")
    assert kept(store).endswith(b"er2")  # the rest may go on
    assert store.output_size(WEB, M1, "c") == 103


def test_without_secrets_pieces_are_kept_as_they_come():
    store = MemoryStore()
    transcript = Transcript(store, Secrecy(SEAL))
    transcript.append(WEB, Output(M1, "c", 0, b"hunter2"))

    assert kept(store) == b"hunter2"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["abcabcd", "abcd", "x", "ab", "hello"]), max_size=12),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.sampled_from("-rR")), max_size=12),
)
def test_whatever_breaks_and_repeats_the_same_is_kept(words, steps):
    """`r`: the line breaks; `R`: the controller is killed."""
    printed = "".join(words).encode() + b"."
    agent = Agent(MemoryStore(), printed, "abcabcd")
    for size, repeat, what in steps:
        if what != "-":
            agent.connect(restarted=what == "R")
        agent.tell(size, repeat=repeat)
    agent.end()
    plain = Agent(MemoryStore(), printed, "abcabcd")
    plain.end()

    assert b"abcabcd" not in kept(agent.store)
    assert b"".join(kept(agent.store).split(b"***")) == b"".join(kept(plain.store).split(b"***"))


class TestWords:
    def test_the_words_of_an_end_are_masked(self):
        transcript = Transcript(MemoryStore(), secrecy(CANARY))
        words = f"login with {CANARY} failed"

        for event in (
            Ended(M1, "c", succeeded=False, words=words),
            TaskEnded(M1, "t", succeeded=False, words=words),
        ):
            cleaned = transcript.cleaned(WEB, event)
            assert isinstance(cleaned, Ended | TaskEnded)
            assert cleaned.words == "login with *** failed"

    @pytest.mark.parametrize("verb", [Verb.ABORT, Verb.DISPLAY])
    def test_what_people_see_of_a_question_is_masked(self, verb):
        transcript = Transcript(MemoryStore(), secrecy(CANARY))
        asked = transcript.asked(WEB, Request(M1, verb, value=f"no {CANARY}"))

        assert asked.value == "no ***"

    def test_what_a_machine_sets_is_not(self):
        transcript = Transcript(MemoryStore(), secrecy(CANARY))
        request = Request(M1, Verb.SET, "token", CANARY)

        assert transcript.asked(WEB, request) is request


def test_a_writer_that_is_killed_between_output_and_account_tells_it_again(tmp_path):
    store = SqliteStore(tmp_path / "state")
    agent = Agent(store, f"{CANARY * 3} and {CANARY}\n".encode())
    agent.tell(3 * len(CANARY) + 1)
    (file,) = store.outputs.directory.rglob("*.log")
    with file.open("ab") as log:  # what comes next, without its account
        log.write(b"and ***")
    agent.connect()
    agent.end()

    assert kept(store) == b"*** and ***\n"
    store.close()
