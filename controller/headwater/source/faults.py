"""What Git says when it fails, turned into what we do next."""

from headwater.errors import HeadwaterError, Stalled, Transient

SHA256 = (
    "is a SHA-256 repository, which libgit2 does not read: push it to one made with"
    " `git init --object-format=sha1` and watch that"
)
REFTABLE = (
    "keeps its references in a reftable, which libgit2 does not read: convert it with"
    " `git refs migrate --ref-format=files`"
)


class Moved(Transient):
    """Somebody else wrote the reference first: fetch it, and try again."""


# Both libgit2 and the git program fail in prose only. First match wins; what no line knows is
# Transient, because networks fail in more words than repositories do.
_RULES: tuple[tuple[tuple[str, ...], type[HeadwaterError], str], ...] = (
    (("object format", "mismatched algorithms"), Stalled, SHA256),
    (("refstorage",), Stalled, REFTABLE),
    (
        ("not owned by current user", "dubious ownership"),
        Stalled,
        "belongs to another user: `git config --global --add safe.directory PATH` trusts it",
    ),
    (
        ("permission denied (",),
        Stalled,
        "refuses the login: check the ssh key and that the host knows it",
    ),
    (
        ("permission denied", "read-only", "hook declined", "protected"),
        Stalled,
        "does not allow it: check permissions",
    ),
    (
        (
            "non-fast-forward",
            "non-fastforward",
            "fetch first",
            "not the first parent",
            "not present locally",
        ),
        Moved,
        "somebody else wrote at the same time",
    ),
    (("failed to lock", "failed to create locked file", "cannot lock ref"), Moved, "is locked"),
    (
        ("host key verification failed",),
        Stalled,
        "the host's key is not the one in the known_hosts file: check it, then add or correct it",
    ),
    (
        ("authentication", "status code: 401", "status code: 403", "a login is needed"),
        Stalled,
        "refuses the login: check the user and token",
    ),
    (("certificate",), Stalled, "its certificate is not trusted: install its authority's"),
    (
        ("object not found",),
        Stalled,
        "is not whole, or not readable: check permissions; `git fsck` tells more",
    ),
    (
        (
            "could not find repository",
            "does not appear to be a git",
            "not found",
            "status code: 404",
        ),
        Stalled,
        "no such repository: check the address",
    ),
    (("unsafe", "unsupported url protocol"), Stalled, "cannot be spoken to: check the address"),
)
_LENGTH = 300


def explain(error: BaseException | str, where: str) -> HeadwaterError:
    """The error that says what happened at `where` (an address without password) and what next."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    for words, consequence, advice in _RULES:
        for line in lines:
            if any(word in line.lower() for word in words):
                return consequence(f"{where}: {advice} ({line[:_LENGTH]})")
    said = " ".join(lines)[:_LENGTH] or type(error).__name__
    return Transient(f"{where}: {said}")
