"""What a Cloud manifest and its credentials say to OpenStack, by the names that people know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from headwater.cloud.options import ssh_port
from headwater.errors import Stalled
from headwater.manifests.resolved import ResolvedCloud

_NAMES: Mapping[str, tuple[str, ...]] = {
    "auth_url": ("auth_url", "ex_force_auth_url"),
    "username": ("username", "key"),
    "user_id": ("user_id",),
    "password": ("password", "secret"),
    "application_credential_id": ("application_credential_id",),
    "application_credential_secret": ("application_credential_secret",),
    "auth_version": ("ex_force_auth_version",),
    "project": ("project", "project_name", "ex_tenant_name"),
    "project_id": ("project_id",),
    "domain": ("domain", "user_domain_name", "domain_name", "ex_domain_name"),
    "domain_id": ("user_domain_id", "domain_id"),
    "project_domain": ("project_domain", "project_domain_name"),
    "project_domain_id": ("project_domain_id", "ex_tenant_domain_id"),
    "region": ("region", "region_name", "ex_force_service_region"),
    "interface": ("interface",),
    "network": ("network",),
    "floating_network": ("floating_network",),
    "config_drive": ("config_drive",),
    "availability_zone": ("availability_zone",),
    "timeout": ("timeout",),
    "ssh_port": ("ssh_port",),
}
"""As `clouds.yaml` and the environment of OpenStack's own client have them, and as libcloud has."""
_PASSWORD, _APPLICATION = "3.x_password", "3.x_appcred"
_INTERFACES = ("public", "internal", "admin")
_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Options:
    auth_url: str
    """Without the version."""
    identity: Mapping[str, object] = field(repr=False)
    """What keystone is told, `auth` of its request."""
    region: str
    """Empty: the only one."""
    interface: str
    networks: tuple[str, ...]
    """Names or ids; empty: the only one of the project."""
    floating_network: str
    """Where floating addresses come from; empty: machines get none."""
    config_drive: bool
    zone: str
    timeout: float
    ssh_port: int


def read(cloud: ResolvedCloud, credentials: Mapping[str, object]) -> Options:
    """Raises Stalled for what is missing, and for what nobody would read."""
    said = _canonical(cloud, {**cloud.options, **credentials})
    if cloud.region:
        said["region"] = cloud.region
    if not (url := _text(said, "auth_url")):
        raise _wrong(cloud, "no auth_url: say in options where keystone answers")
    interface = (_text(said, "interface") or "public").removesuffix("URL")
    if interface not in _INTERFACES:
        raise _wrong(cloud, f"option interface = {interface!r} is none of {', '.join(_INTERFACES)}")
    networks = said.get("network", ())
    return Options(
        auth_url=url.rstrip("/").removesuffix("/v3"),
        identity=_identity(cloud, said),
        region=_text(said, "region"),
        interface=interface,
        networks=tuple(map(str, networks if isinstance(networks, tuple) else (networks,))),
        floating_network=_text(said, "floating_network"),
        config_drive=_flag(cloud, said),
        zone=_text(said, "availability_zone"),
        timeout=_seconds(cloud, said),
        ssh_port=ssh_port(cloud),
    )


def _canonical(cloud: ResolvedCloud, given: Mapping[str, object]) -> dict[str, object]:
    by_name = {name: own for own, names in _NAMES.items() for name in names}
    if unknown := sorted(set(given) - set(by_name)):
        near = get_close_matches(unknown[0], by_name, 3)
        hint = f" (near: {', '.join(near)})" if near else ""
        raise _wrong(cloud, f"driver openstack has no option {unknown[0]!r}{hint}")
    return {by_name[name]: value for name, value in given.items()}


def _identity(cloud: ResolvedCloud, said: Mapping[str, object]) -> Mapping[str, object]:
    id, secret = (_text(said, f"application_credential_{each}") for each in ("id", "secret"))
    version = _text(said, "auth_version") or _PASSWORD
    if version not in {_PASSWORD, _APPLICATION}:
        raise _wrong(
            cloud, f"ex_force_auth_version = {version!r} is neither {_PASSWORD} nor {_APPLICATION}"
        )
    if version == _APPLICATION:
        id, secret = id or _text(said, "username"), secret or _text(said, "password")
    if id and secret:
        method = {"id": id, "secret": secret}
        return _by("application_credential", method)
    user, password = _named(said, "user_id", "username"), _text(said, "password")
    project = _named(said, "project_id", "project")
    if not (user and password and project):
        raise _wrong(
            cloud,
            "keystone wants username, password and project, or application_credential_id and"
            " application_credential_secret: put them into the credentials of the Cloud",
        )
    domain = _named(said, "domain_id", "domain") or {"name": "Default"}
    if "name" in user:
        user["domain"] = domain
    if "name" in project:
        project["domain"] = _named(said, "project_domain_id", "project_domain") or domain
    asked = _by("password", {"user": {**user, "password": password}})
    return {**asked, "scope": {"project": project}}


def _by(method: str, content: Mapping[str, object]) -> dict[str, object]:
    return {"identity": {"methods": [method], method: content}}


def _named(said: Mapping[str, object], id: str, name: str) -> dict[str, object]:
    """Empty where neither is said."""
    if _text(said, id):
        return {"id": _text(said, id)}
    return {"name": _text(said, name)} if _text(said, name) else {}


def _text(said: Mapping[str, object], name: str) -> str:
    return str(said.get(name, ""))


def _flag(cloud: ResolvedCloud, said: Mapping[str, object]) -> bool:
    value = said.get("config_drive", False)
    if not isinstance(value, bool):
        raise _wrong(cloud, f"option config_drive = {value!r} is neither true nor false")
    return value


def _seconds(cloud: ResolvedCloud, said: Mapping[str, object]) -> float:
    value = said.get("timeout", _TIMEOUT)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise _wrong(cloud, f"option timeout = {value!r} is no number of seconds")
    return value


def _wrong(cloud: ResolvedCloud, what: str) -> Stalled:
    return Stalled(f"cloud {cloud.name!r}: {what}")
