"""How the verbs and `attach` talk to the daemon over its socket: length, newline, fields.

Not JSON: importing it would double the cost of a verb.
"""

SOCKET = "socket"
"""Relative to the agent's root: both sides go there first, as a socket's path holds 107 bytes."""
LIMIT = 256 * 1024
TAKEN = b"+"
"""What the daemon answers to `attach` once the line is its own."""


def pack(*fields: bytes) -> bytes:
    """Only the last field may contain NUL."""
    body = b"\0".join(fields)
    return b"%d\n%s" % (len(body), body)


def unpack(received: bytes, fields: int) -> "list[bytes] | None":
    """The fields of a whole frame; None while it is incomplete. Raises ValueError."""
    head, newline, body = received.partition(b"\n")
    if len(head) > len(str(LIMIT)):
        raise ValueError("not a frame")
    if not newline:
        return None
    size = int(head)
    if not 0 <= size <= LIMIT:
        raise ValueError("not a frame")
    return body[:size].split(b"\0", fields - 1) if len(body) >= size else None
