"""The agent itself: one process, one loop, between the recipes and the controller's line."""

import os
import selectors
import socket
import sys
import time

from headwater_agent import protocol
from headwater_agent.blocked import Blocked
from headwater_agent.frames import unpack
from headwater_agent.health import Health, check_of
from headwater_agent.hush import learn
from headwater_agent.journal import CONTEXTS, journal_of
from headwater_agent.line import Line, LineClosed
from headwater_agent.questions import Client, Questions
from headwater_agent.surroundings import (
    remove_other_programs,
    write_authorized_keys,
    write_hosts,
    write_launchers,
)
from headwater_agent.telling import INTERVAL, Account, TaskAccount, Telling
from headwater_agent.work import Work, document_of

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Callable

ATTACH, VERB = 2, 7
"""Fields of a frame."""
LINE = 2
"""Descriptors of a line: incoming, outgoing."""
MALFORMED = (protocol.ProtocolError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of a message without the fields of its kind."""
LARGEST = 2**53
IDLE = 60.0
"""Seconds between looks whether the root still exists."""


class Daemon:
    """Runs in the agent's root. Raises OSError when the root cannot be written."""

    def __init__(self, root: str, digest: str, listener: socket.socket) -> None:
        self._digest = digest
        self._serving = True
        self._line: "Line | None" = None
        self._selector = selectors.DefaultSelector()
        self._questions = Questions(self._tell)
        write_launchers(root)
        remove_other_programs(digest)
        self._work = Work(root, self._selector, self._on_hint)
        self._telling = Telling()
        self._blocked = Blocked(self._work, self._questions, self._tell)
        self._health = Health(root, self._selector, self._work, self._tell)
        self._answers: "dict[str, Any]" = {
            "context": self._on_context,
            "health": self._on_health,
            "task": self._on_task,
            "heard": self._on_heard,
            "hosts": self._on_hosts,
            "stop": self._on_stop,
            "reply": self._on_reply,
        }
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._on_connection)

    def serve(self) -> None:
        """Until another version takes over, or the root is removed."""
        while self._serving:
            pause = min(self._health.attend(), self._patience())
            ready = self._selector.select(pause)
            for key, _ in ready:
                # An earlier one may have closed it, and its number may be another's by now.
                if self._selector.get_map().get(key.fd) is key:
                    key.data(key.fd)
            if self._work.found:
                self._look()
            if self._telling.due and time.monotonic() >= self._telling.due:
                self._tell_news()
            if self._blocked.due and time.monotonic() >= self._blocked.due:
                self._blocked.look()
            if not ready and not os.path.exists("socket"):
                return

    def _patience(self) -> float:
        if self._work.found:
            return INTERVAL
        due = [due for due in (self._telling.due, self._blocked.due) if due]
        return max(min(due) - time.monotonic(), 0.0) if due else IDLE

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
        elif fields[:1] == [b"verb"] and len(fields) == VERB and client.request is None:
            self._questions.ask(client, fields[1:])
            self._blocked.stir()
        else:
            self._questions.give_up(client)
            self._blocked.stir()
            self._close(client)

    def _take_line(self, client: Client, digest: bytes) -> None:
        """The newest line wins. Another version's means that it is our turn to go."""
        self._selector.unregister(client.connection)
        if len(client.descriptors) != LINE:
            client.close()
            return
        self._serving = digest == self._digest.encode()
        if not (self._serving and client.take()):
            client.close()
            return
        self._drop_line("a newer one has come")
        self._line = Line(
            self._selector, (client.descriptors[0], client.descriptors[1]), client.connection
        )
        self._line.open(self._on_received, self._on_room, self._on_hung_up)
        self._telling.begin()
        self._tell(protocol.hello(self._digest))
        self._questions.ask_again()
        self._blocked.stir()

    def _close(self, client: Client) -> None:
        self._selector.unregister(client.connection)
        client.close()

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
        except MALFORMED as error:
            self._drop_line("%s: %s" % (type(error).__name__, error))

    def _tell_news(self) -> None:
        try:
            self._telling.tell(self._line)
        except LineClosed as closed:
            self._drop_line(str(closed))

    def _on_room(self, _: int) -> None:
        try:
            if self._line is not None:
                self._line.drained()
        except LineClosed as closed:
            self._drop_line(str(closed))
        self._tell_news()

    def _on_hung_up(self, _: int) -> None:
        self._drop_line("its SSH session has ended")

    def _drop_line(self, why: str) -> None:
        if self._line is not None:
            _say("line closed: " + why)
            self._line.close()
            self._line = None

    def _on_context(self, message: "dict[str, Any]") -> None:
        document, have = document_of(message, collects=False), _offset(message, "have")
        try:
            write_authorized_keys(message["authorized_keys"])
            journal = self._work.want(document)
        except OSError as error:
            journal = journal_of(CONTEXTS, document["id"])
            journal.trouble = str(error)
        self._telling.of_context(Account(document["id"], journal, have))
        self._stepped()

    def _on_health(self, message: "dict[str, Any]") -> None:
        try:
            self._health.want(check_of(message))
        except OSError as error:
            _say("health: %s" % error)

    def _on_task(self, message: "dict[str, Any]") -> None:
        collects = bool(message["collects"])
        document, have = document_of(message, collects), _offset(message, "have")
        have_report = _offset(message, "have_report")
        journal = self._work.take(document)
        self._telling.of_task(
            TaskAccount(
                document["id"], journal, have=have, have_report=have_report, collects=collects
            )
        )
        self._stepped()

    def _on_heard(self, message: "dict[str, Any]") -> None:
        task = str(message["task"])
        self._telling.release(task)
        try:
            self._work.release(task)
        except OSError as error:
            _say("heard: %s" % error)

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
        self._tell_news()

    def _on_reply(self, message: "dict[str, Any]") -> None:
        learn(self._questions.secret_of(message))
        client = self._questions.answered(message)
        self._blocked.stir()
        if client is not None:
            self._close(client)

    # Steps, by their runners.

    def _on_hint(self, hints: int) -> None:
        self._learn(lambda: self._work.hinted(hints))

    def _look(self) -> None:
        """At a step that an earlier daemon started: its runner tells us nothing."""
        self._learn(self._work.look)

    def _learn(self, has_stepped: "Callable[[], bool]") -> None:
        try:
            stepped = has_stepped()
        except OSError as error:
            _say("journal: %s" % error)
            stepped = True
        if stepped:
            self._stepped()
        else:
            self._telling.printed()

    def _stepped(self) -> None:
        """Another step runs now, or none."""
        step = self._work.step
        if step is not None and self._telling.is_about(self._work.id):
            self._tell(protocol.started(self._work.id, *step))
        self._tell_news()


def _offset(message: "dict[str, Any]", name: str) -> int:
    """Raises LookupError, ValueError."""
    value = message[name]
    if not isinstance(value, int) or not 0 <= value < LARGEST:
        raise ValueError("%s is no number of bytes: %r" % (name, value))
    return value


def _say(words: str) -> None:
    sys.stderr.write("%d %s\n" % (time.time(), words))
    sys.stderr.flush()
