"""The controller's line: messages over two descriptors that `attach` has handed over."""

import os
import selectors
import socket

from headwater_agent import protocol

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Callable

ROOM = 256 * 1024
"""Output is read from disk only while less than this waits to be taken."""


class LineClosed(Exception):  # nothing is wrong with it
    pass


class Line:
    """Owns its descriptors. Sending never blocks; what is not taken yet waits."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        descriptors: "tuple[int, int]",
        holder: socket.socket,
    ) -> None:
        self._selector = selector
        self._incoming, self._outgoing = descriptors
        self._holder = holder
        self._decoder = protocol.Decoder()
        self._waiting = bytearray()
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)

    def open(
        self,
        received: "Callable[[int], None]",
        takes_more: "Callable[[int], None]",
        hung_up: "Callable[[int], None]",
    ) -> None:
        """Call back on the loop: there is something to receive, to send, nobody there."""
        self._takes_more = takes_more
        self._selector.register(self._incoming, selectors.EVENT_READ, received)
        self._selector.register(self._holder, selectors.EVENT_READ, hung_up)

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < ROOM

    def receive(self) -> "list[dict[str, object]]":
        """Raises LineClosed, ProtocolError."""
        try:
            content = os.read(self._incoming, 65536)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LineClosed(str(error)) from error
        if not content:
            raise LineClosed("the other side hung up")
        return self._decoder.feed(content)

    def send(self, message: "dict[str, object]") -> None:
        """Raises LineClosed."""
        idle = not self._waiting
        self._waiting += protocol.encode(message)
        if idle:
            self.flush()
            if self._waiting:
                self._selector.register(self._outgoing, selectors.EVENT_WRITE, self._takes_more)

    def flush(self) -> None:
        """Raises LineClosed."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._outgoing, self._waiting)]
        except BlockingIOError:
            return
        except OSError as error:
            raise LineClosed(str(error)) from error

    def drained(self) -> None:
        """The other side takes more. Raises LineClosed."""
        self.flush()
        if not self._waiting:
            self._selector.unregister(self._outgoing)

    def close(self) -> None:
        for descriptor in (self._incoming, self._outgoing, self._holder):
            try:  # noqa: SIM105  # contextlib is slow to import
                self._selector.unregister(descriptor)
            except KeyError:
                pass
        os.close(self._incoming)
        os.close(self._outgoing)
        # Its end tells the process that keeps the SSH session open to go.
        self._holder.close()
