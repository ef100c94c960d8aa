"""Near misses: what the user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_WORD = 64
_LENGTH_DIFFERENCE = 4


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint naming the nearest candidate; empty where none is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    similar = sorted(c for c in candidates if abs(len(c) - len(word)) <= _LENGTH_DIFFERENCE)
    same = [c for c in similar if c.lower() == word.lower()]
    nearest = same or get_close_matches(word, similar, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else ""
