"""Between our values and the messages of the wire. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from headwater.manifests.resolved import CommandCheck, HttpCheck, TcpCheck
from headwater.topology.context import Context, Host, Mount, Step, Task
from headwater.topology.keys import MachineId
from headwater.topology.progress import (
    Blocked,
    Checked,
    Ended,
    HealthState,
    MachineEvent,
    Output,
    Reply,
    ReportPiece,
    Request,
    StepStarted,
    TaskEnded,
    Verb,
)
from headwater_agent import protocol
from headwater_agent.protocol import ProtocolError

LARGEST = 2**53
"""Numbers that every JSON keeps; it also leaves out what Python's calls NaN and Infinity."""
LONGEST = 10**9
"""Seconds; some 30 years."""
Message = Mapping[str, object]


def context_line(context: Context, have: int) -> bytes:
    """Raises ProtocolError when the context is larger than one message may be."""
    return protocol.encode(
        protocol.context(
            id=context.id,
            steps=_steps(context.steps),
            environment=_environment(context.environment),
            timeout=context.timeout,
            authorized_keys=list(context.authorized_keys),
            have=have,
        )
    )


def health_line(context: Context, address: str) -> bytes:
    """What is asked at this address of the machine once the context has succeeded."""
    check = context.check
    if check is None:
        return _health("", context, address, interval=1.0, timeout=1.0, failures=1)
    rest = {"interval": check.interval, "timeout": check.timeout, "failures": check.failures}
    match check.asks:
        case HttpCheck(port, path, status):
            asks: dict[str, Any] = {"port": port, "path": path, "status": status}
        case TcpCheck(port):
            asks = {"port": port}
        case CommandCheck(recipe):
            asks = {"script": recipe.text}
    return _health(check.digest, context, address, **asks, **rest)


def _health(id: str, context: Context, address: str, **fields: Any) -> bytes:
    unasked = {"port": 0, "path": "", "status": 0, "script": ""}
    return protocol.encode(
        protocol.health(
            id=id,
            context=context.id,
            address=address,
            environment=[[name, value] for name, value in context.environment],
            **{**unasked, **fields},
        )
    )


def task_line(task: Task, have: int, have_report: int) -> bytes:
    """Raises ProtocolError as above."""
    return protocol.encode(
        protocol.task(
            id=task.id,
            steps=_steps(task.steps),
            environment=_environment(task.environment),
            timeout=task.timeout,
            collects=task.collects,
            have=have,
            have_report=have_report,
        )
    )


def heard_line(task: str) -> bytes:
    return protocol.encode(protocol.heard(task))


def hosts_line(hosts: Sequence[Host]) -> bytes:
    """Raises ProtocolError as above."""
    lines = [f"{host.address}\t{' '.join(host.names)}" for host in hosts]
    return protocol.encode(protocol.hosts(lines))


def stop_line(reason: str) -> bytes:
    return protocol.encode(protocol.stop(reason))


def reply_line(id: int, reply: Reply) -> bytes:
    shown = isinstance(reply.value, str)
    value = reply.value if isinstance(reply.value, str) else reply.value.reveal()
    secret = reply.secret or not shown
    return protocol.encode(protocol.reply(id, reply.code, value, reply.error, secret))


def event(machine: MachineId, message: Message) -> MachineEvent | None:  # one kind each
    """None for a kind that tells of no event. Raises ProtocolError."""
    match message["kind"]:
        case "started":
            return StepStarted(
                machine,
                _text(message, "context"),
                _number(message, "position"),
                _text(message, "step"),
            )
        case "output":
            content = protocol.content_of(dict(message))
            return Output(machine, _text(message, "context"), _number(message, "offset"), content)
        case "ended":
            return Ended(machine, _text(message, "context"), **_end(message))
        case "blocked":
            return Blocked(machine, _numbers(message, "questions"))
        case _:
            return _event_of_task(machine, message)


def _event_of_task(machine: MachineId, message: Message) -> MachineEvent | None:
    match message["kind"]:
        case "report":
            content = protocol.content_of(dict(message))
            return ReportPiece(machine, _text(message, "task"), _number(message, "offset"), content)
        case "task_ended":
            return TaskEnded(machine, _text(message, "task"), **_end(message))
        case "checked":
            return Checked(
                machine,
                _text(message, "context"),
                _text(message, "check"),
                _health_state(message),
                _text(message, "words"),
            )
        case _:
            return None


def request(machine: MachineId, message: Message) -> Request:
    """Raises ProtocolError."""
    try:
        verb = Verb(_text(message, "verb"))
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    return Request(
        machine=machine,
        verb=verb,
        key=_text(message, "key"),
        value=_text(message, "value"),
        wait=message.get("wait") is True,
        ignore_abort=message.get("ignore_abort") is True,
        id=id_of(message),
        patience=None if message.get("patience") is None else _seconds(message, "patience"),
    )


def id_of(message: Message) -> int:
    """Of a request, or of what it cancels. Raises ProtocolError."""
    return _number(message, "id")


class _End(TypedDict):
    succeeded: bool
    step: str
    exit_code: int | None
    reason: str
    words: str
    seconds: float


def _end(message: Message) -> _End:
    return {
        "succeeded": message.get("succeeded") is True,
        "step": _text(message, "step"),
        "exit_code": None if message.get("exit_code") is None else _number(message, "exit_code"),
        "reason": _text(message, "reason"),
        "words": _text(message, "words"),
        "seconds": _seconds(message, "seconds"),
    }


def _steps(steps: Sequence[Step]) -> list[dict[str, object]]:
    return [
        protocol.step(
            step.name, step.origin, step.script, list(step.packages), _mounts(step.mounts)
        )
        for step in steps
    ]


def _mounts(mounts: Sequence[Mount]) -> list[dict[str, object]]:
    return [protocol.mount(mount.name, mount.path, list(mount.devices)) for mount in mounts]


def _environment(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[name, value] for name, value in pairs]


def _text(message: Message, name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"{message['kind']} has no text {name!r}")
    return value.encode(errors="replace").decode()  # JSON may hold halves of code points


def _number(message: Message, name: str) -> int:
    value = message.get(name)
    if not isinstance(value, int) or abs(value) > LARGEST:
        raise ProtocolError(f"{message['kind']} has no number {name!r}")
    return value


def _health_state(message: Message) -> HealthState:
    try:
        return HealthState(_text(message, "state"))
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def _numbers(message: Message, name: str) -> frozenset[int]:
    values = message.get(name)
    if not isinstance(values, list):
        raise ProtocolError(f"{message['kind']} has no list {name!r}")
    return frozenset(_number({"kind": message["kind"], name: value}, name) for value in values)


def _seconds(message: Message, name: str) -> float:
    value = message.get(name)
    if not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise ProtocolError(f"{message['kind']} has no number {name!r}")
    return float(value)
