"""Carrying out a plan. A failed action is an outcome; it does not stop the others."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace

from headwater.errors import HeadwaterError, Throttled, Transient
from headwater.planning.actions import Action, Contextualise, Create, Terminate
from headwater.planning.events import ActionEnded
from headwater.planning.planner import Plan
from headwater.planning.records import Record, Run, WorkState
from headwater.planning.seats import ALIVE
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.furnishing import Furnishing
from headwater.reconcile.hostkeys import forget
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.observer import Observer
from headwater.reconcile.ports import Clock, Clouds, Listener, Machines
from headwater.reconcile.tasks import Tasks, target
from headwater.topology.batches import batched
from headwater.topology.context import VOLUMES, Context
from headwater.topology.desired import InstanceSpec
from headwater.topology.digests import digest
from headwater.topology.machines import (
    CreateOrder,
    Machine,
    MachineState,
    Tags,
    machine_name,
)
from headwater.topology.surroundings import Nodes, environment

CALL_DEADLINE = 300.0
"""Seconds for one call of a cloud, batches included."""


@dataclass(frozen=True, slots=True)
class Outcome:
    action: Action
    error: HeadwaterError | None = None


@dataclass(frozen=True, slots=True)
class Executor:
    installation: str
    clouds: Clouds
    machines: Machines
    ledger: Ledger
    observer: Observer
    exchange: Exchange
    clock: Clock
    emit: Listener
    tasks: Tasks

    async def execute(self, plan: Plan, run: Run) -> list[Outcome]:
        """Try every action. What machines do is only begun here; events tell the rest."""
        began = time.monotonic()
        creates = [action for action in plan.actions if isinstance(action, Create)]
        ends = [action for action in plan.actions if isinstance(action, Terminate)]
        remade = {action.key for action in creates}
        self.ledger.end(plan.deployment, [(end.key, end.machine.tags.incarnation) for end in ends])
        async with asyncio.TaskGroup() as group:
            before = [group.create_task(self._terminate(a)) for a in ends if a.key in remade]
            after = [group.create_task(self._terminate(a)) for a in ends if a.key not in remade]
            if before:  # Break before make.
                await asyncio.wait(before)
            stuck = {task.result().action.key for task in before if _still_serves(task.result())}
            made = await self._create(
                plan.deployment, [action for action in creates if action.key not in stuck], run
            )
        outcomes = [*(task.result() for task in (*before, *after)), *made]
        await self._furnishing.look_after(end.machine for end in ends)
        outcomes += [Outcome(*done) for done in await self._furnishing.carry_out(plan.actions)]
        for action in plan.actions:
            if isinstance(action, Contextualise):
                self._contextualise(action, run)
                outcomes.append(Outcome(action))
        self.tasks.ask(plan.tasks, run)
        seconds, asked = time.monotonic() - began, plan.digest if outcomes else ""
        for outcome in outcomes:
            told = _told(outcome, seconds, run)
            self.emit(replace(told, plan=asked, approval=plan.approval))
        return outcomes

    @property
    def _furnishing(self) -> Furnishing:
        depot = self.observer.depot
        return Furnishing(self.installation, self.clouds, self.ledger, depot, self.clock)

    async def _create(
        self, deployment: str, actions: Sequence[Create], run: Run
    ) -> Iterable[Outcome]:
        if not actions:
            return []
        begun = self.ledger.begun(deployment)
        orders = batched((self.order(action, run) for action in actions), begun)
        places = Counter((order.spec.cloud, order.spec.size) for order in orders)
        self.observer.expect_new(places)
        self.tasks.memory.makes(deployment, actions)
        self.ledger.intend(deployment, orders, self.clock())
        try:
            answers = await self._ask(orders)
        finally:
            self.observer.expect_new({place: -count for place, count in places.items()})
        made = [answer for answer in answers if isinstance(answer, Machine)]
        for machine in made:
            if machine.state is not MachineState.STOPPING:
                self.ledger.find(machine, self.clock())
        self.ledger.saw(deployment, made)
        answered = zip(actions, answers, strict=True)
        certain = [action.key for action, answer in answered if not _in_doubt(answer)]
        self.ledger.settle(deployment, certain)
        return [self._made(action, answer) for action, answer in zip(actions, answers, strict=True)]

    async def _ask(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        try:
            async with asyncio.timeout(CALL_DEADLINE):
                return await self.clouds.create(orders)
        except TimeoutError:
            late = Transient(f"no answer to a create within {CALL_DEADLINE:.0f} s")
            return [late for _ in orders]

    def _made(self, action: Create, answer: Machine | Exception) -> Outcome:
        if isinstance(answer, HeadwaterError):
            return Outcome(action, answer)
        if isinstance(answer, Exception):
            raise answer
        if answer.state is not MachineState.STOPPING:  # The order of an incarnation that is over.
            self.observer.created(answer)
        return Outcome(action)

    def order(self, action: Create, run: Run) -> CreateOrder:
        """The same name and token at every attempt, so that a repeated order makes nothing new."""
        key = action.key
        return CreateOrder(
            name=machine_name(key, action.incarnation),
            token=digest([self.installation, str(key), action.incarnation]),
            spec=action.spec.machine,
            tags=Tags(
                self.installation,
                key,
                action.incarnation,
                action.spec.machine_digest,
                run.revision,
                protect=run.protect,
                orphan=run.orphan,
                size=action.spec.machine.size,
            ),
            authorized_key=self.machines.public_key,
            zone=action.zone,
        )

    async def _terminate(self, action: Terminate) -> Outcome:
        machine = action.machine
        self.tasks.forget(machine.id)
        error = await self._attempt(self.clouds.terminate(machine), f"terminate {machine.name}")
        if error is None:
            self.observer.terminated(machine)
            self.exchange.depart(machine.id)
            self.ledger.forget_machine(machine.id)
            forget(self.ledger, machine.id)
        return Outcome(action, error)

    async def _attempt(self, call: Awaitable[None], what: str) -> HeadwaterError | None:
        try:
            async with asyncio.timeout(CALL_DEADLINE):
                await call
        except HeadwaterError as error:
            return error
        except TimeoutError:
            return Transient(f"{what}: no answer within {CALL_DEADLINE:.0f} s")
        return None

    def _contextualise(self, action: Contextualise, run: Run) -> None:
        machine, spec = action.machine, action.spec
        before = self.ledger.records.get(machine.id)
        record = Record(
            key=spec.key,
            work_digest=spec.work.digest,
            generation=action.generation,
            run=run.number,
            state=WorkState.WAITING,
            since=self.clock(),
            served=before is not None and before.serves,
            check=spec.check_digest,
            mounts=action.mounts,
        )
        self.ledger.set_record(machine.id, record)
        self.connect(machine, spec, record)

    def connect(self, machine: Machine, spec: InstanceSpec, record: Record) -> None:
        """Keep a line to the machine, for the context that its record names."""
        nodes = self.exchange.nodes(spec.key.deployment)
        if line := target(self.ledger, machine, spec.machine.login_user):
            self.tasks.connected(machine.id)
            self.machines.contextualise(line, context(spec, record, nodes))


def _told(outcome: Outcome, seconds: float, run: Run) -> ActionEnded:
    action = outcome.action
    return ActionEnded(
        deployment=action.key.deployment,
        instance=action.key.instance,
        action=type(action).__name__.lower(),
        reason=action.reason,
        seconds=seconds,
        error=str(outcome.error or ""),
        revision=run.revision,
    )


def _still_serves(outcome: Outcome) -> bool:
    """It was to make room for its replacement, and its cloud did not end it."""
    action, failed = outcome.action, outcome.error is not None
    return failed and isinstance(action, Terminate) and action.machine.state in ALIVE


def _in_doubt(answer: Machine | Exception) -> bool:
    """A refusal is an answer; anything that may pass may also have been done."""
    return isinstance(answer, Transient) and not isinstance(answer, Throttled)


def context(spec: InstanceSpec, record: Record, nodes: Nodes) -> Context:
    return Context(
        id=record.context,
        steps=tuple(
            replace(step, mounts=record.mounts) if step.name == VOLUMES else step
            for step in spec.work.steps
        ),
        environment=environment(spec.key, spec.machine.cloud, nodes),
        timeout=spec.work.timeout,
        platform=spec.work.platform,
        authorized_keys=spec.work.authorized_keys,
        check=spec.check,
    )
