"""Runtime parameters of running systems: who reads, who writes, and who waits for what."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from headwater.manifests.values import WrongValue
from headwater.planning.records import WorkState
from headwater.planning.status import DeploymentStatus
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.ports import Clock
from headwater.reconcile.secrecy import Secrecy
from headwater.reconcile.waits import Waiting, Waits
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine
from headwater.topology.parameters import (
    Address,
    InstanceValue,
    Lookup,
    NodeValue,
    Source,
    UnknownKey,
    follows,
    is_secret,
    is_writable,
    key_to_read,
    living,
    missing,
    parse_key,
    read,
    referenced_inputs,
    secret_of,
    type_of,
)
from headwater.topology.progress import Reply, Request, Verb
from headwater.topology.secrets import Sealed, SecretValue, Value
from headwater.topology.surroundings import Nodes

REFUSED, ABORTED, TIMEOUT = 7, 8, 9


@dataclass(slots=True)
class System:
    """One deployment's part of the exchange."""

    desired: Desired
    leads: dict[InstanceKey, MachineId] = field(default_factory=dict)
    """The machine that speaks for each instance."""
    states: dict[InstanceKey, str] = field(default_factory=dict)
    phase: str = ""
    abort: str = ""
    waiters: dict[Source, set[asyncio.Event]] = field(default_factory=dict)
    lost: frozenset[InstanceKey] = frozenset()
    """Instances without which the run goes on."""

    @property
    def living(self) -> Desired:
        return living(self.desired, self.lost)


class Exchange:
    """Values live with the machine that set them, and vanish with it."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        secrecy: Secrecy | None = None,
        doubt: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`doubt` is called with a deployment where a get waits that may never be answered."""
        self._ledger = ledger
        self.clock = clock
        self.secrecy = secrecy or Secrecy()
        self._doubt = doubt
        self.waits = Waits()
        self._systems: dict[str, System] = {}
        self._keys: dict[MachineId, InstanceKey] = {}
        self._facts: dict[MachineId, dict[str, str]] = {}

    def want(self, desired: Desired) -> None:
        """The deployment as wanted from now on; who waits is looked at again."""
        system = self._systems.get(desired.name)
        if system is None:
            self._systems[desired.name] = System(desired)
        elif system.desired is not desired:
            system.desired = desired
            self._wake_all(system)

    def provide(self, deployment: str, secrets: Mapping[str, SecretValue]) -> None:
        """The secrets that the manifest names, as they are now."""
        system = self._systems.get(deployment)
        if self.secrecy.provide(deployment, secrets) and system is not None:
            self._wake_all(system)

    def forget(self, deployment: str) -> None:
        self.secrecy.forget(deployment)
        system = self._systems.pop(deployment, None)
        if system is not None:
            self._wake_all(system)

    def system(self, deployment: str) -> System | None:
        return self._systems.get(deployment)

    def nodes(self, deployment: str) -> Nodes:
        """The instances by node; none where the deployment is gone."""
        system = self._systems.get(deployment)
        return system.desired.nodes if system else {}

    def place(self, machine: Machine) -> None:
        """A machine is there: its facts are known from boot."""
        self._keys[machine.id] = machine.key
        for kept, _ in self._ledger.values.get(machine.id, {}).values():
            self.secrecy.opened(machine.key.deployment, kept)  # hidden before a line tells of it
        facts = {"instanceId": machine.id.id, "nodename": machine.key.instance}
        facts["id"] = str(machine.key.index)
        if machine.address:
            facts["hostname"] = machine.inside or machine.address
        if self._facts.get(machine.id) != facts:
            self._facts[machine.id] = facts
            self._wake(machine.key, facts)

    def lead(self, key: InstanceKey, machine: MachineId) -> bool:
        """This machine speaks for the instance from now on. True when that is a change."""
        system = self._systems.get(key.deployment)
        if system is None or system.leads.get(key) == machine:
            return False
        system.leads[key] = machine
        self._wake(key, [*self._facts.get(machine, ()), *self._ledger.values.get(machine, ())])
        return True

    def depart(self, machine: MachineId) -> None:
        """The machine is gone, and its values with it."""
        key = self._keys.pop(machine, None)
        self._facts.pop(machine, None)
        self.waits.unblock(machine)
        system = self._systems.get(key.deployment) if key else None
        if key is not None and system is not None and system.leads.get(key) == machine:
            del system.leads[key]

    def show(self, status: DeploymentStatus) -> None:
        """`ss:state` and every instance's `state` are what the status says."""
        system = self._systems.get(status.name)
        if system is None:
            return
        system.phase = status.phase.value
        states = {instance.instance: instance.state for instance in status.instances}
        for key in system.desired.instances:
            state = states.get(key.instance)
            if state is not None and system.states.get(key) != state:
                system.states[key] = state
                self._wake(key, ["state"])

    def lose(self, deployment: str, keys: Iterable[InstanceKey]) -> bool:
        """The run goes on without these: lists no longer wait for them. True when others did."""
        system, lost = self._systems.get(deployment), frozenset(keys)
        if system is None or system.lost == lost:
            return False
        system.lost = lost
        self._wake_all(system)
        return True

    def key_of(self, machine: MachineId) -> InstanceKey | None:
        return self._keys.get(machine)

    def stop_waiting(self, deployment: str, reason: str) -> None:
        """The run is aborted: every waiting get is answered so. Empty reason: go on."""
        system = self._systems.get(deployment)
        if system is not None and system.abort != reason:
            system.abort = reason
            self._wake_all(system)

    async def ask(self, request: Request) -> Reply:
        """Answer a recipe; waits where it waits. Aborts are the caller's."""
        key = self._keys.get(request.machine)
        system = self._systems.get(key.deployment) if key else None
        if key is None or system is None:
            return Reply(REFUSED, error="this machine belongs to no deployment")
        if system.abort and not request.ignore_abort:
            return Reply(ABORTED, error=f"the run is aborted: {system.abort}")
        if request.verb is Verb.SET:
            return self._set(request, key, system)
        if request.verb is Verb.DISPLAY:
            return self._store(request.machine, key, "statecustom", request.value)
        try:
            address = key_to_read(request.key, key, system.desired)
        except UnknownKey as error:
            return Reply(REFUSED, error=str(error))
        return await self._get(request, key, address)

    async def _get(self, request: Request, key: InstanceKey, address: Address) -> Reply:
        asker = (key, request.machine)
        waiting: Waiting | None = None
        while (system := self._systems.get(key.deployment)) is not None:
            if system.abort and not request.ignore_abort:
                return Reply(ABORTED, error=f"the run is aborted: {system.abort}")
            value = self._value(address, system, asker)
            if value is not None:
                self._note_told(request.machine, key, address, value, system)
                return Reply(0, value)
            if not request.wait or not isinstance(address, InstanceValue):
                return Reply(0, "")
            waiting = waiting or self._waiting(request, key, address)
            if waiting.refusal:
                return Reply(TIMEOUT, error=waiting.refusal)
            await self._change(system, waiting)
        return Reply(REFUSED, error="the deployment is gone")

    def _waiting(self, request: Request, key: InstanceKey, address: InstanceValue) -> Waiting:
        patience = request.patience
        until = None if patience is None else self.clock() + timedelta(seconds=patience)
        return Waiting(request, key, address, until)

    def missing(self, waiting: Waiting) -> tuple[Source, ...]:
        """What must be set before the get is answered, as things are now."""
        system = self._systems.get(waiting.asker.deployment)
        if system is None:
            return ()
        lookup = self.lookup(system, (waiting.asker, waiting.request.machine))
        return tuple(missing(waiting.address, system.living, lookup))

    async def _change(self, system: System, waiting: Waiting) -> None:
        """Wait until what is missing first may have been set."""
        source, *_ = [*self.missing(waiting), (waiting.asker, "")]
        waiting.changed.clear()
        waiters = system.waiters.setdefault(source, set())
        waiters.add(waiting.changed)
        try:
            with self.waits.begun(waiting):
                if not self._is_busy(system, source[0]):
                    self._doubt(waiting.asker.deployment)
                await waiting.changed.wait()
        finally:
            waiters.discard(waiting.changed)
            if not waiters and system.waiters.get(source) is waiters:
                del system.waiters[source]

    def _is_busy(self, system: System, key: InstanceKey) -> bool:
        """The instance's recipes run, or will: their end is another occasion to look."""
        lead = system.leads.get(key)
        record = self._ledger.records.get(lead) if lead else None
        return record is not None and record.state in {WorkState.WAITING, WorkState.RUNNING}

    def _note_told(
        self, machine: MachineId, key: InstanceKey, address: Address, value: Value, system: System
    ) -> None:
        if not isinstance(address, InstanceValue) or address.key != key:
            return
        spec = system.desired.instances.get(key)
        if spec is not None and follows(spec.work.inputs.get(address.name)):
            for name, noted in self.secrecy.noted({address.name: value}).items():
                self._ledger.note_told(machine, name, noted)

    def _value(
        self, address: Address, system: System, asker: tuple[InstanceKey, MachineId]
    ) -> Value | None:
        match address:
            case InstanceValue():
                return read(address, system.living, self.lookup(system, asker))
            case NodeValue(node, "ids"):
                return ",".join(str(key.index) for key in system.desired.nodes.get(node, ()))
            case NodeValue(node, _):
                return str(len(system.desired.nodes.get(node, ())))
            case _:
                return system.phase if address.name == "state" else system.abort

    def lookup(self, system: System, asker: tuple[InstanceKey, MachineId] | None = None) -> Lookup:
        """Each machine knows its own values; those of other instances come from their leads."""

        def lookup(key: InstanceKey, name: str) -> Value | None:
            own = asker is not None and asker[0] == key
            machine = asker[1] if own and asker else system.leads.get(key)
            if name == "state":
                return system.states.get(key)
            if (secret := secret_of(key, name, system.desired)) is not None:
                return self.secrecy.provided(key.deployment, secret)
            if machine is None:
                return None
            if name in (facts := self._facts.get(machine, {})):
                return facts[name]
            value = self._ledger.values.get(machine, {}).get(name)
            return None if value is None else self._opened(key, name, value[0], system)

        return lookup

    def _opened(
        self, key: InstanceKey, name: str, kept: str | Sealed, system: System
    ) -> Value | None:
        value = self.secrecy.opened(key.deployment, kept)
        hidden = is_secret(InstanceValue(key, name), system.desired)
        return SecretValue(value) if hidden and isinstance(value, str) else value

    def _set(self, request: Request, key: InstanceKey, system: System) -> Reply:
        try:
            address = parse_key(request.key, key, system.desired)
        except UnknownKey as error:
            return Reply(REFUSED, error=str(error))
        spec = system.desired.instances.get(key)
        if not isinstance(address, InstanceValue) or address.key != key:
            return Reply(REFUSED, error=f"{request.key} is not {key.instance}'s to set")
        if spec is None or not is_writable(spec, address.name):
            hint = "declare it in [spec.outputs] of its component"
            return Reply(REFUSED, error=f"{request.key} is not an output of {key.node}: {hint}")
        try:
            value = self.secrecy.taken(key.deployment, type_of(spec, address.name), request.value)
        except WrongValue as wrong:
            return Reply(REFUSED, error=f"{request.key} {wrong}")
        return self._store(request.machine, key, address.name, value)

    def _store(self, machine: MachineId, key: InstanceKey, name: str, value: Value) -> Reply:
        values = self._ledger.values.get(machine, {})
        if name not in values or self.secrecy.opened(key.deployment, values[name][0]) != value:
            kept = self.secrecy.kept(value)
            self._ledger.set_values(machine, {**values, name: (kept, self.clock())})
            self._wake(key, [name])
        return Reply(0, secret=isinstance(value, SecretValue))

    def _wake(self, key: InstanceKey, names: Iterable[str]) -> None:
        system = self._systems.get(key.deployment)
        if system is None:
            return
        for name in names:
            for event in system.waiters.get((key, name), ()):
                event.set()

    def _wake_all(self, system: System) -> None:
        for events in system.waiters.values():
            for event in events:
                event.set()

    def inputs(self, deployment: str) -> Mapping[InstanceKey, Mapping[str, str]]:
        """The present values of every instance's referenced inputs."""
        system = self._systems.get(deployment)
        if system is None:
            return {}
        lookup, desired = self.lookup(system), system.living
        return {
            key: self.secrecy.noted(inputs)
            for key, spec in desired.instances.items()
            if (inputs := referenced_inputs(spec, desired, lookup))
        }

    def inputs_of(self, key: InstanceKey) -> Mapping[str, str]:
        """The present values of one instance's referenced inputs."""
        system = self._systems.get(key.deployment)
        spec = system.desired.instances.get(key) if system else None
        if system is None or spec is None:
            return {}
        return self.secrecy.noted(referenced_inputs(spec, system.living, self.lookup(system)))
