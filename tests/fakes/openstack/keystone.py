"""Keystone: who may, and where everything is."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes.openstack.refusals import Refused, unauthorized

REGION = "RegionOne"
USER, PASSWORD, PROJECT, DOMAIN = "ada", "geheim-7", "lab", "Default"
APPLICATION, SECRET = "0123456789abcdef0123456789abcdef", "application-geheim"
_PATHS = {"compute": "/compute/v2.1", "network": "/network", "image": "/image"}
VOLUMES = "volumev3"


@dataclass
class Keystone:
    project: str
    """Its id."""
    lifetime: timedelta = timedelta(hours=1)
    volumes: tuple[str, str] = (VOLUMES, "/volume/v3/{project}")
    """What cinder is called, and its path; the name is empty where there is none."""
    issued: int = 0
    _tokens: dict[str, datetime] = field(default_factory=dict)

    def issue(self, body: Mapping[str, Any], where: str) -> tuple[str, object]:
        """A token's id, and what is told of it. Raises Refused."""
        asked = body["auth"]
        identity = asked["identity"]
        [method] = identity["methods"]
        known = {"password": self._is_user, "application_credential": self._is_application}
        if not known[method](identity[method]):
            raise unauthorized()
        if method == "password" and not self._is_project(asked.get("scope", {})):
            raise unauthorized()
        self.issued += 1
        id, now = uuid.uuid4().hex, datetime.now(UTC)
        self._tokens[id] = now + self.lifetime
        told = {
            "methods": [method],
            "user": {"id": "u1", "name": USER, "domain": {"id": "default", "name": DOMAIN}},
            "project": {"id": self.project, "name": PROJECT},
            "roles": [{"id": "r1", "name": "member"}],
            "issued_at": _written(now),
            "expires_at": _written(now + self.lifetime),
            "catalog": [
                _service("compute", "Compute Service", where + _PATHS["compute"]),
                _service("network", "neutron", where + _PATHS["network"]),
                _service("image", "glance", where + _PATHS["image"]),
                *self._volumes(where),
            ],
        }
        return id, {"token": told}

    def _volumes(self, where: str) -> list[object]:
        kind, path = self.volumes
        url = where + path.format(project=self.project)
        return [_service(kind, "cinder", url)] if kind else []

    def check(self, token: str) -> None:
        """Raises Refused."""
        if self._tokens.get(token, datetime.min.replace(tzinfo=UTC)) <= datetime.now(UTC):
            raise unauthorized()

    def revoke(self) -> None:
        """Every token that there is."""
        self._tokens.clear()

    def _is_user(self, said: Mapping[str, Any]) -> bool:
        user = said["user"]
        return bool(
            user.get("name") == USER
            and user["password"] == PASSWORD
            and user["domain"] in ({"name": DOMAIN}, {"id": "default"})
        )

    def _is_application(self, said: Mapping[str, Any]) -> bool:
        return dict(said) == {"id": APPLICATION, "secret": SECRET}

    def _is_project(self, scope: Mapping[str, Any]) -> bool:
        project = scope.get("project", {})
        if not project:
            raise Refused(401, "The request is not scoped to a project.")
        by_name = {"name": PROJECT, "domain": {"name": DOMAIN}}
        return project in (by_name, {**by_name, "domain": {"id": "default"}}, {"id": self.project})


def _service(kind: str, name: str, url: str) -> object:
    """Two interfaces; the one that is not public leads nowhere."""
    public = {"interface": "public", "url": url, "region": REGION, "region_id": REGION}
    internal = {**public, "interface": "internal", "url": "http://127.0.0.1:9"}
    return {"type": kind, "name": name, "id": kind, "endpoints": [internal, public]}


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
