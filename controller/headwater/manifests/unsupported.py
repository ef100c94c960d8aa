"""What the language has and this version does not act upon: an error, never silently ignored."""

from collections.abc import Iterator
from dataclasses import dataclass

from headwater.manifests.positions import Key


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A key (`*` is any key or index) of a kind; `harmless` values say what happens anyway."""

    kind: str
    key: str
    harmless: tuple[object, ...] = ()


UNSUPPORTED_KINDS = ("Policy",)

UNSUPPORTED = (
    Unsupported("DeploymentSet", "spec.pullRequests"),
    Unsupported("Image", "spec.build"),
    Unsupported("Image", "spec.source"),
)


def unsupported(kind: str, document: object) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Where such keys are written, with the key as the user writes it."""
    for entry in UNSUPPORTED:
        if entry.kind == kind:
            for place, value in _matches(document, entry.key.split(".")):
                if value not in entry.harmless:
                    yield place, _written(place, value)


def _matches(value: object, keys: list[str]) -> Iterator[tuple[tuple[Key, ...], object]]:
    if not keys:
        yield (), value
    elif isinstance(value, dict):
        for key in value if keys[0] == "*" else [k for k in keys[:1] if k in value]:
            for place, found in _matches(value[key], keys[1:]):
                yield (key, *place), found


def _written(place: tuple[Key, ...], value: object) -> str:
    key = str(place[-1])
    match value:
        case bool():
            return f"{key} = {str(value).lower()}"
        case str() if "\n" not in value:
            return f'{key} = "{value}"'
        case int():
            return f"{key} = {value}"
    return key
