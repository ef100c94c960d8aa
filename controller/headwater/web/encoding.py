"""Frozen values as JSON with camelCase names, and back."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def encode(value: object) -> Any:
    """What `json.dumps` takes: dataclasses become objects, tuples arrays, times ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            name: encode(getattr(value, attribute)) for name, attribute, _ in _shape(type(value))
        }
    if isinstance(value, tuple | list):
        return [encode(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def decode(type_: type[_T], value: Any) -> _T:
    """The value that `encode` was given. Names that this version does not know are left out.

    Raises ValueError, TypeError or KeyError for what no `encode` has made.
    """
    result: _T = _decode(type_, value)
    return result


def _decode(type_: Any, value: Any) -> Any:
    if isinstance(type_, UnionType):
        (inner,) = (t for t in get_args(type_) if t is not NoneType)
        return None if value is None else _decode(inner, value)
    if get_origin(type_) is tuple:
        return tuple(_decode(get_args(type_)[0], each) for each in value)
    if is_dataclass(type_) and isinstance(type_, type):
        return type_(**{a: _decode(t, value[n]) for n, a, t in _shape(type_) if n in value})
    if type_ is datetime:
        return datetime.fromisoformat(value)
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type_(value)
    if not isinstance(value, type_):
        raise TypeError(f"expected {type_.__name__}, not {value!r}")
    return value


@cache
def _shape(type_: Any) -> tuple[tuple[str, str, Any], ...]:
    """(name in JSON, attribute, type) of each field."""
    hints = get_type_hints(type_)
    return tuple((_camel(f.name), f.name, hints[f.name]) for f in fields(type_))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
