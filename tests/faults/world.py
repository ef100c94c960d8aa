"""A whole controller between simulated clouds and machines, on a clock that jumps."""

import asyncio
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from libcloud.compute.types import NodeState

from fakes.answers import FakeAnswers
from fakes.builders import NOON
from fakes.house import House
from fakes.looptime import JumpingLoop
from fakes.source import FakeSource
from fakes.store import Disk
from faults.oracle import INSTALLATION, STRAY, Oracle, Wanted
from faults.simulated_cloud import SimulatedAccount, SimulatedNode, SimulatedThreads
from faults.simulated_ssh import Agent, SimulatedMachines
from faults.weather import Fault, Weather
from faults.wishes import BROKEN, GARBLED, Wish, Wishes, desired, digest_at, files, read
from headwater.cloud.gateway import Gateway
from headwater.cloud.tags import CLOUD, to_metadata
from headwater.errors import Refused, Transient
from headwater.manifests.resolved import ResolvedCloud
from headwater.planning.events import ActionEnded, CloudListed, Event
from headwater.planning.status import CommitState, CommitStatus
from headwater.reconcile import answering, loop
from headwater.reconcile.loop import ACCEPTED
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Tags

if TYPE_CHECKING:
    from fakes.cloud import FakeClouds
    from fakes.machines import FakeMachines

DETECTION = 30.0
"""Seconds until a line to a dead machine is noticed."""
QUIET = 5400.0
"""Seconds within which everything has come to rest after the last fault."""
REST = 150.0


class World:
    def __init__(self, seed: int) -> None:
        self.loop = JumpingLoop()
        self.weather = Weather(seed, self.loop.time)
        self.agents: dict[MachineId, Agent] = {}
        self.oracle = Oracle(self.agents, self.loop.time, self.weather.end)
        self.accounts = {
            "north": SimulatedAccount("north", self.weather, self.oracle, tokens=True),
            "south": SimulatedAccount("south", self.weather, self.oracle, tokens=False),
        }
        self.oracle.accounts = list(self.accounts.values())
        self.clouds = {
            name: ResolvedCloud(
                name, "ec2" if account.tokens else "openstack", options={"account": account}
            )
            for name, account in self.accounts.items()
        }
        self.answers = _Forge(self.weather)
        self.source = _Branch(self._accepted)
        self.disk = Disk()
        self._directory = TemporaryDirectory()
        self.wishes: dict[str, Wish | str] = {}
        self.forgiven: set[str] = set()
        """Revisions of before the store was lost: nobody knows what they were answered."""
        self.kills = 0
        self.failed = False
        """The last step found something wrong."""
        self._steps = 0
        self._committed: dict[str, dict[str, Wish | str]] = {}
        self._asked: dict[str, Wish] = {}
        self._rewound = False
        self._house: House | None = None
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._crashes = _Crashes()

    # People.

    def commit(self, wishes: Wishes) -> str:
        return self._publish(wishes, self.source.commit(files(wishes, len(self._committed))))

    def rewind(self, wishes: Wishes) -> str:
        """A force-push: the branch has another history now."""
        self._rewound = True
        return self._publish(wishes, self.source.rewind(files(wishes, len(self._committed))))

    def _publish(self, wishes: Wishes, revision: str) -> str:
        self.weather.tell(f"commit {revision[:8]} {wishes}")
        self.wishes = dict(wishes)
        self._committed[revision] = self.wishes
        return revision

    def approve(self) -> None:
        """A person says yes to everything that is held back."""
        house = self._house
        for status in list(house.reconciler.statuses.values()) if house else []:
            if house and (digest := re.search("approve ([0-9a-f]+)", status.blocked)):
                self.oracle.approved = True
                house.people.approve(digest[1])

    def retry(self) -> None:
        house = self._house
        for status in list(house.reconciler.statuses.values()) if house else []:
            if house and status.is_stalled and not status.blocked:
                try:
                    house.people.retry(status.name)
                except Refused:
                    continue

    # Fate.

    def die(self, number: int, state: NodeState) -> None:
        """One of our machines dies."""
        ours = self._ours()
        if ours:
            account, node = ours[number % len(ours)]
            self.oracle.look()
            account.become(node, state)
            self.weather.struck["machines dead later"] += 1
            machine = MachineId(account.name, node.id)
            if machine in self.agents:
                self.agents[machine].tell = None
                self.agents[machine].stop()
            asyncio.get_running_loop().call_later(DETECTION, self._drop, machine)

    def reboot(self, number: int) -> None:
        ours = [(a, n) for a, n in self._ours() if MachineId(a.name, n.id) in self.agents]
        if ours:
            account, node = ours[number % len(ours)]
            machine = MachineId(account.name, node.id)
            self.oracle.look()
            self.weather.struck["machines rebooted"] += 1
            agent = self.agents[machine]
            agent.tell = None
            agent.stop("interrupted")
            self._drop(machine)

    def drop_lines(self) -> None:
        if self._house is not None:
            for machine in list(self._machines(self._house).lines):
                self.weather.struck["lines dropped"] += 1
                self._drop(machine)

    def stray(self, number: int) -> None:
        """A machine of ours that nobody knows: of no deployment, or another one of an instance."""
        ours = [node for _, node in self._ours() if self.oracle.tags(node)]
        account = list(self.accounts.values())[number % 2]
        key = InstanceKey("ghost", "web", 1)
        metadata = to_metadata(Tags(INSTALLATION, key, 1, "0" * 16, "r0"))
        if ours and number % 3:
            metadata = {**ours[number % len(ours)].metadata, CLOUD: account.name}
        account.make(STRAY, metadata)
        self.weather.struck["machines leaked"] += 1

    def foreigner(self, number: int) -> None:
        """Somebody else's machine; every other one is another Headwater's."""
        key = InstanceKey("shop", "web", 1)
        metadata = to_metadata(Tags("neighbour", key, 1, "0" * 16, "r0")) if number % 2 else {}
        list(self.accounts.values())[number % 2].make("foreign", metadata)

    def _ours(self) -> list[tuple[SimulatedAccount, SimulatedNode]]:
        return [
            (account, node)
            for account in self.accounts.values()
            for node in account.alive()
            if self.oracle.tags(node)
        ]

    # The controller.

    def start(self) -> None:
        """A controller on what the last one left behind."""
        gateway = _Gateway(INSTALLATION, Path(self._directory.name), self._threads)
        machines = SimulatedMachines(self.agents, self.oracle.begins, self._is_up, self.weather)
        house = _House(
            self.weather,
            cast("FakeClouds", gateway),
            disk=self.disk,
            clock=self.now,
            machines=cast("FakeMachines", machines),
        )
        house.dispatch.rng = random.Random(self.weather.dice.random())  # noqa: S311  # no secret
        accepted = house.ledger.note(ACCEPTED)
        self.source.accepted = str(accepted or "")
        running = house.looping(self.source, lambda s: read(s, self.clouds), self.answers)
        self.weather.tell("controller starts")
        self._house = house
        self._task = asyncio.create_task(running.run())

    async def kill(self) -> None:
        """What is in memory only is lost; what runs at the clouds and on the machines goes on."""
        if self._task is None or self._house is None:
            return
        house, self._house = self._house, None
        self._task.cancel()
        await asyncio.wait([self._task])
        self._check_task()
        self._machines(house).kill()
        await house.clouds.close()
        self._task = None
        self.kills += 1

    async def restart(self, *, forget: bool = False) -> None:
        async with self._one_at_a_time:
            await self._restart(forget=forget)

    async def _restart(self, *, forget: bool) -> None:
        await self.kill()
        if forget:
            self.disk = Disk()
            self.oracle.forgot()
            self.forgiven = set(self._committed)
        self.start()

    def _threads(self, width: int, name: str) -> SimulatedThreads:
        del name
        return SimulatedThreads(width, self.weather, self._killed)

    def _killed(self) -> None:
        self._crash = asyncio.get_running_loop().create_task(self.restart())

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.loop.time())

    def _machines(self, house: House) -> SimulatedMachines:
        return cast("SimulatedMachines", house.machines)

    def _drop(self, machine: MachineId) -> None:
        if self._house is not None:
            self._machines(self._house).drop(machine)

    def _is_up(self, machine: MachineId) -> bool:
        node = self.accounts[machine.cloud].node(machine.id)
        return node is not None and node.state == NodeState.RUNNING

    def _accepted(self, revision: str) -> None:
        """What was asked for last counts for a deployment whose manifest is broken."""
        self.weather.tell(f"accepted {revision[:8]}")
        wishes = self._committed[revision]
        good = {name: wish for name, wish in wishes.items() if isinstance(wish, Wish)}
        kept = {
            name: wish
            for name, wish in self._asked.items()
            if name in wishes or GARBLED in wishes.values()
        }
        self._asked = {**kept, **good}
        wrong: Wanted = {name: None for name, wish in wishes.items() if wish == BROKEN}
        right = {name: desired(name, wish) for name, wish in self._asked.items()}
        self.oracle.accepted({**wrong, **right})

    # Time.

    def step(self, what: Callable[[], object], seconds: float) -> None:
        """Do it, and let time pass."""

        async def step() -> None:
            result = what()
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(seconds)
            self._check_task()
            self.oracle.look()

        self.failed = True
        self.weather.tell("---")
        with self._seeded(), self._crashes.heard():
            self.loop.run_until_complete(step())
        assert not self.oracle.violations, "\n".join([*self.weather.story, *self.oracle.violations])
        assert not self._crashes.records, "\n".join(self._crashes.records)
        self.failed = False
        self._steps += 1

    def figures(self) -> dict[str, int]:
        made = sum(len(account.nodes) for account in self.accounts.values())
        fixed = {"histories": 1, "steps": self._steps, "kills": self.kills, "machines made": made}
        return {**fixed, "virtual seconds": int(self.loop.time()), **self.weather.struck}

    def _check_task(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Jitter is drawn from the history's seed too."""
        seeded = SimpleNamespace(Random=lambda: random.Random(1))  # noqa: S311  # no secret
        with patch.object(loop, "random", seeded), patch.object(answering, "random", seeded):
            yield

    def close(self) -> None:
        async def end() -> None:
            await self.kill()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        try:
            self.loop.run_until_complete(end())
        finally:
            self.loop.close()
            self._directory.cleanup()

    # The end.

    async def calm(self, wishes: Wishes) -> None:
        """No more faults, and somebody who approves and retries: everything comes to rest."""
        self.weather.change(())
        for account in self.accounts.values():
            account.limit = 1000
        async with self._one_at_a_time:
            if self._rewound:
                await self.kill()
                self.disk.documents.pop(ACCEPTED, None)
            if self._task is None:
                self.start()
        revision = self.commit(wishes)
        end = self.loop.time() + QUIET
        quiet = self.loop.time()
        while self.loop.time() - quiet < REST:
            await asyncio.sleep(15.0)
            self.approve()
            self.retry()
            unfinished = self.unfinished(revision)
            if unfinished:
                quiet = self.loop.time()
            if self.loop.time() > end:
                story = [*self.weather.story, "does not come to rest:", *unfinished]
                raise AssertionError("\n".join(story))

    def unfinished(self, revision: str) -> list[str]:
        """What is not yet as the last commit wishes."""
        assert self._house is not None
        statuses = self._house.reconciler.statuses
        found = [f"{name}: {s.conditions}" for name, s in statuses.items() if not s.is_ready]
        if not self._house.whole.is_settled:
            found.append("not settled")
        if sorted(statuses) != sorted(self.wishes):
            found.append(f"{sorted(statuses)} instead of {sorted(self.wishes)}")
        specs = {
            key: (spec, system)
            for name, wish in self.wishes.items()
            if isinstance(wish, Wish)
            for system in [desired(name, wish)]
            for key, spec in system.instances.items()
        }
        there: dict[InstanceKey, int] = dict.fromkeys(specs, 0)
        placed: Counter[tuple[str, str]] = Counter()
        for account, node in self._ours():
            tags = self.oracle.tags(node)
            if tags is None or tags.key not in specs:
                found.append(f"{node.id} of {tags and tags.key} is left over")
                continue
            there[tags.key] += 1
            placed[tags.key.deployment, account.name] += 1
            spec, _ = specs[tags.key]
            agent = self.agents.get(MachineId(account.name, node.id))
            if tags.machine_digest != digest_at(spec, account.name):
                found.append(f"{node.id} of {tags.key} is of an old specification")
            elif agent is None or agent.serves != spec.work.digest:
                found.append(f"{node.id} of {tags.key} has not run what is wanted last")
        found += [f"{key} exists {count} times" for key, count in there.items() if count != 1]
        wanted = Counter((key.deployment, spec.machine.cloud) for key, (spec, _) in specs.items())
        if wanted != placed:
            found.append(f"{placed} instead of {wanted}")
        return found + self.unanswered(revision)

    def unanswered(self, last: str) -> list[str]:
        """Every context that was begun has exactly one terminal state."""
        told: dict[tuple[str, str], set[CommitState]] = {}
        for status in self.answers.given:
            if status.revision not in self.forgiven:
                told.setdefault((status.revision, status.context), set()).add(status.state)
        wrong = {
            place: states
            for place, states in told.items()
            if len(states - {CommitState.PENDING}) != 1
        }
        if (last, "headwater") not in told:
            wrong[last, "headwater"] = set()
        return [f"answers of {place}: {states}" for place, states in wrong.items()]


class _Branch(FakeSource):
    def __init__(self, accepted: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = accepted

    def accept(self, revision: str) -> None:
        super().accept(revision)
        self._tell(revision)


class _House(House):
    def __init__(self, weather: Weather, clouds: "FakeClouds", **rest: Any) -> None:
        self._weather = weather
        super().__init__(clouds, **rest)

    def emit(self, event: Event) -> None:
        match event:
            case ActionEnded(deployment, instance, action, reason, _, error):
                self._weather.tell(f"{action} {deployment}/{instance} ({reason}) {error}")
            case CloudListed(cloud, machines, unknown, complete, _, error):
                self._weather.tell(f"listed {cloud}: {machines}+{unknown} {complete} {error}")
        super().emit(event)


class _Gateway(Gateway):
    """Its jitter replays."""

    async def configure(self, clouds: Mapping[str, ResolvedCloud]) -> None:
        await super().configure(clouds)
        for account in self._accounts.values():
            account._circuit.rng = random.Random(1)  # noqa: S311  # no secret


class _Forge(FakeAnswers):
    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self._weather = weather

    async def answer(self, status: CommitStatus) -> None:
        await asyncio.sleep(0.1)
        if self._weather.strikes(Fault.ANSWER_FAILED):
            raise Transient("502 Bad Gateway")
        await super().answer(status)
        await asyncio.sleep(0.1)


class _Crashes(logging.Handler):
    """Passes and tasks that end by a bug."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.records.append(self.format(record))

    @contextmanager
    def heard(self) -> Iterator[None]:
        logger = logging.getLogger("headwater")
        logger.addHandler(self)
        before, logger.level = logger.level, logging.ERROR
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.level = before
