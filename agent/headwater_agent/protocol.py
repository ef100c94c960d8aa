"""The wire between controller and agent: one JSON object per line. No I/O here.

A message is a plain dictionary with a `kind`; the constructors below are its whole vocabulary.
Annotations are quoted because the guest's Python may be 3.6 and `typing` is slow to import.
"""

import binascii
import json

VERSION = 1
LINE_LIMIT = 1024 * 1024
"""Bytes of one encoded message at most, with its newline."""


class ProtocolError(Exception):
    """The other side does not speak this protocol. Nothing that follows can be trusted."""


def encode(message: "dict[str, object]") -> bytes:
    """One line. Raises ProtocolError when it is longer than LINE_LIMIT."""
    line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > LINE_LIMIT:
        raise ProtocolError(
            "a message of kind %r has %d bytes, more than the %d that one line may have"
            % (message.get("kind"), len(line), LINE_LIMIT)
        )
    return line


class Decoder:
    """Bytes in, whole messages out. After a ProtocolError it is of no more use."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> "list[dict[str, object]]":
        """The messages that are complete now. Raises ProtocolError."""
        lines = (self._rest + received).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_LIMIT or any(len(line) >= LINE_LIMIT for line in lines):
            raise ProtocolError("a line is longer than %d bytes" % LINE_LIMIT)
        return [_parse(line) for line in lines]


def _parse(line: bytes) -> "dict[str, object]":
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not a message: %r" % line[:80]) from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise ProtocolError("not a message: %r" % line[:80])
    return message


def content_of(message: "dict[str, object]") -> bytes:
    """The bytes of an `output` or `report` message. Raises ProtocolError."""
    content = message.get("content")
    try:
        if isinstance(content, str):
            return binascii.a2b_base64(content.encode("ascii"))
    except ValueError:
        pass  # told below
    raise ProtocolError("%s without content" % message.get("kind"))


# From the controller.


def context(
    *,
    id: str,  # the field's word
    steps: "list[dict[str, object]]",
    environment: "list[list[str]]",
    timeout: float,
    authorized_keys: "list[str]",
    have: int,
) -> "dict[str, object]":
    """Run this context, once, and stream its output from byte `have` on."""
    return {
        "kind": "context",
        "id": id,
        "steps": steps,
        "environment": environment,
        "timeout": timeout,
        "authorized_keys": authorized_keys,
        "have": have,
    }


def step(
    name: str,
    origin: str,
    script: str,
    packages: "list[str]",
    mounts: "list[dict[str, object]] | None" = None,
) -> "dict[str, object]":
    """A script; or packages to install, or volumes to mount, where there are some."""
    found: "dict[str, object]" = {"name": name, "origin": origin, "script": script}
    found.update(packages=packages, mounts=mounts or [])
    return found


def mount(name: str, path: str, devices: "list[str]") -> "dict[str, object]":
    """`devices` are names that the volume may have; the first that exists is it."""
    return {"name": name, "path": path, "devices": devices}


def task(
    *,
    id: str,  # as above
    steps: "list[dict[str, object]]",
    environment: "list[list[str]]",
    timeout: float,
    collects: bool,
    have: int,
    have_report: int,
) -> "dict[str, object]":
    """Run this task, once; stream its output and its report from these bytes on, and its end."""
    return {
        "kind": "task",
        "id": id,
        "steps": steps,
        "environment": environment,
        "timeout": timeout,
        "collects": collects,
        "have": have,
        "have_report": have_report,
    }


def heard(task: str) -> "dict[str, object]":
    """The end of this task is known: what was kept for it may go."""
    return {"kind": "heard", "task": task}


def hosts(lines: "list[str]") -> "dict[str, object]":
    """The deployment's hosts file."""
    return {"kind": "hosts", "lines": lines}


def stop(reason: str) -> "dict[str, object]":
    """Stop what runs, but no task that collects; the context ends as aborted."""
    return {"kind": "stop", "reason": reason}


def reply(
    id: int,  # as above
    code: int,
    value: str,
    error: str,
    secret: bool = False,
) -> "dict[str, object]":
    """`secret`: what was got, or was set, is to be hidden in all that the machine keeps of us."""
    message: "dict[str, object]" = {"kind": "reply", "id": id, "code": code}
    message.update(value=value, error=error, secret=secret)
    return message


def health(
    *,
    id: str,  # as above
    context: str,
    address: str,
    port: int,
    path: str,
    status: int,
    script: str,
    environment: "list[list[str]]",
    interval: float,
    timeout: float,
    failures: int,
) -> "dict[str, object]":
    """What must hold once the context has succeeded; an empty id for: nothing.

    A script that must exit with 0; or else a port that must take connections, and a path, where
    there is one, that must be answered with the status.
    """
    return {
        "kind": "health",
        "id": id,
        "context": context,
        "address": address,
        "port": port,
        "path": path,
        "status": status,
        "script": script,
        "environment": environment,
        "interval": interval,
        "timeout": timeout,
        "failures": failures,
    }


# From the agent.


def hello(digest: str) -> "dict[str, object]":
    return {"kind": "hello", "version": VERSION, "digest": digest}


def started(context: str, position: int, step: str) -> "dict[str, object]":
    return {"kind": "started", "context": context, "position": position, "step": step}


def output(context: str, offset: int, content: bytes) -> "dict[str, object]":
    """Of a context, or of a task."""
    return {"kind": "output", "context": context, "offset": offset, "content": _text(content)}


def report(task: str, offset: int, content: bytes) -> "dict[str, object]":
    """Of the gzipped tar that a task has collected."""
    return {"kind": "report", "task": task, "offset": offset, "content": _text(content)}


def ended(
    *,
    context: str,
    succeeded: bool,
    step: str,
    exit_code: "int | None",
    reason: str,
    words: str,
    seconds: float,
) -> "dict[str, object]":
    return {
        "kind": "ended",
        "context": context,
        "succeeded": succeeded,
        "step": step,
        "exit_code": exit_code,
        "reason": reason,
        "words": words,
        "seconds": seconds,
    }


def checked(context: str, check: str, state: str, words: str) -> "dict[str, object]":
    """How a check stands: `healthy`, `failing`, or `unhealthy` after so many failures in a row."""
    return {"kind": "checked", "context": context, "check": check, "state": state, "words": words}


def task_ended(
    *,
    task: str,
    succeeded: bool,
    step: str,
    exit_code: "int | None",
    reason: str,
    words: str,
    seconds: float,
) -> "dict[str, object]":
    """After all of its report; told again to who asks again."""
    return {
        "kind": "task_ended",
        "task": task,
        "succeeded": succeeded,
        "step": step,
        "exit_code": exit_code,
        "reason": reason,
        "words": words,
        "seconds": seconds,
    }


def request(
    *,
    id: int,  # as above
    verb: str,
    key: str,
    value: str,
    wait: bool,
    ignore_abort: bool,
    patience: "float | None" = None,
) -> "dict[str, object]":
    """A recipe's question. Asked again, with the same id, on every new line until replied.

    It is given up in `patience` seconds; None: never.
    """
    return {
        "kind": "request",
        "id": id,
        "verb": verb,
        "key": key,
        "value": value,
        "wait": wait,
        "ignore_abort": ignore_abort,
        "patience": patience,
    }


def cancel(id: int) -> "dict[str, object]":  # as above
    """Who asked has given up."""
    return {"kind": "cancel", "id": id}


def blocked(questions: "list[int]") -> "dict[str, object]":
    """The step that runs does nothing at all before one of these is answered."""
    return {"kind": "blocked", "questions": questions}


def _text(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode("ascii")
