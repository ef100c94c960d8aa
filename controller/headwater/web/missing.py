"""What is asked for and is not there."""

from difflib import get_close_matches

from headwater.errors import Refused


class NotFound(Refused):
    """There is no such thing, as far as this controller knows."""


def exists(name: str, known: list[str], kind: str) -> None:
    """Raises NotFound, with the nearest name."""
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {len(known)}"
        raise NotFound(f"no {kind} '{name}' ({hint})")
