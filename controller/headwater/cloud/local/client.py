"""The driver's line to the host process of a directory, which it starts when none runs."""

import json
import logging
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from headwater.cloud.local.layout import Layout, socket_address
from headwater.cloud.local.volumes import load_all
from headwater.cloud.local.wire import HostError, encode, result

_log = logging.getLogger("headwater.cloud.local")

_ANSWER_SECONDS = 120.0
_START_SECONDS = 30.0
_CHUNK = 1 << 16


class HostClient:
    """One request at a time on a line of its own: safe to share between threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has_machines(self) -> bool:
        """Whether a listing can hold anything. Starts nothing."""
        return bool(self._layout.ids())

    def volumes(self) -> Any:
        """Every volume as it is shown; starts nothing as long as no machine can have one."""
        found = load_all(self._layout)
        used = any(volume.machine for volume in found)
        return self.ask("volumes") if used else [asdict(volume) for volume in found]

    def ask(self, verb: str, **arguments: Any) -> Any:
        """The host's result; the host is started, once, when it is dead or ends meanwhile.

        Every verb may be asked twice: creations are told apart by their token. Raises HostError.
        """
        request = encode({"verb": verb, **arguments})
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return result(json.loads(self._converse(request)))
            except TimeoutError as error:
                text = f"the local cloud's host does not answer, see {self._layout.log}"
                raise HostError(504, text) from error
            except (OSError, EOFError) as error:
                if time.monotonic() > deadline:
                    text = f"no host of the local cloud can be reached in {self._layout.root}"
                    raise HostError(503, f"{text}: {error}") from error
                self._start_host()

    def _converse(self, request: bytes) -> bytes:
        """Raises OSError without a live host, EOFError when it ends before it has answered."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_ANSWER_SECONDS)
            with socket_address(self._layout.control) as address:
                line.connect(address)
            line.sendall(request)
            answer = bytearray()
            while not answer.endswith(b"\n"):
                chunk = line.recv(_CHUNK)
                if not chunk:
                    raise EOFError("the host ended")
                answer += chunk
        return bytes(answer)

    def _start_host(self) -> None:
        """Returns when a host serves the directory, or another client is about to see to it."""
        module = "headwater.cloud.local.host"
        try:
            started = subprocess.run(  # noqa: S603  # ourselves
                [sys.executable, "-m", module, "--directory", str(self._layout.root)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_START_SECONDS,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            text = f"the local cloud's host does not get ready, see {self._layout.log}"
            raise HostError(504, text) from error
        if started.returncode:
            reason = started.stderr.strip().splitlines()[-1:] or ["it does not say why"]
            raise HostError(500, reason[0])
        _log.debug("host.started", extra={"directory": str(self._layout.root)})
