"""Which options of a Cloud manifest go where: to us, to the constructor, or to create_node."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from headwater.cloud.drivers.known import OPTIONS
from headwater.cloud.drivers.traits import Traits, create_parameters
from headwater.errors import Stalled

_LISTS = {"location": "list_locations", "networks": "ex_list_networks"}
"""Arguments of create_node that are objects: the driver's method that lists them."""

_OURS = {"name", "size", "image", "auth", "ex_keyname", "root_pass"}
"""Arguments that differ from machine to machine, or are nobody's to know."""


@dataclass(frozen=True, slots=True)
class Options:
    ours: Mapping[str, object]
    constructor: Mapping[str, object]
    create: Mapping[str, object]
    """By argument; `ex_create_attr.ipv6` is an entry of one."""


def split(options: Mapping[str, object], constructor: Any) -> Options:
    """What the constructor names goes there; else what create_node names; the rest again there."""
    first = constructor_parameters(constructor)
    then = {name for kind in _kinds(constructor) for name in create_parameters(kind)}
    parts: dict[str, dict[str, object]] = {"ours": {}, "constructor": {}, "create": {}}
    for name, value in options.items():
        argument = name.partition(".")[0]
        to_create = argument not in first and (argument in then or "." in name)
        place = "ours" if name in OPTIONS else "create" if to_create else "constructor"
        parts[place][name] = value
    return Options(**parts)


def constructor_parameters(constructor: Any) -> set[str]:
    """Those that it or a parent names."""
    made = [
        each
        for kind in getattr(constructor, "__mro__", ())
        for each in (kind.__dict__.get("__init__"), kind.__dict__.get("__new__"))
        if inspect.isfunction(each) or isinstance(each, staticmethod)
    ]
    found = {name for each in made for name in inspect.signature(each).parameters}
    return found - {"self", "cls", "args", "kwargs"}


def takes_region(constructor: Any) -> bool:
    """Where create_node must be told a location, that is the region; some constructors choke."""
    asked = [create_parameters(kind).get("location") for kind in _kinds(constructor)]
    required = any(each is not None and each.default is each.empty for each in asked)
    return not required and "region" in constructor_parameters(constructor)


def _kinds(constructor: Any) -> Iterator[Any]:
    """Some constructors choose a class below by the version that is asked for."""
    yield constructor
    for below in getattr(constructor, "__subclasses__", tuple)():
        yield from _kinds(below)


def create_arguments(
    driver: Any, traits: Traits, options: Options, region: str
) -> Mapping[str, object]:
    """What is said at every creation, by argument or entry of one. Raises Stalled."""
    said = dict(options.create)
    if "location" in traits.requires and region:
        said.setdefault("location", region)
    _check(str(driver.type), traits, said)
    for argument, method in _LISTS.items():
        if argument in said:
            said[argument] = _found(argument, said[argument], getattr(driver, method))
    return said


def _check(driver: str, traits: Traits, said: Iterable[str]) -> None:
    theirs = _arguments(said)
    ours = _arguments((traits.tags, traits.user_data, traits.token, traits.login_user)) - {""}
    if doubled := sorted(theirs & _OURS):
        raise Stalled(f"option {doubled[0]!r} is said by the component or its image")
    if unknown := sorted((theirs | ours) - traits.takes):
        raise Stalled(
            f"create_node of driver {driver} takes no {unknown[0]!r}: correct the options"
        )
    if missing := sorted(traits.requires - theirs - ours - _OURS):
        wants = "spec.region of the Cloud" if missing[0] == "location" else "an option"
        raise Stalled(f"driver {driver} needs to be told {missing[0]!r}: set {wants}")


def _arguments(paths: Iterable[str]) -> set[str]:
    return {path.partition(".")[0] for path in paths}


def _found(argument: str, wanted: object, listed: Callable[[], Sequence[Any]]) -> object:
    """By id or name, one or each of several."""
    every = listed()
    if isinstance(wanted, tuple | list):
        return [_one(argument, each, every) for each in wanted]
    one = _one(argument, wanted, every)
    return [one] if argument.endswith("s") else one


def _one(argument: str, wanted: object, every: Sequence[Any]) -> object:
    for each in every:
        if str(wanted) in {str(each.id), str(each.name)}:
            return each
    names = [str(each.id) for each in every]
    near = get_close_matches(str(wanted), names, 3) or sorted(names)[:3]
    raise Stalled(f"there is no {argument} {wanted!r} (near: {', '.join(near) or 'none at all'})")


def nested(flat: Mapping[str, object]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    found: dict[str, Any] = {}
    for path, value in flat.items():
        argument, dot, key = path.partition(".")
        if dot:
            found.setdefault(argument, {})[key] = value
        elif isinstance(value, Mapping):
            found.setdefault(argument, {}).update(value)
        else:
            found[argument] = value
    return found
