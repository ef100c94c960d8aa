"""The agent itself: one process, one loop, between the recipes and the controller's line."""

import array
import os
import selectors
import socket
import sys
import time

from headwater_agent import log, protocol
from headwater_agent.frames import TAKEN, pack, unpack
from headwater_agent.line import Line, LineClosed
from headwater_agent.surroundings import (
    remove_other_programs,
    write_authorized_keys,
    write_hosts,
    write_launchers,
)
from headwater_agent.work import Work

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any

ATTACH, VERB = 2, 6
"""Fields of a frame."""
LINE = 2
"""Descriptors of a line: incoming, outgoing."""
CHUNK = 48 * 1024
INTERVAL = 0.05
"""Seconds between two messages of output, and between looks at a step that was found running."""
IDLE = 60.0


class Client:
    """A verb that waits for its reply, or `attach` that brings a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.descriptors = array.array("i")
        self.request: "dict[str, object] | None" = None

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

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.connection.close()


class Daemon:
    """Runs in the agent's root. Raises OSError when the root cannot be written."""

    def __init__(self, root: str, digest: str, listener: socket.socket) -> None:
        self._digest = digest
        self._selector = selectors.DefaultSelector()
        self._line: "Line | None" = None
        self._clients: "dict[int, Client]" = {}
        self._requests = 0
        self._asked: "str | None" = None
        self._offset = 0
        self._told = False
        self._due = 0.0
        self._pumped = 0.0
        self._trouble = ""
        self._serving = True
        self._answers: "dict[str, Any]" = {
            "context": self._on_context,
            "hosts": self._on_hosts,
            "stop": self._on_stop,
            "reply": self._on_reply,
        }
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._on_connection)
        write_launchers(root)
        remove_other_programs(digest)
        self._work = Work(root, self._selector, self._on_hint)

    def serve(self) -> None:
        """Until another version takes over, or the root is removed."""
        while self._serving:
            ready = self._selector.select(self._patience())
            for key, _ in ready:
                # An earlier one may have closed it, and its number may be another's by now.
                if self._selector.get_map().get(key.fd) is key:
                    key.data(key.fd)
            if self._work.found and self._work.look():
                self._stepped()
            if self._due and time.monotonic() >= self._due:
                self._pump()
            if not ready and not os.path.exists("socket"):
                return

    def _patience(self) -> float:
        if self._work.found:
            return INTERVAL
        return max(self._due - time.monotonic(), 0.0) if self._due else IDLE

    # Recipes and `attach`, over the socket.

    def _on_connection(self, _: int) -> None:
        try:
            connection = self._listener.accept()[0]
        except OSError:
            return
        connection.setblocking(False)
        client = Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda _: self._on_client(client))

    def _on_client(self, client: Client) -> None:
        try:
            fields = unpack(client.received, VERB) if client.receive() else []
        except ValueError:
            fields = []
        if fields is None:
            return
        if fields[:1] == [b"attach"] and len(fields) == ATTACH:
            self._take_line(client, fields[1])
        elif fields[:1] == [b"verb"] and len(fields) == VERB and client.request is None:  # as _ask
            self._ask(client, fields[1:])
        else:
            self._forget(client)

    def _take_line(self, client: Client, digest: bytes) -> None:
        """The newest line wins. Another version's means that it is our turn to go."""
        self._selector.unregister(client.connection)
        self._serving = digest == self._digest.encode()
        if not (self._serving and len(client.descriptors) == LINE and client.take()):
            client.close()
            return
        self._drop_line("a newer one has come")
        self._line = Line(
            self._selector, (client.descriptors[0], client.descriptors[1]), client.connection
        )
        self._line.open(self._on_received, self._on_room, self._on_hung_up)
        self._asked = None
        self._tell(protocol.hello(self._digest))
        for waiting in self._clients.values():
            if waiting.request is not None:
                self._tell(waiting.request)

    def _ask(self, client: Client, fields: "list[bytes]") -> None:
        verb, wait, ignore_abort, key, value = [
            field.decode("utf-8", "replace") for field in fields
        ]
        self._requests += 1
        client.request = protocol.request(
            id=self._requests,
            verb=verb,
            key=key,
            value=value,
            wait=wait == "1",
            ignore_abort=ignore_abort == "1",
        )
        self._clients[self._requests] = client
        self._tell(client.request)

    def _forget(self, client: Client) -> None:
        self._selector.unregister(client.connection)
        client.close()
        if client.request is not None:
            id: "Any" = client.request["id"]  # the field's word
            del self._clients[id]
            self._tell(protocol.cancel(id))

    # The controller, over its line.

    def _tell(self, message: "dict[str, object]") -> None:
        if self._line is not None:
            try:
                self._line.send(message)
            except LineClosed as closed:
                self._drop_line(str(closed))

    def _on_received(self, _: int) -> None:
        try:
            for message in self._line.receive() if self._line else ():
                answer = self._answers.get(str(message["kind"]))
                if answer is None:
                    _say("ignored a message of kind %s" % message["kind"])
                else:
                    answer(message)
        except LineClosed as closed:
            self._drop_line(str(closed))
        except (protocol.ProtocolError, KeyError, TypeError, ValueError) as error:
            self._drop_line("%s: %s" % (type(error).__name__, error))

    def _on_room(self, _: int) -> None:
        try:
            if self._line is not None:
                self._line.drained()
        except LineClosed as closed:
            self._drop_line(str(closed))
        self._pump()

    def _on_hung_up(self, _: int) -> None:
        self._drop_line("its SSH session has ended")

    def _drop_line(self, why: str) -> None:
        if self._line is not None:
            _say("line closed: " + why)
            self._line.close()
            self._line = None

    def _on_context(self, message: "dict[str, Any]") -> None:
        self._asked, self._offset, self._told = str(message["id"]), int(message["have"]), False
        del message["kind"], message["have"]
        self._trouble = ""
        try:
            write_authorized_keys(message["authorized_keys"])
            self._work.want(message)
            self._report_step()
        except OSError as error:
            self._trouble = str(error)
        self._pump()

    def _on_hosts(self, message: "dict[str, Any]") -> None:
        try:
            write_hosts(message["lines"])
        except OSError as error:
            _say("hosts: %s" % error)

    def _on_stop(self, _: "dict[str, Any]") -> None:
        try:
            self._work.stop()
        except OSError as error:
            _say("stop: %s" % error)
        self._pump()

    def _on_reply(self, message: "dict[str, Any]") -> None:
        client = self._clients.pop(message["id"], None)
        if client is None:
            return  # given up meanwhile
        client.request = None
        frame = pack(
            b"%d" % message["code"],
            message["error"].replace("\0", "").encode("utf-8", "replace"),
            message["value"].encode("utf-8", "replace"),
        )
        try:
            client.connection.settimeout(1.0)
            client.connection.sendall(frame)
        except OSError:
            pass  # given up just now
        self._forget(client)

    # Steps, and what they print.

    def _on_hint(self, hints: int) -> None:
        try:
            ended = self._work.heard(hints)
        except OSError as error:
            self._trouble, ended = str(error), True
        if ended:
            self._stepped()
        elif not self._due:
            self._due = max(time.monotonic(), self._pumped + INTERVAL)

    def _stepped(self) -> None:
        self._report_step()
        self._pump()

    def _report_step(self) -> None:
        step = self._work.step
        if step is not None and self._asked == self._work.id:
            self._tell(protocol.started(self._work.id, *step))

    def _pump(self) -> None:
        """Send what is new in the log while the line takes it, and then the end."""
        self._due, self._pumped = 0.0, time.monotonic()
        journal = self._work.wanted
        while self._line is not None and self._line.has_room and self._asked is not None:
            if self._trouble or journal is None or self._asked != self._work.id:
                self._tell_end({"reason": "unstartable", "words": self._trouble})
                return
            content = log.read(journal.log, self._offset, CHUNK)
            if not content:
                end = journal.ended
                if end is not None:
                    self._tell_end(end)
                return
            self._tell(protocol.output(self._asked, self._offset, content))
            self._offset += len(content)

    def _tell_end(self, end: "dict[str, object]") -> None:
        if self._told or self._asked is None:
            return
        self._told = True
        outcome: "dict[str, object]" = {
            "succeeded": False,
            "step": "",
            "exit_code": None,
            "reason": "",
            "words": "",
            "seconds": 0.0,
        }
        outcome.update(end)
        self._tell(protocol.ended(self._asked, outcome))


def _say(words: str) -> None:
    sys.stderr.write("%d %s\n" % (time.time(), words))
    sys.stderr.flush()
