"""Who is there to talk to: keeps lines, leads and hosts files in step with what is observed."""

from dataclasses import dataclass, field, replace

from headwater.planning.records import WorkState
from headwater.planning.seats import Seat, seats
from headwater.planning.situation import Situation
from headwater.reconcile.executor import Executor
from headwater.topology.context import Host
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine


@dataclass(slots=True)
class Lines:
    executor: Executor
    _known: dict[str, dict[MachineId, Machine | None]] = field(default_factory=dict)
    """By deployment; None for a machine of before a restart that has not been seen yet."""
    _connected: dict[MachineId, tuple[str, str, Machine]] = field(default_factory=dict)
    """The context and check that the line was last given, and the machine as it was then."""
    _hosts: dict[str, list[Host]] = field(default_factory=dict)
    """As last told, by deployment."""

    def expect(self) -> None:
        """Machines of before a restart, from the ledger; who has not answered may take its time."""
        ledger = self.executor.ledger
        for machine, record in list(ledger.records.items()):
            self._known.setdefault(record.key.deployment, {})[machine] = None
            now = self.executor.clock()
            if record.state is WorkState.WAITING:
                ledger.set_record(machine, replace(record, since=now))
            elif not (record.is_sound or record.is_sick):
                ledger.set_record(machine, replace(record, ended=now))

    def attend(self, situation: Situation) -> bool:
        """Before a plan is carried out: let go who is gone, hear who is there.

        True when who speaks for an instance, or what it says of itself, is different now.
        """
        self._release(situation)
        known = self._known.setdefault(situation.deployment, {})
        news = [machine for machine in situation.machines if known.get(machine.id) != machine]
        for machine in news:
            known[machine.id] = machine
            self.executor.ledger.find(machine, situation.now)
            self.executor.exchange.place(machine)
        if news:
            self.executor.ledger.saw(situation.deployment, news)
        moved = bool(news)
        every = seats(situation)
        for seat in every.values():
            moved |= self._lead(seat, situation)
        self._tell_hosts(situation.deployment)
        for seat in every.values():
            moved |= self._reconnect(seat)
        return moved

    def _release(self, situation: Situation) -> None:
        if situation.incomplete:
            return
        present = {machine.id for machine in situation.machines}
        known = self._known.get(situation.deployment, {})
        limbo = situation.limbo
        for machine in [id for id in known if id not in present]:
            seen = known[machine]
            record = self.executor.ledger.records.get(machine)
            key = seen.key if seen else record.key if record else None
            if key in limbo:
                continue
            del known[machine]
            self._connected.pop(machine, None)
            self.executor.tasks.forget(machine)
            self.executor.exchange.depart(machine)
            self.executor.ledger.forget_machine(machine)

    def _lead(self, seat: Seat, situation: Situation) -> bool:
        """The machine that serves speaks for the instance; before one does, the newest."""
        machine = seat.current
        if seat.outdated and not seat.ready:
            records = situation.records
            serving = [
                old for old in seat.outdated if old.id in records and records[old.id].is_in_order
            ]
            machine = next(iter(serving), machine or seat.outdated[0])
        if machine is None:
            return False
        return self.executor.exchange.lead(seat.spec.key, machine.id)

    def _tell_hosts(self, deployment: str) -> None:
        """The hosts file of the deployment: `address fqdn instance [node]`."""
        system = self.executor.exchange.system(deployment)
        if system is None:
            return
        known = self._known.get(deployment, {})
        hosts = []
        for key in system.desired.instances:
            lead = system.leads.get(key)
            machine = known.get(lead) if lead else None
            if machine is not None and machine.address:
                hosts.append(Host(machine.inside or machine.address, names(key)))
        if hosts != self._hosts.get(deployment, []):
            self._hosts[deployment] = hosts
            self.executor.machines.tell_hosts(deployment, hosts)

    def _reconnect(self, seat: Seat) -> bool:
        """Lines of contexts that were begun before a restart of the controller.

        True when another check is asked for, of which nothing has been told.
        """
        machine, record, check = seat.current, seat.record, seat.spec.check_digest
        if machine is None or record is None or record.work_digest != seat.spec.work.digest:
            return False
        line = (record.context, check, machine)
        if record.state is WorkState.FAILED or self._connected.get(machine.id) == line:
            return False
        other = record.check != check
        if other:
            record = replace(record, check=check, health=None)
            self.executor.ledger.set_record(machine.id, record)
        self._connected[machine.id] = line
        self.executor.connect(machine, seat.spec, record)
        return other

    def forget(self, deployment: str) -> None:
        self._hosts.pop(deployment, None)
        for machine in self._known.pop(deployment, {}):
            self._connected.pop(machine, None)


def names(key: InstanceKey) -> tuple[str, ...]:
    """`wn.3.cluster wn.3`, and for instance 1 also `wn`."""
    first = (key.node,) if key.index == 1 else ()
    return (f"{key.instance}.{key.deployment}", key.instance, *first)
