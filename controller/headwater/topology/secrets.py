"""Secrets as values: they may be handed on, and nothing shows them by accident."""

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "(secret)"
"""What people see instead."""


class SecretValue:
    """A text that neither `str`, `repr`, `format`, pickle nor JSON shows.

    `reveal` is the one way to it: where that stands is where a secret leaves this program, or is
    sealed, or is looked for in what was printed.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    @classmethod
    def joined(cls, values: "Iterable[Value]") -> "SecretValue":
        """One item per line."""
        return cls("\n".join(v if isinstance(v, str) else v.reveal() for v in values))

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, _: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> "SecretValue":
        return self

    def __deepcopy__(self, _: object) -> "SecretValue":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be written down")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it may lie on a disk."""

    sealed: str


Value = str | SecretValue
"""Of a parameter, for who may read it."""
