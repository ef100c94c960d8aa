"""moto's EC2, with what it does otherwise than EC2 put right."""

import base64
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from fakes.ec2.refusals import Refused
from fakes.ec2.volumes import MotoVolumes
from fakes.hosting import Guest, Timing

REGION = "us-east-1"
IMAGE = "ami-12c6146b"
"""One that moto knows."""
_WRONG, _RIGHT = '/doc/2016-11-15"', '/doc/2016-11-15/"'
_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}
_USER_DATA = 16 * 1024


@dataclass
class MotoAccount:
    """One account in one region. For one thread at a time."""

    number: str
    timing: Timing = field(default_factory=Timing)
    guest: Guest = field(default_factory=Guest)
    quota: int = 100_000
    """Instances that it may hold."""
    capacity: int = 100_000
    """Instances that one call can get at most."""
    page: int | None = None
    """Reservations on a page of a listing."""
    busy_groups: set[str] = field(default_factory=set)
    """Names of groups that something else is in too."""
    _tokens: dict[str, tuple[dict[str, str], list[str]]] = field(default_factory=dict)
    _due: dict[str, tuple[float, str]] = field(default_factory=dict)
    """What becomes of an instance, and when."""

    def __post_init__(self) -> None:
        self._volumes = MotoVolumes(self._moto, lambda: self._backend)

    def ask(self, said: dict[str, str]) -> str:
        """Raises Refused."""
        self._settle()
        action = said["Action"]
        match action:
            case "RunInstances":
                return self._run(said)
            case "TerminateInstances":
                return self._terminate(said)
            case "CreateVolume" | "AttachVolume" | "DeleteVolume":
                return self._volumes.ask(said)
            case "DeleteSecurityGroup":
                self._check_unused(said["GroupId"])
            case "DescribeInstances" if "client-token" in said.values():
                return self._with_token(said)
            case "DescribeInstances" if self.page is not None:
                said = {**said, "MaxResults": str(self.page)}
        return self._moto(said)

    @property
    def instances(self) -> list[Any]:
        """moto's own, terminated ones included."""
        return [i for r in self._backend.reservations.values() for i in r.instances]

    @property
    def present(self) -> list[Any]:
        return [i for i in self.instances if i._state.name not in {"terminated", "shutting-down"}]

    @property
    def groups(self) -> list[str]:
        """Names of all groups but the network's own."""
        every = self._backend.describe_security_groups()
        return sorted(group.name for group in every if group.name != "default")

    def become(self, id: str, state: str) -> None:
        instance = self._backend.get_instance(id)
        instance._state.name, instance._state.code = state, _CODES[state]

    @property
    def _backend(self) -> Any:
        backends: Any = ec2_backends
        return backends[self.number][REGION]

    def _run(self, said: dict[str, str]) -> str:
        """As many as there is room for; none for the second call with a token."""
        token = said.get("ClientToken", "")
        arguments = {name: value for name, value in said.items() if name != "ClientToken"}
        if token in self._tokens:
            before, ids = self._tokens[token]
            if before != arguments:
                words = "Arguments on this idempotent request are inconsistent with arguments used"
                raise Refused("IdempotentParameterMismatch", f"{words} in previous request(s).")
            return self._reservation(ids)
        self._check(said)
        count = min(int(said["MaxCount"]), self.capacity)
        count = min(count, self.quota - len(self.present))
        if count < int(said["MinCount"]):
            raise Refused("InstanceLimitExceeded", "You have requested more instances than allowed")
        body = self._moto({**said, "MinCount": str(count), "MaxCount": str(count)})
        ids = re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", body)
        data = base64.b64decode(said.get("UserData", "")).decode()
        for id in ids:
            self._boot(id, data)
        if token:
            self._tokens[token] = arguments, ids
        return self._reservation(ids)

    def _check(self, said: dict[str, str]) -> None:
        """What moto takes and EC2 refuses."""
        if said["ImageId"] != IMAGE:
            words = f"The image id '[{said['ImageId']}]' does not exist"
            raise Refused("InvalidAMIID.NotFound", words)
        if not re.fullmatch(r"[a-z0-9-]+\.[a-z0-9]+", said["InstanceType"]):
            words = f"Invalid value '{said['InstanceType']}' for InstanceType."
            raise Refused("InvalidParameterValue", words)
        if len(base64.b64decode(said.get("UserData", ""))) > _USER_DATA:
            raise Refused("InvalidParameterValue", "User data is limited to 16384 bytes")

    def _boot(self, id: str, data: str) -> None:
        if self.guest.start is not None:
            card = self._backend.get_instance(id).nics[0]
            card.public_ip = card.private_ip_address = self.guest.start(id, data)
        if self.timing.boot:
            self.become(id, "pending")
            self._due[id] = time.monotonic() + self.timing.boot, "running"

    def _reservation(self, ids: list[str]) -> str:
        """As the call's own answer, with the states of now."""
        asked = {f"InstanceId.{number}": id for number, id in enumerate(ids, start=1)}
        body = self._moto({"Action": "DescribeInstances", "Version": "2016-11-15", **asked})
        [inner] = re.findall(r"<reservationSet><item>(.*)</item></reservationSet>", body, re.DOTALL)
        opened = f'<RunInstancesResponse xmlns="http://ec2.amazonaws.com{_RIGHT}>'
        return f"{opened}{inner}</RunInstancesResponse>"

    def _with_token(self, said: dict[str, str]) -> str:
        """A filter that moto does not have."""
        [number] = [name.split(".")[1] for name, value in said.items() if value == "client-token"]
        ids = self._tokens.get(said[f"Filter.{number}.Value.1"], ({}, [""]))[1]
        return self._moto(
            {
                "Action": "DescribeInstances",
                "Version": said["Version"],
                "Filter.1.Name": "instance-id",
                **{f"Filter.1.Value.{place}": id for place, id in enumerate(ids, start=1)},
            }
        )

    def _terminate(self, said: dict[str, str]) -> str:
        ids = [value for name, value in said.items() if name.startswith("InstanceId.")]
        for id in ids:
            if not re.fullmatch("i-[0-9a-f]+", id):
                raise Refused("InvalidInstanceID.Malformed", f'Invalid id: "{id}"')
        present = {instance.id for instance in self.present}
        with self._volumes.held():
            body = self._moto(said)
        for id in present.intersection(ids):
            if self.guest.stop is not None:
                self.guest.stop(id)
            self._due.pop(id, None)
            if self.timing.end:
                self.become(id, "shutting-down")
                self._due[id] = time.monotonic() + self.timing.end, "terminated"
        return body

    def _check_unused(self, id: str) -> None:
        """moto removes a group that instances are in."""
        for instance in self.instances:
            inside = {group.id for group in instance.security_groups}
            if instance._state.name != "terminated" and id in inside:
                raise Refused("DependencyViolation", f"resource {id} has a dependent object")
        for group in self._backend.describe_security_groups():
            if group.id == id and group.name in self.busy_groups:
                raise Refused("DependencyViolation", f"resource {id} has a dependent object")

    def _settle(self) -> None:
        now = time.monotonic()
        for id, (at, state) in list(self._due.items()):
            if at <= now:
                del self._due[id]
                self.become(id, state)
        self._volumes.let_go()

    def _moto(self, said: dict[str, str]) -> str:
        """Raises Refused."""
        request = EnvironBuilder(
            path="/",
            method="POST",
            data=urlencode(said),
            content_type="application/x-www-form-urlencoded; charset=utf-8",
            headers=[
                ("Host", f"ec2.{REGION}.amazonaws.com"),
                ("Authorization", f"AWS4-HMAC-SHA256 Credential=a/1/{REGION}/ec2/aws4_request"),
                ("x-moto-account-id", self.number),
            ],
        )
        content, status, _ = run_wsgi_app(_app(), request.get_environ())
        body = b"".join(content).decode()
        if not status.startswith("200"):
            raise Refused(_inner(body, "Code"), _inner(body, "Message"), int(status[:3]))
        return body.replace(_WRONG, _RIGHT)


def _inner(body: str, name: str) -> str:
    found = re.search(f"<{name}>(.*?)</{name}>", body, re.DOTALL)
    return found[1] if found else "InternalError"


_APPS: list[Any] = []


def _app() -> Any:
    """Loading moto's models takes a while: once per process."""
    if not _APPS:
        _APPS.append(DomainDispatcherApplication(create_backend_app))
    return _APPS[0]
