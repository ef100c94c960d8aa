"""What commit messages say to the controller."""

import re

import pygit2

KEY = "Headwater-Approve"
MOST_COMMITS = 1000
"""How far back approvals are looked for."""

_TRAILER = re.compile(
    rf"^{KEY}:[ \t]*([0-9a-f]{{16}})[ \t\r]*$".encode(), re.MULTILINE | re.IGNORECASE
)


def approvals_since(
    repository: pygit2.Repository, tip: pygit2.Commit, accepted: str | None
) -> tuple[str, ...]:
    """Digests in the trailers of the commits after `accepted`; of the tip alone without one."""
    walker = repository.walk(tip.id)
    if accepted and accepted in repository:
        walker.hide(pygit2.Oid(hex=accepted))
    found: dict[str, None] = {}
    for number, commit in enumerate(walker):
        if number >= MOST_COMMITS or (number and not accepted):
            break
        # The bytes: a message may name an encoding that nobody knows.
        digests = _TRAILER.findall(commit.raw_message)
        found |= dict.fromkeys(digest.decode().lower() for digest in digests)
    return tuple(found)
