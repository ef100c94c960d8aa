"""One program on a machine, at the other end of an SSH channel.

File descriptors feed the channel directly: no transports, no tasks, and flow control both ways.
"""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncssh

from headwater.cloud.local import processes
from headwater.cloud.local.levels.shape import Command

_CHUNK = 1 << 17
_INPUT_LIMIT = 1 << 18
"""Bytes for a program that does not read; then the channel's window closes."""
_TERMINAL_LINGER = 0.2
"""Seconds that a terminal stays open for what a program's children still print."""

_TERMINAL_SHELL = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'
"""The first terminal that the leader of a session opens becomes its controlling terminal."""

Prepare = Callable[[Sequence[str]], Command]


@dataclass(frozen=True, slots=True)
class _Terminal:
    type: str
    size: tuple[int, int, int, int]


class Session(asyncssh.SSHServerSession[bytes]):
    """Runs `/bin/sh -c COMMAND`, or a login shell, as sshd does."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._loop = asyncio.get_running_loop()
        self._command: str | None = None
        self._terminal: _Terminal | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._returncode: int | None = None
        self._outputs: dict[int, int | None] = {}
        self._input = -1
        self._held_open = -1
        self._enters = False
        self._pending = bytearray()
        self._input_ended = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(
        self,
        term_type: str,
        term_size: tuple[int, int, int, int],
        term_modes: object,
    ) -> bool:
        del term_modes
        self._terminal = _Terminal(term_type, term_size)
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        shell = ["/bin/sh", "-l"] if self._command is None else ["/bin/sh", "-c", self._command]
        command = self._prepare(shell)
        self._enters = command.enters
        command.environment.update(self._client_environment())
        try:
            if self._terminal is None:
                self._start_on_pipes(command)
            else:
                self._start_on_terminal(command, self._terminal)
        except OSError as error:
            self._channel.write(f"cannot start {shell[0]}: {error}\n".encode(), _STDERR)
            self._channel.exit(127)
            return
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)
        os.set_blocking(self._input, False)
        self.resume_writing()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        del datatype
        if self._input < 0:
            return
        self._pending += data
        self._feed()

    def eof_received(self) -> bool:
        self._input_ended = True
        if not self._pending:
            self._close_input()
        return True

    def signal_received(self, signal: str) -> None:
        self._send(signal)

    def break_received(self, msec: int) -> bool:
        del msec
        self._send("INT")
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        for descriptor in self._outputs:
            _resize(descriptor, (width, height, pixwidth, pixheight))

    def pause_writing(self) -> None:
        for descriptor in self._outputs:
            self._loop.remove_reader(descriptor)

    def resume_writing(self) -> None:
        for descriptor in self._outputs:
            self._loop.add_reader(descriptor, self._drain, descriptor)

    def connection_lost(self, exc: Exception | None) -> None:
        """Programs live on as under sshd: without a terminal they only lose their pipes."""
        del exc
        self._close_input()
        for descriptor in list(self._outputs):
            self._close_output(descriptor)

    def _client_environment(self) -> dict[str, str]:
        sent = self._channel.get_environment()
        kept = {name: text for name, text in sent.items() if name == "LANG" or name[:3] == "LC_"}
        return kept | ({"TERM": self._terminal.type} if self._terminal else {})

    def _start_on_pipes(self, command: Command) -> None:
        self._child = child = subprocess.Popen(  # noqa: S603  # running what a login asks for
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command.environment,
            cwd=command.folder,
            start_new_session=True,
        )
        processes.when_ended(child, self._ended)
        self._input = _detached(child.stdin)
        self._outputs = {_detached(child.stdout): None, _detached(child.stderr): _STDERR}

    def _start_on_terminal(self, command: Command, terminal: _Terminal) -> None:
        ours, theirs = pty.openpty()
        # Until the program ends: a terminal that nobody holds open looks like one that has ended.
        self._held_open = theirs
        self._outputs = {ours: None}
        _resize(ours, terminal.size)
        try:
            self._child = subprocess.Popen(  # noqa: S603  # running what a login asks for
                ["/bin/sh", "-c", _TERMINAL_SHELL, os.ttyname(theirs), *command.argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=command.environment,
                cwd=command.folder,
                start_new_session=True,
            )
            processes.when_ended(self._child, self._ended)
            self._input = os.dup(ours)
        except OSError:
            self._close_output(ours)
            self._close_terminal()
            raise

    def _feed(self) -> None:
        try:
            written = os.write(self._input, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:
            self._close_input()
            return
        del self._pending[:written]
        if self._pending:
            self._loop.add_writer(self._input, self._feed)
            if len(self._pending) > _INPUT_LIMIT:
                self._channel.pause_reading()
            return
        self._loop.remove_writer(self._input)
        if self._input_ended:
            self._close_input()
        self._channel.resume_reading()

    def _drain(self, descriptor: int) -> None:
        try:
            content = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last user has gone
            content = b""
        if content:
            self._channel.write(content, self._outputs[descriptor])
        else:
            self._close_output(descriptor)
            self._finish()

    def _ended(self, returncode: int) -> None:
        self._returncode = returncode
        if self._terminal is not None:
            self._close_terminal()
            self._loop.call_later(_TERMINAL_LINGER, self._hang_up)
        self._finish()

    def _hang_up(self) -> None:
        for descriptor in list(self._outputs):
            self._close_output(descriptor)
        self._finish()

    def _finish(self) -> None:
        """The program's end is told when its output is, like sshd does."""
        if self._returncode is None or self._outputs or self._channel.is_closing():
            return
        if self._returncode < 0:
            name = signal.Signals(-self._returncode).name.removeprefix("SIG")
            self._channel.exit_with_signal(name)
        else:
            self._channel.exit(self._returncode)

    def _send(self, name: str) -> None:
        """To the program's process group, like sshd; not to what only leads into the machine."""
        number = getattr(signal, f"SIG{name}", None)
        if self._child is None or self._returncode is not None or number is None:
            return
        for pid in processes.in_group(self._child.pid):
            if pid != self._child.pid or not self._enters:
                processes.send(pid, number)

    def _close_input(self) -> None:
        self._pending.clear()
        if self._input >= 0:
            self._loop.remove_writer(self._input)
            os.close(self._input)
            self._input = -1

    def _close_terminal(self) -> None:
        if self._held_open >= 0:
            os.close(self._held_open)
            self._held_open = -1

    def _close_output(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del self._outputs[descriptor]
        os.close(descriptor)


_STDERR = asyncssh.EXTENDED_DATA_STDERR


def _detached(pipe: object) -> int:
    """The bare descriptor of a child's pipe, ours to close."""
    if not hasattr(pipe, "fileno"):
        raise TypeError("the child has no such pipe")
    descriptor = os.dup(pipe.fileno())
    pipe.close()  # type: ignore[attr-defined]
    return descriptor


def _resize(descriptor: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixel_width, pixel_height = size
    packed = struct.pack("HHHH", height, width, pixel_width, pixel_height)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, packed)
