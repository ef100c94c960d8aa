"""`kill -9` at every step that the controller journals; the next controller finishes the work.

The steps are those that a first, undisturbed change takes: whatever the code writes is a step.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pygit2
import pytest

from e2e.program import DEADLINE, NOTES, Program
from e2e.program import program as started_on
from e2e.systems import nothing, site, system
from headwater.store.sqlite import SqliteStore
from local_cloud import wait_until

LAUNCHER = str(Path(__file__).with_name("killing.py"))
RECIPE = """#!/bin/sh -e
headwater-set greeting "{edition} $HEADWATER_INSTANCE"
echo "$HOME {edition}" >>{runs}
"""
CHUNKS = 2
LEARNT = 3
"""The edition whose steps are those of all that follow: the first ones come from elsewhere."""
KILLS = ("before", "after")
APART = " apart"
TRIES = 3
"""Some steps are not taken every time: what is said twice in a moment is written once."""
MET = 0.9
"""The part of the steps that must have been met within so many tries."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a commit asks for."""

    replicas: int = 2
    edition: int = 1
    """Of the recipe: another one is run again."""
    port: int = 8000
    """That is open: another one replaces the machines."""

    def files(self, runs: Path) -> dict[str, str | None]:
        if not self.replicas:
            return {"box/deploy.sh": None, "box/system.toml": None}
        component = {"outputs": {"greeting": {}}, "network": {"open": [f"{self.port}/tcp"]}}
        recipe = RECIPE.format(edition=self.edition, runs=runs)
        update = {"maxUnavailable": "100%"}  # all at once: it saves time, and is no other step
        return {**system(recipe, replicas=self.replicas, component=component, update=update)}


class Victim:
    """A program that is killed on its way from one wish to the next, and what must hold then."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.runs = folder / "runs"
        self.runs.touch()
        self.wish = Wish(replicas=0)
        self._machines: dict[str, str] = {}
        self._folder = folder
        self._launcher = subprocess.Popen(
            [sys.executable, LAUNCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        program.repository.commit(site(program.level) | nothing())
        self.finish()

    def want(self, wish: Wish) -> None:
        kept = (wish.replicas, wish.port) if wish.port == self.wish.port else (0, wish.port)
        self._machines = {n: id for n, id in self._machines.items() if _index(n) <= kept[0]}
        files = wish.files(self.runs) if wish.replicas or self.wish.replicas else {}
        self.wish = wish
        self.program.repository.commit(files, "--allow-empty")

    def run(self, step: str = "", fault: str = "") -> int:
        """The controller, to its end; its exit code."""
        (self._folder / "steps").write_text("")
        return self._launch(*self._verb, step=step, fault=fault)

    def finish(self) -> None:
        """The controller once more, undisturbed."""
        code = self._launch(*self._verb)
        assert code == 0, self.told

    @property
    def _verb(self) -> tuple[str, ...]:
        return "run", *self.program._flags(), "--until-ready", "--timeout", f"{DEADLINE}s"

    def _launch(self, *arguments: str, **fault: str) -> int:
        order = {
            "arguments": arguments,
            "environment": self.program.environment,
            "folder": str(self._folder),
            **fault,
        }
        sender, answers = self._launcher.stdin, self._launcher.stdout
        assert sender is not None
        assert answers is not None
        sender.write(json.dumps(order) + "\n")
        sender.flush()
        if not select.select([answers], [], [], 2 * DEADLINE)[0]:
            os.killpg(self._launcher.pid, signal.SIGKILL)
            pytest.fail(f"the program hangs: {arguments} {fault}\n{self.told}")
        return int(answers.readline())

    @property
    def steps(self) -> list[str]:
        """Those that the last run has taken."""
        return (self._folder / "steps").read_text().splitlines()

    @property
    def told(self) -> str:
        """The log of the last run."""
        return (self._folder / "err").read_text()

    def close(self) -> None:
        self._launcher.communicate()

    def check(self) -> None:
        """Exactly the wanted machines, each contextualised once, and all that is said of it."""
        machines = self._made()
        assert sorted(machines) == [f"box-one-{n}" for n in range(1, self.wish.replicas + 1)]
        assert self._machines.items() <= machines.items()
        self._machines = machines
        ran = Counter(self.runs.read_text().splitlines())
        assert set(ran.values()) <= {1}, ran
        homes = {self.program.layout.home(id) for id in machines.values()}
        assert {f"{home} {self.wish.edition}" for home in homes} <= ran.keys()
        self._check_journal(set(machines.values()))
        self._check_answers()

    def _made(self) -> dict[str, str]:
        """Whatever the cloud has on this host, by name: cheaper than asking it."""
        layout = self.program.layout
        records = [json.loads(layout.record(id).read_text()) for id in layout.ids()]
        return {record["name"].partition("-r")[0]: record["id"] for record in records}

    def _check_journal(self, machines: set[str]) -> None:
        """Every machine and its parameter, and nothing that still waits for an answer."""
        documents = self._documents()
        assert machines <= _machines_in(documents)
        told = [json.loads(documents[f"values/local:{id}"])["greeting"][0] for id in machines]
        numbers = range(1, self.wish.replicas + 1)
        assert sorted(told) == [f"{self.wish.edition} one.{n}" for n in numbers]
        assert not [key for key in documents if key.startswith("intents/")]
        assert ("run/box" in documents) == bool(machines)

    def check_end(self) -> None:
        """A controller that goes on forgets what is gone: it needs two listings to be sure."""
        wanted = set(self._machines.values())
        assert self.program.machines().keys() == wanted
        self.program.start()
        wait_until(lambda: _machines_in(self._documents()) == wanted, "the journal is clean")
        assert self.program.stop() == 0

    def _documents(self) -> dict[str, str]:
        store = SqliteStore(self.program.state)
        try:
            return store.load()
        finally:
            store.close()

    def _check_answers(self) -> None:
        """One success and no failure, for the revision and for the deployment that it changed."""
        revision = self.program.repository.head
        for context in ("headwater", "headwater/box"):
            said = [line.partition(" ")[0] for line in self._history(revision, context)]
            assert said[-1:] == ["success"], (context, said)
            assert "success" not in said[:-1], (context, said)
            assert "failure" not in said, (context, said)

    def _history(self, revision: str, context: str) -> list[str]:
        """All that was said there, oldest first, repetitions left out."""
        said: list[str] = []
        repository = pygit2.Repository(str(self.program.repository.path))
        for change in repository.walk(repository.references[NOTES].target):
            note = next(_blobs(change.tree, revision), None)
            if note is None:
                break
            lines = (line.partition(": ") for line in note.data.decode().splitlines())
            line = {name: words for name, _, words in lines}.get(context, "")
            if said[-1:] != [line]:
                said.append(line)
        return [line for line in reversed(said) if line]


def _machines_in(documents: Iterable[str]) -> set[str]:
    return {key.partition("/local:")[2] for key in documents if "/local:" in key}


def _index(name: str) -> int:
    return int(name.rpartition("-")[2])


def _blobs(tree: pygit2.Tree, name: str) -> Iterator[pygit2.Blob]:
    """Notes lie in one folder, or spread over many by the first digits of their names."""
    for entry in tree:
        if isinstance(entry, pygit2.Blob) and entry.name == name:
            yield entry
        elif isinstance(entry, pygit2.Tree) and name.startswith(entry.name or "-"):
            yield from _blobs(entry, name.removeprefix(entry.name or ""))


class Leg:
    """One change of a scenario, made again and again until it was disturbed at each of its steps.

    The first times it is left in peace, and its steps are learnt.
    """

    def __init__(self, wish: Callable[[int], Wish], chunk: int, *, kills: bool = True) -> None:
        self.wish = wish
        self.missed: list[str] = []
        self.happened = 0
        self._chunk = chunk
        self._todo: list[Disturbance] | None = None if kills else []
        self._tries: Counter[Disturbance] = Counter()
        self._last: Disturbance | None = None

    @property
    def is_over(self) -> bool:
        return self._todo == []

    def go(self, victim: Victim, edition: int) -> None:
        victim.want(self.wish(edition))
        if not self._todo:
            assert victim.run(step="", fault="") == 0, victim.told
            if self._todo is None and edition == LEARNT:
                self._todo = [d for d in _disturbances(victim.steps) if self._is_ours(d)]
        else:
            self._disturb(victim, self._todo)
        try:
            victim.check()
        except AssertionError as error:
            error.add_note(f"after {self._last}")
            raise

    def _disturb(self, victim: Victim, todo: "list[Disturbance]") -> None:
        self._last = disturbance = todo[0]
        code = victim.run(*disturbance)
        is_kill = disturbance.fault in KILLS
        happened = code == -signal.SIGKILL if is_kill else disturbance.fault in victim.steps
        assert code == 0 or (happened and is_kill), (disturbance, victim.told)
        if is_kill:
            victim.finish()
        self.happened += happened
        self._tries[disturbance] += 1
        if happened or self._tries[disturbance] == TRIES:
            del todo[0]
        if not happened and self._tries[disturbance] == TRIES:
            self.missed.append(f"{disturbance.fault} {disturbance.step}")

    def _is_ours(self, disturbance: "Disturbance") -> bool:
        return zlib.crc32(repr(disturbance).encode()) % CHUNKS == self._chunk


class Disturbance(NamedTuple):
    step: str
    fault: str


def _disturbances(steps: list[str]) -> Iterator[Disturbance]:
    """A kill after each step, and before it where that is another moment; all else once."""
    for line in steps:
        step = line.removesuffix(APART)
        if step != line:
            yield Disturbance(step, "before")
        yield Disturbance(step, "after")
    for fault in ("host", "agents"):  # at the first of the later steps at which there are any
        yield Disturbance(steps[len(steps) // 3].removesuffix(APART), fault)


def _scenario(name: str, chunk: int) -> list[Leg]:
    """Legs that lead in a circle."""
    match name:
        case "create and remove":
            return [Leg(lambda n: Wish(edition=n), chunk), Leg(lambda _: Wish(replicas=0), chunk)]
        case "scale down":
            up = Leg(lambda _: Wish(), chunk, kills=False)
            return [up, Leg(lambda _: Wish(replicas=1), chunk)]
        case "contextualise":
            return [Leg(lambda n: Wish(edition=n), chunk)]
        case _:
            return [Leg(lambda n: Wish(replicas=1, port=8000 + n), chunk)]


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", ["create and remove", "scale down", "contextualise", "replace"])
def test_a_controller_killed_at_any_step_loses_and_doubles_nothing(
    name: str, chunk: int, tmp_path: Path, record_property: Callable[[str, object], None]
):
    began = time.monotonic()
    with started_on(tmp_path, "process") as program, victim_of(program, tmp_path) as victim:
        legs = _scenario(name, chunk)
        victim.want(legs[-1].wish(1))
        victim.finish()
        for edition in count(2):
            for leg in legs:
                leg.go(victim, edition)
            if all(leg.is_over for leg in legs):
                break
        victim.check_end()
    missed = [step for leg in legs for step in leg.missed]
    happened = sum(leg.happened for leg in legs)
    record_property(
        "figure", f"{name}: {happened} kills, {time.monotonic() - began:.0f} s {missed}"
    )
    assert happened >= MET * (happened + len(missed)), missed


@contextmanager
def victim_of(program: Program, folder: Path) -> Iterator[Victim]:
    victim = Victim(program, folder)
    try:
        yield victim
    finally:
        victim.close()
