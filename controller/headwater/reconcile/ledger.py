"""The loop's memory: runs, records, incarnations, parameters; written through to the store.

It is a memory and not the truth: the truth is in Git and in the clouds' listings.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from headwater.planning.records import MachineTasks, Record, Run, WorkState
from headwater.reconcile.ports import Documents
from headwater.topology.batches import read, written
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Batch, CreateOrder, Machine, MachineState
from headwater.topology.secrets import Sealed

logger = logging.getLogger("headwater.ledger")

_RECORD = TypeAdapter(Record)
_RUN = TypeAdapter(Run)
_TASKS = TypeAdapter(MachineTasks)
Kept = tuple[str | Sealed, datetime]
"""A value that a machine has set, and when."""
_VALUES = TypeAdapter(dict[str, Kept])
_NUMBERS = TypeAdapter(dict[str, int])
_INTENTS = TypeAdapter(dict[str, dict[str, str]])
INTENTS, ENDED, FRESH, HOST_KEY = "intents", "ended", "fresh", "host-key"
HOOKS, LIVE, REPLACES = "hooks", "live", "replaces"
SKEW = timedelta(seconds=5)
"""How far a cloud's clock may be behind ours."""


class Ledger:
    """Nothing is remembered that could not be kept: what a full disk refused is tried again.

    Whatever writes raises what the store's `save` raises.
    """

    def __init__(self, store: Documents) -> None:
        self._store = store
        self.records: dict[MachineId, Record] = {}
        self.runs: dict[str, Run] = {}
        self.values: dict[MachineId, dict[str, Kept]] = {}
        self.tasks: dict[MachineId, MachineTasks] = {}
        self._incarnations: dict[str, dict[str, int]] = {}
        self._documents: dict[str, str] = {}
        for key, document in store.load().items():
            try:
                self._take(key, document)
            except ValidationError:
                logger.warning("ledger.document_unreadable", extra={"key": key})

    def _take(self, key: str, document: str) -> None:
        kind, _, name = key.partition("/")
        match kind:
            case "record":
                self.records[_machine(name)] = _RECORD.validate_json(document)
            case "values":
                self.values[_machine(name)] = _VALUES.validate_json(document)
            case "tasks":
                self.tasks[_machine(name)] = _TASKS.validate_json(document)
            case "run":
                self.runs[name] = _RUN.validate_json(document)
            case "incarnations":
                self._incarnations[name] = _NUMBERS.validate_json(document)
            case _:
                self._documents[key] = document

    @property
    def newest(self) -> datetime | None:
        """The latest time that was noted down."""
        runs = (
            time
            for run in self.runs.values()
            for time in (run.started, run.aborted, run.decided, run.expired, run.ended)
        )
        records = (record.since for record in self.records.values())
        return max((time for time in (*runs, *records) if time), default=None)

    def set_record(self, machine: MachineId, record: Record) -> None:
        if self.records.get(machine) != record:
            self.set_note(f"{FRESH}/{machine}", None)
            self._store.save(f"record/{machine}", _RECORD.dump_json(record).decode())
            self.records[machine] = record

    def expect(self, machine: Machine) -> None:
        """It was made for us, and has run nothing yet."""
        if machine.id not in self.records:
            self.set_note(f"{FRESH}/{machine.id}", str(machine.key))

    def known(self) -> Iterator[tuple[MachineId, InstanceKey]]:
        """Machines of before a restart, and whose they were."""
        yield from ((machine, record.key) for machine, record in self.records.items())
        for note, key in self.notes(f"{FRESH}/"):
            deployment, _, instance = str(key).partition("/")
            yield _machine(note.removeprefix(f"{FRESH}/")), _instance(deployment, instance)

    def find(self, machine: Machine, now: datetime) -> None:
        """It is there. One that runs, and that nobody has waited for, may serve already."""
        if machine.id in self.records or self.note(f"{FRESH}/{machine.id}") is not None:
            return
        if machine.state is MachineState.PENDING or self._is_ordered(machine):
            self.expect(machine)
        elif machine.is_reachable:
            adopted = Record(machine.key, "", 0, 0, WorkState.SUCCEEDED, now)
            self.set_record(machine.id, adopted)

    def _is_ordered(self, machine: Machine) -> bool:
        """It is what came of an order that has had no answer yet."""
        intent = self._intents(machine.key.deployment).get(machine.key.instance)
        if intent is None or intent["name"] != machine.name:
            return False
        first = datetime.fromisoformat(intent.get("first", intent["since"]))
        return machine.created is None or machine.created >= first - SKEW

    def note_told(self, machine: MachineId, name: str, value: str) -> None:
        """A recipe that has not ended was told this value of a referenced input."""
        record = self.records.get(machine)
        if record is not None and record.state in {WorkState.WAITING, WorkState.RUNNING}:
            self.set_record(machine, replace(record, inputs={**record.inputs, name: value}))

    def set_values(self, machine: MachineId, values: dict[str, Kept]) -> None:
        self._store.save(f"values/{machine}", _VALUES.dump_json(values).decode())
        self.values[machine] = values

    def set_tasks(self, machine: MachineId, tasks: MachineTasks) -> None:
        """Durable before a machine is asked."""
        if self.tasks.get(machine) != tasks:
            self._store.save(f"tasks/{machine}", _TASKS.dump_json(tasks).decode())
            self.tasks[machine] = tasks

    def forget_machine(self, machine: MachineId) -> None:
        """The record goes last: as long as it is there, the rest is found and forgotten."""
        self.set_note(f"{FRESH}/{machine}", None)
        if machine in self.values:
            self._store.save(f"values/{machine}", None)
            del self.values[machine]
        if machine in self.tasks:
            self._store.save(f"tasks/{machine}", None)
            del self.tasks[machine]
        if machine in self.records:
            self._store.save(f"record/{machine}", None)
            del self.records[machine]

    def records_of(self, deployment: str) -> Iterator[tuple[MachineId, Record]]:
        return (
            (machine, record)
            for machine, record in self.records.items()
            if record.key.deployment == deployment
        )

    def set_run(self, deployment: str, run: Run) -> None:
        if self.runs.get(deployment) != run:
            self._store.save(f"run/{deployment}", _RUN.dump_json(run).decode())
            self.runs[deployment] = run

    def incarnations(self, deployment: str) -> Mapping[InstanceKey, int]:
        return {
            _instance(deployment, name): number
            for name, number in self._incarnations.get(deployment, {}).items()
        }

    def saw(self, deployment: str, machines: Iterable[Machine]) -> None:
        """These machines exist, so that the next ones have other incarnations.

        An order without an answer uses up none: repeated, it is the same order.
        """
        before = self._incarnations.get(deployment, {})
        known = dict(before)
        machines = list(machines)
        self.settle(deployment, [machine.key for machine in machines])
        for machine in machines:
            name, number = machine.key.instance, machine.tags.incarnation
            known[name] = max(number, known.get(name, 0))
        if known != before:
            self._store.save(f"incarnations/{deployment}", _NUMBERS.dump_json(known).decode())
            self._incarnations[deployment] = known

    def intend(self, deployment: str, orders: Iterable[CreateOrder], now: datetime) -> None:
        """Durable before a cloud is asked: what was begun, under which name and token."""
        known = self._intents(deployment)
        for order in orders:
            before, since = known.get(order.tags.key.instance, {}), now.isoformat()
            first = before.get("first", since) if before.get("name") == order.name else since
            intent = {"name": order.name, "token": order.token, "first": first, "since": since}
            known[order.tags.key.instance] = intent | _call(order)
        self.set_note(f"{INTENTS}/{deployment}", known)

    def begun(self, deployment: str) -> Mapping[InstanceKey, tuple[str, Batch]]:
        """Calls without an answer, with the digest of the machines that they make."""
        return {
            _instance(deployment, name): (intent["machine"], batch)
            for name, intent in self._intents(deployment).items()
            if (batch := _batch(intent))
        }

    def settle(self, deployment: str, keys: Iterable[InstanceKey]) -> None:
        """These orders have their answer: made, or refused for certain."""
        known = self._intents(deployment)
        done = {key.instance for key in keys}
        left = {name: intent for name, intent in known.items() if name not in done}
        self.set_note(f"{INTENTS}/{deployment}", left or None)

    def doubts(self, deployment: str) -> Mapping[InstanceKey, datetime]:
        """Orders without an answer, and since when: the machine may exist, or not."""
        return {
            _instance(deployment, name): datetime.fromisoformat(str(intent["since"]))
            for name, intent in self._intents(deployment).items()
        }

    def end(self, deployment: str, incarnations: Iterable[tuple[InstanceKey, int]]) -> None:
        """Durable before a cloud is asked: their machines do not go by accident."""
        before = self.ended(deployment)
        known = dict(before)
        for key, number in incarnations:
            known[key] = max(number, known.get(key, 0))
        if known != before:
            numbers = {key.instance: number for key, number in known.items()}
            self.set_note(f"{ENDED}/{deployment}", numbers)

    def ended(self, deployment: str) -> Mapping[InstanceKey, int]:
        """The highest incarnations that were ended, or accepted as gone."""
        note = self.note(f"{ENDED}/{deployment}")
        try:
            known = {} if note is None else _NUMBERS.validate_python(note)
        except ValidationError:
            return {}
        return {_instance(deployment, name): number for name, number in known.items()}

    def _intents(self, deployment: str) -> dict[str, dict[str, str]]:
        note = self.note(f"{INTENTS}/{deployment}")
        try:
            return {} if note is None else _INTENTS.validate_python(note)
        except ValidationError:
            return {}

    def forget_deployment(self, deployment: str, *, keep_run: bool = False) -> None:
        """The run goes last, as a machine's record does."""
        for kind in (INTENTS, ENDED, HOOKS, LIVE, REPLACES):
            self.set_note(f"{kind}/{deployment}", None)
        for key, note in list(self.notes(f"{HOST_KEY}/")):
            if isinstance(note, dict) and note.get("deployment") == deployment:
                self.set_note(key, None)
        if deployment in self._incarnations:
            self._store.save(f"incarnations/{deployment}", None)
            del self._incarnations[deployment]
        if deployment in self.runs and not keep_run:
            self._store.save(f"run/{deployment}", None)
            del self.runs[deployment]

    def note(self, key: str) -> object | None:
        """A small document of the loop's own; None when there is none."""
        document = self._documents.get(key)
        try:
            return None if document is None else json.loads(document)
        except ValueError:
            logger.warning("ledger.document_unreadable", extra={"key": key})
            return None

    def notes(self, prefix: str) -> Iterator[tuple[str, object]]:
        """The readable ones whose keys begin so."""
        for key in [key for key in self._documents if key.startswith(prefix)]:
            content = self.note(key)
            if content is not None:
                yield key, content

    def set_note(self, key: str, content: object | None) -> None:
        document = None if content is None else json.dumps(content, sort_keys=True)
        if document == self._documents.get(key):
            return
        self._store.save(key, document)
        if document is None:
            del self._documents[key]
        else:
            self._documents[key] = document


def _batch(intent: Mapping[str, str]) -> Batch | None:
    """What `_call` wrote."""
    members = read(intent.get("members", ""))
    if not members or not {"batch", "revision", "safety", "machine"} <= intent.keys():
        return None
    safety = intent["safety"].split()
    return Batch(
        token=intent["batch"],
        members=members,
        revision=intent["revision"],
        protect="protect" in safety,
        orphan="orphan" in safety,
    )


def _call(order: CreateOrder) -> dict[str, str]:
    batch = order.batch
    if batch is None:
        return {}
    safety = {"protect": batch.protect, "orphan": batch.orphan}
    return {
        "batch": batch.token,
        "members": written(batch.members),
        "revision": batch.revision,
        "safety": " ".join(word for word, holds in safety.items() if holds),
        "machine": order.tags.machine_digest,
    }


def _machine(name: str) -> MachineId:
    cloud, _, id = name.partition(":")
    return MachineId(cloud, id)


def _instance(deployment: str, name: str) -> InstanceKey:
    node, _, index = name.rpartition(".")
    return InstanceKey(deployment, node, int(index))
