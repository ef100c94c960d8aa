"""Secrets on this machine: no log and no record of the agent holds what a verb was answered.

Whoever keeps what a step prints must know them, and the disk must not: the daemon tells each
runner through a pipe with a name, and a new runner is a fork that knows what the daemon knows.
A secret reaches the pipe before it reaches the step, and so before it can be printed.
"""

import os
import select
import stat
import time

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from headwater_agent.masking import Masks

DIRECTORY = "hush"
SIZE = 4
"""Bytes of the number in front of a secret: how many it has."""
PATIENCE = 1.0
"""Seconds for a runner to take what a pipe does not hold at once."""

_known: "set[str]" = set()


def learn(secret: str) -> None:
    """Hide it in what runs, and in what will be started. A runner that is gone is forgotten."""
    if not secret or secret in _known:
        return
    _known.add(secret)
    if not os.path.isdir(DIRECTORY):
        return
    content = secret.encode("utf-8", "replace")
    frame = len(content).to_bytes(SIZE, "big") + content
    for name in os.listdir(DIRECTORY):
        path = DIRECTORY + "/" + name
        try:
            _tell(path, frame)
        except OSError:
            os.unlink(path)


def _tell(path: str, frame: bytes) -> None:
    pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            raise OSError("%s is no pipe" % path)
        deadline = time.monotonic() + PATIENCE
        while frame:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [pipe], [], left)[1]:
                raise OSError("%s is full" % path)
            frame = frame[os.write(pipe, frame) :]
    finally:
        os.close(pipe)


class Ear:
    """A runner's end. `masks` is None as long as there is nothing to hide."""

    def __init__(self) -> None:
        """Raises OSError."""
        os.makedirs(DIRECTORY, 0o700, exist_ok=True)
        self._path = "%s/%d" % (DIRECTORY, os.getpid())
        if os.path.exists(self._path):
            os.unlink(self._path)  # of a process with our number, long ago
        os.mkfifo(self._path, 0o600)
        # Open for writing, too: so it never comes to an end.
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        self._received = b""
        self._hidden = 0
        self.masks: "Masks | None" = None
        if _known:
            self._renew()

    def listen(self) -> None:
        """Take in what was told."""
        try:
            while True:
                self._received += os.read(self.descriptor, 65536)
        except BlockingIOError:
            pass
        while len(self._received) >= SIZE:
            end = SIZE + int.from_bytes(self._received[:SIZE], "big")
            if len(self._received) < end:
                break
            _known.add(self._received[SIZE:end].decode("utf-8", "replace"))
            self._received = self._received[end:]
        if len(_known) > self._hidden:
            self._renew()

    def close(self) -> None:
        os.unlink(self._path)

    def _renew(self) -> None:
        from headwater_agent.masking import Masks  # noqa: PLC0415  # slow, and rarely needed

        self.masks, self._hidden = Masks(_known), len(_known)
