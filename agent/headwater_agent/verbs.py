"""The verbs of recipes: `headwater-get` and its kin, and their `ss-` aliases.

Exit codes: 0 ok, 1 not all as expected, 2 usage, 7 unknown key, not yours, or no such value,
8 aborted, 9 not set in time or never. A verb outlives its daemon: it asks the next one. Imports
are the cost of a call: keep them few.
"""

import os
import time

# Not `socket`: that takes as long to import as all the rest.
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as new_socket

from headwater_agent.frames import SOCKET, pack, unpack

OK, UNEQUAL, USAGE, REFUSED, TIMEOUT, INTERRUPTED = 0, 1, 2, 7, 9, 255
VALUE_LIMIT = 64 * 1024
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# name: (usage, options without value, options with value, fewest and most arguments)
GRAMMAR = {
    "get": ("[--timeout S] [--noblock] [--ignore-abort] KEY",
            "noblock ignore-abort", "timeout", 1, 1),
    "get-all": ("[--timeout S] [--noblock] [--ignore-abort] [--value V] NODE KEY",
                "noblock ignore-abort", "timeout value", 2, 2),
    "set": ("[--ignore-abort] [--] KEY VALUE", "ignore-abort", "", 2, 2),
    "abort": ("[--cancel] [--] [REASON]", "cancel", "", 0, 1),
    "cancel-abort": ("", "", "", 0, 0),
    "display": ("[--ignore-abort] [--] VALUE", "ignore-abort", "", 1, 1),
    "random": ("[-s N | --size N] [KEY]", "", "size", 0, 1),
    "hosts": ("", "", "", 0, 0),
    "machinefile": ("[--slots KEY] [--timeout S] [NODE]", "", "slots timeout", 0, 1),
}  # fmt: skip


class Exit(Exception):  # it is no error
    """The end of a call: its exit code, and what to say on standard error."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def main(argv: "list[str]") -> None:
    """`argv` is the agent's root, the name of the link that was called, its arguments."""
    root, program = argv[0], argv[1]
    try:
        os.chdir(root)
        code, words, printed = _act(program.partition("-")[2], argv[2:])
    except Exit as end:
        code, words, printed = end.code, end.words, b""
    except KeyboardInterrupt:
        code, words, printed = INTERRUPTED, "", b""
    _write(1, printed)
    if words:
        _write(2, os.fsencode("%s: %s\n" % (program, words)))
    # Skips the interpreter's own tidying up: nothing is left to tidy.
    os._exit(code)


def _act(name: str, arguments: "list[str]") -> "tuple[int, str, bytes]":
    options, values = _parse(name, arguments)
    if name == "hosts":
        return OK, "", hosts()
    if name in ("get-all", "machinefile"):
        from headwater_agent import cluster  # noqa: PLC0415  # the other verbs need none of it

        if name == "get-all":
            return cluster.get_all(values[0], values[1], options)
        return cluster.machine_file(values[0] if values else b"", options)
    if name == "random":
        drawn = _random(_count(options.get("size", "12"), "size"))
        if not values:
            return OK, "", drawn + b"\n"
        code, words, _ = Question("set", values[0], drawn, options).answer()
        return code, words, drawn + b"\n" if code == OK else b""
    if name == "abort" and "cancel" in options:
        name, values = "cancel-abort", []
    if name == "abort":
        values = values or [b"(unspecified)"]
    key = values.pop(0) if name in ("get", "set") else b""
    deadline = deadline_of(options) if name == "get" else None
    code, words, value = Question(name, key, b"".join(values), options, deadline).answer()
    return code, words, value + b"\n" if name == "get" and code == OK else b""


def _parse(name: str, arguments: "list[str]") -> "tuple[dict[str, str], list[bytes]]":
    """Options and arguments, in any order, as the seed's commands take them."""
    if name not in GRAMMAR:
        raise Exit(USAGE, "no such verb")
    usage, flags, valued, fewest, most = GRAMMAR[name]
    options: "dict[str, str]" = {}
    values: "list[bytes]" = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            values += [os.fsencode(value) for value in rest]
            break
        if not argument.startswith("-") or argument == "-":
            values.append(os.fsencode(argument))
            continue
        option, equals, value = argument.lstrip("-").partition("=")
        if argument[:2] == "-s" and "size" in valued.split():
            option, equals, value = "size", argument[2:], argument[2:]
        if option in flags.split() and not equals:
            options[option] = ""
        elif option in (*valued.split(), "endpoint", "run") and (equals or rest):
            options[option] = value if equals else rest.pop(0)
        elif argument.strip("v") not in ("-", "--") and argument not in ("--verbose", "--quiet"):
            raise Exit(USAGE, "unknown option %s; usage: %s %s" % (argument, name, usage))
    if not fewest <= len(values) <= most:
        raise Exit(USAGE, ("usage: %s %s" % (name, usage)).rstrip())
    return options, values


def deadline_of(options: "dict[str, str]") -> "float | None":
    """Of a get that is asked now, in monotonic time; None where it waits for ever."""
    patience = _count(options.get("timeout", "60"), "timeout")
    return time.monotonic() + patience if patience else None


def _count(text: str, option: str) -> int:
    if not text.isdigit():
        raise Exit(USAGE, "--%s takes a whole number, not %r" % (option, text))
    return int(text)


class Question:
    """One question to the controller, by way of the daemon. Asked when it is made."""

    def __init__(
        self,
        verb: str,
        key: bytes,
        value: bytes,
        options: "dict[str, str]",
        deadline: "float | None" = None,
    ) -> None:
        """Waits until the deadline, in monotonic time. Raises Exit."""
        if len(value) > VALUE_LIMIT:
            words = "the value has %d bytes; %d may be set" % (len(value), VALUE_LIMIT)
            raise Exit(REFUSED, words)
        for text, name in ((key, "key"), (value, "value")):
            try:
                text.decode()
            except UnicodeDecodeError:
                raise Exit(REFUSED, "the %s is no UTF-8 text; base64 makes it one" % name) from None
        self._deadline = deadline
        self._key = key
        self._value = value
        # A report is collected also, and above all, when the run is aborted.
        ignores = "ignore-abort" in options or os.environ.get("HEADWATER_IGNORE_ABORT") == "1"
        self._fields = (
            verb.encode(),
            b"0" if "noblock" in options else b"1",
            b"1" if ignores else b"0",
        )
        self._ask()

    def _ask(self) -> None:
        left = self._left()
        patience = b"" if left is None else b"%d" % (1000 * left)
        self._connection = new_socket(AF_UNIX, SOCK_STREAM)
        try:
            self._connection.connect(SOCKET)
            self._connection.sendall(pack(b"verb", *self._fields, patience, self._key, self._value))
        except OSError:
            self._connection.close()  # `answer` finds it so

    def answer(self) -> "tuple[int, str, bytes]":
        """Exit code, words, value. Raises Exit when the time is over."""
        pause = 0.05
        while True:
            answer = self._receive()
            if answer is not None:
                return int(answer[0]), os.fsdecode(answer[1]), answer[2]
            self._left()
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
            self._ask()

    def _receive(self) -> "list[bytes] | None":
        """The daemon's answer; None where it went away, or is not there."""
        received = b""
        try:
            while True:
                self._connection.settimeout(self._left())
                more = self._connection.recv(65536)
                if not more:
                    return None
                received += more
                answer = unpack(received, 3)
                if answer is not None:
                    return answer
        except OSError:
            self._left()
            return None
        finally:
            self._connection.close()

    def _left(self) -> "float | None":
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Exit(TIMEOUT, "%s is not set in time" % os.fsdecode(self._key))
        return left


def _random(size: int) -> bytes:
    """From the system's own generator; bytes that would favour some letters are dropped."""
    drawn = b""
    fair = 256 - 256 % len(LETTERS)
    while len(drawn) < size:
        drawn += bytes(LETTERS[byte % len(LETTERS)] for byte in os.urandom(size) if byte < fair)
    return drawn[:size]


def hosts() -> bytes:
    try:
        with open("hosts", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _write(descriptor: int, content: bytes) -> None:
    while content:
        try:
            content = content[os.write(descriptor, content) :]
        except OSError:
            return  # nobody reads any more
