"""For drivers that do one thing at a time."""

from collections.abc import Callable, Iterable


def attempt_each(call: Callable[[str], None], ids: Iterable[str]) -> list[Exception | None]:
    """One answer per id: what the call raised, if it did."""
    return [_attempt(call, id) for id in ids]


def _attempt(call: Callable[[str], None], id: str) -> Exception | None:
    try:
        call(id)
    except Exception as error:  # noqa: BLE001  # translated by the account, as a value
        return error
    return None
