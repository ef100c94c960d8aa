"""Our block of lines in a file that is not ours: hosts, authorized keys."""

import os

from headwater_agent.journal import replace

BEGIN = b"# BEGIN headwater\n"
END = b"# END headwater\n"


def with_block(text: bytes, lines: "list[bytes]") -> bytes:
    """`text` with our block replaced, or added at its end; without lines, without a block."""
    block = b"".join([BEGIN] + [line + b"\n" for line in lines] + [END]) if lines else b""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        return before + block + after
    # Without its end, all that follows the beginning may be someone else's.
    return before + (b"\n" if before and not before.endswith(b"\n") else b"") + block + rest


def maintain(path: str, lines: "list[bytes]", mode: int) -> None:
    """Keep our block in the file, which keeps its mode if it exists. Raises OSError."""
    try:
        with open(path, "rb") as file:
            text = file.read()
        mode = os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        text = b""
    wanted = with_block(text, lines)
    if wanted == text:
        return
    real = os.path.realpath(path)
    owner = os.stat(os.path.dirname(real))
    try:
        replace(real, wanted, mode)
        if owner.st_uid != os.geteuid():
            os.chown(real, owner.st_uid, owner.st_gid)
    except OSError:
        # A file that is a mount of its own (containers) can be written, not replaced.
        with open(real, "r+b") as file:
            file.write(wanted)
            file.truncate()
