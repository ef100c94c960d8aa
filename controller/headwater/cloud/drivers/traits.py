"""What a driver can do and by which arguments: read from the driver, or said by options."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from libcloud.compute.base import NodeDriver

from headwater.cloud.drivers.known import KNOWN
from headwater.cloud.drivers.refusals import no_contact, no_login, no_tags
from headwater.cloud.drivers.tagging import Form
from headwater.errors import Stalled
from headwater.topology.machines import Ability

_SSH = 22
_LAG = 60.0
"""EC2's "eventual consistency" is said to be over within minutes, and mostly is within seconds."""
_USER_DATA = ("ex_userdata", "ex_user_data", "ex_customdata", "ex_custom_data", "cloud_init")
_TAGS = {"ex_metadata": Form.TABLE, "ex_tags": Form.LABELS, "ex_tag": Form.LINE}
_TOKENS = ("ex_clienttoken", "ex_client_token", "ex_token")
_LOGINS = ("ex_user_name", "ex_username", "ex_admin_user_id")
_CONSOLES = ("ex_get_console_output", "ex_read_console_output_node")
_IMAGES = ("get_image", "ex_get_image")


class Contact(StrEnum):
    """How the first login knows the machine; there is no trust on first use."""

    TOLD = "told"
    """The driver tells the host key: `extra["host_key"]`, and `host_key` among its features."""
    USER_DATA = "user-data"
    """The machine is given a one-time host key."""
    CONSOLE = "console"
    """cloud-init prints the host keys on the machine's console."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of create_node's arguments, the name is told; `ex_metadata.user-data` is an entry of one.

    Empty where the driver has none.
    """

    takes: frozenset[str]
    requires: frozenset[str]
    tags: str
    form: Form
    token: str
    user_data: str
    as_bytes: bool
    login_user: str
    contact: Contact
    console: str
    image_by: str
    """The driver's method; empty where an image is its id."""
    ssh_port: int
    lag: float
    abilities: frozenset[Ability]


def traits_of(
    driver: NodeDriver | type[NodeDriver], name: str, options: Mapping[str, object]
) -> Traits:
    """Of the driver that manifests call so.

    Raises Stalled for one whose machines could not be found again, or logged in to.
    """
    said = {**KNOWN.get(str(driver.type), {}), **options}
    parameters = create_parameters(driver)
    tags = str(said.get("tags_as", _first(_TAGS, parameters)))
    user_data = str(said.get("user_data_as", _first(_USER_DATA, parameters)))
    token = str(said.get("token_as", _first(_TOKENS, parameters)))
    if not tags:
        raise Stalled(no_tags(name, _TAGS))
    return Traits(
        takes=frozenset(parameters),
        requires=frozenset(n for n, p in parameters.items() if p.default is p.empty),
        tags=tags,
        form=_one_of(Form, "tags_form", said.get("tags_form", _TAGS.get(tags, Form.TABLE))),
        token=token,
        user_data=user_data,
        as_bytes=_text_of("user_data_form", said, ("text", "bytes")) == "bytes",
        login_user=_first(_LOGINS, parameters),
        contact=_contact(driver, name, said, user_data),
        console=_console(driver),
        image_by=_text_of("image_by", said, ("", *_IMAGES)),
        ssh_port=_port(said),
        lag=_seconds(said),
        abilities=_abilities(driver, said, user_data, token),
    )


def create_parameters(driver: NodeDriver | type[NodeDriver]) -> dict[str, inspect.Parameter]:
    """By name, those that a `**kwargs` hands on to a parent's included."""
    kind = driver if isinstance(driver, type) else type(driver)
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "create_node" not in base.__dict__ or base is NodeDriver:
            continue
        every = inspect.signature(base.__dict__["create_node"]).parameters.values()
        named = [p for p in every if p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}]
        found = {p.name: p for p in named[1:]} | found
        if len(named) == len(every):
            break
    return found


def has_own(driver: NodeDriver | type[NodeDriver], *methods: str) -> bool:
    """Whether it does all of these: libcloud's base class has them, and none works."""
    kind = driver if isinstance(driver, type) else type(driver)
    return all(getattr(kind, m, None) is not getattr(NodeDriver, m, None) for m in methods)


def _contact(driver: Any, name: str, said: Mapping[str, object], user_data: str) -> Contact:
    can = {
        Contact.TOLD: "host_key" in _features(driver),
        Contact.USER_DATA: bool(user_data),
        Contact.CONSOLE: bool(_console(driver)),
    }
    wanted = said.get("first_contact", next((way for way, holds in can.items() if holds), None))
    if wanted is None:
        raise Stalled(no_contact(name))
    contact = _one_of(Contact, "first_contact", wanted)
    if contact is not Contact.TOLD and not can[contact]:
        raise Stalled(f"driver {name} has no {contact} (option first_contact)")
    if contact is not Contact.USER_DATA and not _gives_login(driver):
        raise Stalled(no_login(name))
    return contact


def _gives_login(driver: Any) -> bool:
    parameters = create_parameters(driver)
    by_auth = "ssh_key" in _features(driver) and "auth" in parameters
    return by_auth or ("ex_keyname" in parameters and imports_keys(driver))


def imports_keys(driver: NodeDriver | type[NodeDriver]) -> bool:
    return has_own(driver, "import_key_pair_from_string", "list_key_pairs")


def _abilities(
    driver: Any, said: Mapping[str, object], user_data: str, token: str
) -> frozenset[Ability]:
    can = {
        Ability.TAGS: True,
        Ability.TOKENS: bool(token),
        Ability.USER_DATA: bool(user_data),
        Ability.PORTS: said.get("ports_open") is True,
        Ability.IMAGES: has_own(driver, "create_image"),
        Ability.STOP: has_own(driver, "stop_node", "start_node"),
    }
    return frozenset(ability for ability, holds in can.items() if holds)


def _features(driver: Any) -> Iterable[str]:
    return (driver.features or {}).get("create_node") or ()


def _console(driver: Any) -> str:
    return next((name for name in _CONSOLES if hasattr(driver, name)), "")


def _first(names: Iterable[str], present: Iterable[str]) -> str:
    there = set(present)
    return next((name for name in names if name in there), "")


T = TypeVar("T", bound=StrEnum)


def _one_of(kind: type[T], option: str, value: object) -> T:
    try:
        return kind(str(value))
    except ValueError:
        raise Stalled(_not_one_of(option, value, [str(each) for each in kind])) from None


def _text_of(option: str, said: Mapping[str, object], allowed: tuple[str, ...]) -> str:
    value = str(said.get(option, allowed[0]))
    if value not in allowed:
        raise Stalled(_not_one_of(option, value, [each for each in allowed if each]))
    return value


def _not_one_of(option: str, value: object, allowed: Iterable[str]) -> str:
    return f"option {option} = {value!r} is none of {', '.join(allowed)}"


def _port(said: Mapping[str, object]) -> int:
    port = said.get("ssh_port", _SSH)
    if not isinstance(port, int) or not 0 < port < 1 << 16:
        raise Stalled(f"option ssh_port = {port!r} is no port")
    return port


def _seconds(said: Mapping[str, object]) -> float:
    lag = said.get("lag", _LAG)
    if not isinstance(lag, int | float) or not 0 <= lag < 1 << 16:
        raise Stalled(f"option lag = {lag!r} is no number of seconds")
    return float(lag)
