"""OpenStack behind a real socket: keystone, nova, neutron, glance and cinder of one project."""

import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.openstack import keystone
from fakes.openstack.attachments import Attachments
from fakes.openstack.cinder import Cinder
from fakes.openstack.glance import Glance
from fakes.openstack.keystone import Keystone
from fakes.openstack.neutron import Neutron
from fakes.openstack.nova import Nova
from fakes.openstack.refusals import Refused
from fakes.serving import Answer, Request, serving
from headwater.manifests.resolved import ResolvedCloud

HTML = "<html><head><title>502</title></head><body>Bad gateway</body></html>"
_ID = re.compile(r"(?<=/)(?:[0-9a-f]{8}-[0-9a-f-]{27}|never-was)(?=/|$)")
Wanted = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Call:
    action: str
    """`POST /servers`; ids are `*`."""
    body: Any
    status: int
    wanted: Wanted = field(default_factory=dict)


class Project:
    """All that it has."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.keystone = Keystone(self.id)
        self.neutron = Neutron(self.id)
        self.glance = Glance()
        self.cinder = Cinder(self.id)
        self.nova = Nova(self.id, self.neutron, self.glance, self.cinder)
        self.attachments = Attachments(self.nova, self.cinder)


@dataclass
class OpenStackEndpoint:
    """`before` sees each request first: it may raise Refused, or say what is answered instead.

    `after` sees each answer before it is sent, when the project has done its part: it may raise
    ConnectionResetError, and the answer is lost.
    """

    project: Project = field(default_factory=Project)
    before: Callable[[str], Answer | None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def auth_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/identity/v3"

    def cloud(self, name: str, region: str = "", **options: object) -> ResolvedCloud:
        """A Cloud manifest that leads here."""
        login = {
            "auth_url": self.auth_url,
            "username": keystone.USER,
            "password": keystone.PASSWORD,
            "project": keystone.PROJECT,
        }
        return ResolvedCloud(name, "openstack", region=region, options={**login, **options})

    def counted(self) -> Counter[str]:
        return Counter(call.action for call in self.calls)

    @property
    def refused(self) -> list[int]:
        return [call.status for call in self.calls if call.status >= 400]

    def clear(self) -> None:
        self.calls.clear()

    def serve(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        _, service, *_ = parts.path.split("/")
        path = re.sub(
            r"^/(compute/v2\.1|network/v2\.0|image/v2|identity/v3|volume/v3/[0-9a-f]+)",
            "",
            parts.path,
        )
        action = f"{request.method} {_ID.sub('*', path)}"
        body = json.loads(request.body) if request.body else None
        wanted = parse_qs(parts.query)
        try:
            answer = self.before(action) or self._answer(request, service, path, wanted, body)
            if answer.status < 400:
                self.after(action)
        except Refused as refused:
            more = {"Retry-After": refused.retry_after} if refused.retry_after else {}
            text = json.dumps(refused.body(service))
            answer = Answer(refused.status, text, headers=more)
        self.calls.append(Call(action, body, answer.status, wanted))
        return answer

    def _answer(
        self, request: Request, service: str, path: str, wanted: Wanted, body: Any
    ) -> Answer:
        with self._lock:
            if service == "identity":
                token, told = self.project.keystone.issue(body, f"http://127.0.0.1:{self.port}")
                return Answer(201, json.dumps(told), headers={"X-Subject-Token": token})
            self.project.keystone.check(request.headers.get("x-auth-token", ""))
            services = {
                "compute": self._compute,
                "network": self._network,
                "image": self._image,
                "volume": self._volume,
            }
            status, told = services[service](request.method, path, wanted, body)
            return Answer(status, "" if told is None else json.dumps(told))

    def _compute(  # noqa: PLR0911  # one a call
        self, method: str, path: str, wanted: Wanted, body: Any
    ) -> tuple[int, object]:
        nova = self.project.nova
        match method, path.split("/")[1:]:
            case "GET", ["servers", "detail"]:
                return 200, nova.find(wanted, f"http://127.0.0.1:{self.port}/compute/v2.1")
            case "POST", ["servers"]:
                return 202, nova.create(body["server"])
            case "GET", ["servers", id]:
                return 200, {"server": nova.shown(nova.one(id))}
            case "GET", ["servers", id, "os-security-groups"]:
                return 200, nova.groups_of(id)
            case "POST", ["servers", id, "os-volume_attachments"]:
                return 200, self.project.attachments.attach(id, body["volumeAttachment"])
            case "GET", ["servers", id, "os-volume_attachments", volume]:
                return 200, self.project.attachments.show(id, volume)
            case "DELETE", ["servers", id]:
                nova.delete(id)
                return 204, None
            case "GET", ["flavors", "detail"]:
                return 200, nova.shown_flavors()
            case "GET", ["limits"]:
                return 200, nova.limits()
        raise Refused(404, f"The resource could not be found: {path}")

    def _network(self, method: str, path: str, wanted: Wanted, body: Any) -> tuple[int, object]:
        neutron = self.project.neutron
        match method, path.split("/")[1:]:
            case "GET", [kind] if kind != "security-group-rules":
                return 200, {kind.replace("-", "_"): neutron.find(kind, wanted)}
            case "POST", ["security-groups"]:
                return 201, {"security_group": neutron.make_group(body["security_group"])}
            case "POST", ["security-group-rules"]:
                made = neutron.make_rules(body["security_group_rules"])
                return 201, {"security_group_rules": made}
            case "DELETE", ["security-groups", id]:
                neutron.delete_group(id)
                return 204, None
            case "POST", ["floatingips"]:
                return 201, {"floatingip": neutron.make_floating(body["floatingip"])}
            case "DELETE", ["floatingips", id]:
                neutron.delete_floating(id)
                return 204, None
        raise Refused(404, f"The resource could not be found: {path}", "HTTPNotFound")

    def _image(self, method: str, path: str, wanted: Wanted, body: Any) -> tuple[int, object]:
        match method, path.split("/")[1:]:
            case "GET", ["images"]:
                return 200, self.project.glance.find(wanted)
            case "GET", ["images", id]:
                return 200, self.project.glance.one(id)
        raise Refused(404, f"The resource could not be found: {path} {body}")

    def _volume(self, method: str, path: str, wanted: Wanted, body: Any) -> tuple[int, object]:
        cinder = self.project.cinder
        self.project.nova.settle()
        match method, path.split("/")[1:]:
            case "GET", ["volumes", "detail"]:
                where = f"http://127.0.0.1:{self.port}/volume/v3/{self.project.id}"
                return 200, cinder.find(wanted, where)
            case "POST", ["volumes"]:
                return 202, cinder.create(body["volume"])
            case "GET", ["volumes", id]:
                return 200, {"volume": cinder.shown(cinder.one(id))}
            case "POST", ["volumes", id, "metadata"]:
                return 200, cinder.tell(id, body["metadata"])
            case "DELETE", ["volumes", id]:
                cinder.delete(id)
                return 202, None
            case "GET", ["os-availability-zone"]:
                return 200, cinder.shown_zones()
        raise Refused(404, f"The resource could not be found: {path}")


@contextmanager
def openstack_endpoint() -> Iterator[OpenStackEndpoint]:
    endpoint = OpenStackEndpoint()
    with serving(endpoint.serve) as endpoint.port:
        yield endpoint
