"""The verbs that wait for the controller: who asked what, on whichever line it is answered."""

import array
import os
import socket
import time

from headwater_agent import protocol
from headwater_agent.frames import TAKEN, pack

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

WRITE_PATIENCE = 1.0
MOST_DIGITS = 12


class Client:
    """Who has connected to the socket: a verb, or `attach` that brings a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.descriptors = array.array("i")
        self.request: "dict[str, object] | None" = None
        self.deadline: "float | None" = None
        """When it gives up, in monotonic time; None for never."""

    @property
    def process(self) -> int:
        """Who is at the other end."""
        size = 3 * array.array("i").itemsize
        told = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return array.array("i", told)[0]

    def receive(self) -> bool:
        """False when the other side is gone."""
        room = socket.CMSG_SPACE(2 * self.descriptors.itemsize)
        try:
            content, ancillary, _, _ = self.connection.recvmsg(65536, room)
        except OSError:
            return False
        for level, kind, passed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                size = len(passed) - len(passed) % self.descriptors.itemsize
                self.descriptors.frombytes(passed[:size])
        self.received += content
        return bool(content)

    def take(self) -> bool:
        """Tell `attach` that its line is ours now; False when it is gone."""
        try:
            self.connection.send(TAKEN)
        except OSError:
            return False
        return True

    def answer(self, frame: bytes) -> None:
        try:
            self.connection.settimeout(WRITE_PATIENCE)
            self.connection.sendall(frame)
        except OSError:
            pass  # it has just given up

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.connection.close()


class Questions:
    """`tell` sends a message to the controller, or drops it where there is no line."""

    def __init__(self, tell: "Callable[[dict[str, object]], None]") -> None:
        self._tell = tell
        self._count = 0
        self._waiting: "dict[int, Client]" = {}

    def ask(self, client: Client, fields: "list[bytes]") -> None:
        verb, wait, ignore_abort, _, key, value = [
            field.decode("utf-8", "replace") for field in fields
        ]
        patience = fields[3]  # milliseconds; more digits are as good as for ever
        if patience.isdigit() and len(patience) <= MOST_DIGITS:
            client.deadline = time.monotonic() + int(patience) / 1000
        self._count += 1
        client.request = protocol.request(
            id=self._count,
            verb=verb,
            key=key,
            value=value,
            wait=wait == "1",
            ignore_abort=ignore_abort == "1",
        )
        self._waiting[self._count] = client
        self._put(client)

    def ask_again(self) -> None:
        """A new line knows of nothing."""
        for client in list(self._waiting.values()):
            self._put(client)

    def _put(self, client: Client) -> None:
        if client.request is not None:
            if client.deadline is not None:
                client.request["patience"] = max(client.deadline - time.monotonic(), 0.0)
            self._tell(client.request)

    @property
    def by_process(self) -> "dict[int, list[int]]":
        """The questions that wait, by the processes that ask them."""
        found: "dict[int, list[int]]" = {}
        for number, client in self._waiting.items():
            found.setdefault(client.process, []).append(number)
        return found

    def give_up(self, client: Client) -> None:
        for number, waiting in list(self._waiting.items()):
            if waiting is client:
                del self._waiting[number]
                self._tell(protocol.cancel(number))

    def secret_of(self, message: "dict[str, Any]") -> str:
        """What a reply says is secret: the value that it brings, or that was set."""
        client = self._waiting.get(message["id"])
        if message.get("secret") is not True or client is None or client.request is None:
            return ""
        return str(message["value"] or client.request["value"])

    def answered(self, message: "dict[str, Any]") -> "Client | None":
        """The client that the reply was for, served; None when it has given up meanwhile."""
        frame = pack(
            b"%d" % message["code"],
            message["error"].replace("\0", "").encode("utf-8", "replace"),
            message["value"].encode("utf-8", "replace"),
        )
        client = self._waiting.pop(message["id"], None)
        if client is not None:
            client.answer(frame)
        return client
