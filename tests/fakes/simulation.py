"""A world without time or failures: what is asked for happens, and nothing else does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fakes.builders import HOST_KEY, NOON, checked
from headwater.planning.actions import Contextualise, Create, Terminate
from headwater.planning.planner import Plan
from headwater.planning.records import Record, Run, WorkState
from headwater.planning.seats import seats
from headwater.planning.situation import Situation
from headwater.reconcile.secrecy import Secrecy
from headwater.topology.desired import Desired
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Machine, MachineState, Tags
from headwater.topology.parameters import referenced_inputs


@dataclass
class Simulation:
    desired: Desired | None
    run: Run
    machines: dict[MachineId, Machine] = field(default_factory=dict)
    records: dict[MachineId, Record] = field(default_factory=dict)
    incarnations: dict[InstanceKey, int] = field(default_factory=dict)
    made: int = 0

    def situation(self) -> Situation:
        situation = Situation(
            deployment="shop",
            desired=self.desired,
            machines=tuple(self.machines.values()),
            run=self.run,
            now=NOON,
            records=dict(self.records),
            incarnations=dict(self.incarnations),
        )
        return replace(situation, inputs=inputs(situation))

    def carry_out(self, plan: Plan) -> None:
        """All of it at once: machines come up running, and recipes succeed, checks hold."""
        told = self.situation().inputs
        for action in plan.actions:
            match action:
                case Terminate(machine):
                    del self.machines[machine.id]
                    self.records.pop(machine.id, None)
                case Create(spec, incarnation):
                    self.made += 1
                    id = MachineId(spec.machine.cloud, f"new{self.made}")
                    tags = Tags("house", spec.key, incarnation, spec.machine_digest, "")
                    self.machines[id] = Machine(
                        id, id.id, tags, MachineState.RUNNING, f"10.1.0.{self.made}", 22, HOST_KEY
                    )
                    self.incarnations[spec.key] = incarnation
                case Contextualise(machine, spec, generation):
                    done = Record(
                        key=spec.key,
                        work_digest=spec.work.digest,
                        generation=generation,
                        run=self.run.number,
                        state=WorkState.SUCCEEDED,
                        since=NOON,
                        inputs=told.get(spec.key, {}),
                        check=spec.check_digest,
                    )
                    self.records[machine.id] = checked(done) if spec.check else done

    def elapse(self) -> bool:
        """What was under way comes to its end. True when something was."""
        before = dict(self.machines), dict(self.records)
        for id, machine in before[0].items():
            if machine.state is MachineState.STOPPING:
                del self.machines[id]
                self.records.pop(id, None)
            elif machine.state in {MachineState.PENDING, MachineState.UNKNOWN}:
                self.machines[id] = replace(machine, state=MachineState.RUNNING)
        for id, record in self.records.items():
            if record.state in {WorkState.WAITING, WorkState.RUNNING}:
                self.records[id] = replace(record, state=WorkState.SUCCEEDED)
            elif not (record.is_sound or record.is_sick):
                self.records[id] = checked(record)
        return before != (self.machines, self.records)


def inputs(situation: Situation) -> Mapping[InstanceKey, Mapping[str, str]]:
    """Referenced inputs, as the machines that speak for their instances tell them."""
    every = seats(situation)

    def lookup(key: InstanceKey, _: str) -> str | None:
        seat = every.get(key)
        if seat is None:
            return None
        serving = [
            machine
            for machine in seat.outdated
            if not seat.ready
            and machine.id in situation.records
            and situation.records[machine.id].is_in_order
        ]
        machine = next(iter((*serving, seat.current)), None)
        return machine.address if machine else None

    desired = situation.desired
    if desired is None:
        return {}
    return {
        key: Secrecy().noted(referenced_inputs(spec, desired, lookup))
        for key, spec in desired.instances.items()
    }
