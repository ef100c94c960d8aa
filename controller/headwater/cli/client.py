"""The running controller, found through its state directory."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from shutil import copyfileobj
from socket import socket
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlencode

from headwater.errors import HeadwaterError, Refused
from headwater.planning.status import ControllerStatus
from headwater.web.encoding import decode
from headwater.web.listening import connected

_T = TypeVar("_T")
_OK = 200
_PAUSE = 0.1
"""Seconds between two looks for a controller that is only starting."""
TIMEOUT = 30.0
"""Seconds for an answer to begin, and between two pieces of it; streams may pause for ever."""


class Client:
    """One connection per request. What goes wrong is Refused, with what to do next."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def await_controller(self, patience: float) -> None:
        """Until one answers; after `patience` seconds it is up to the next call to complain."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                self.get(ControllerStatus, "/api/v1/status")
            except Refused:
                time.sleep(_PAUSE)
            else:
                return

    def get(self, type_: type[_T], path: str) -> _T:
        with self._answer("GET", path) as (answer, _):
            return self._decoded(type_, json.load(answer))

    def post(self, path: str, **body: str) -> str:
        """The controller's words on what follows."""
        return str(self.ask(path, **body)["message"])

    def ask(self, path: str, **body: str) -> Any:
        """The whole answer to a wish."""
        with self._answer("POST", path, json.dumps(body).encode()) as (answer, _):
            return json.load(answer)

    def fetch(self, path: str, file: BinaryIO) -> None:
        """What stands at the path, as it is, into a file."""
        with self._answer("GET", path) as (answer, _):
            copyfileobj(answer, file)

    def save(self, path: str, file: Path) -> None:
        """The body as it comes; the file is whole, or as it was before."""
        part = file.with_name(f".{file.name}.part")
        try:
            with self._answer("GET", path) as (answer, _), part.open("wb") as target:
                shutil.copyfileobj(answer, target)
                if answer.length:
                    raise HTTPException(f"{answer.length} bytes of {file.name} are missing")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def statuses(self, deadline: float | None = None) -> Iterator[ControllerStatus]:
        """The status now and after each change, until the controller stops.

        Raises TimeoutError at the deadline, in the seconds of `time.monotonic()`.
        """
        for line in self.lines("/api/v1/watch", deadline):
            yield self._decoded(ControllerStatus, line)

    def lines(self, path: str, deadline: float | None = None) -> Iterator[Any]:
        """The values of a stream of JSON lines as they come, until it ends or the deadline."""
        with self._answer("GET", path) as (answer, sock):
            while True:
                sock.settimeout(_left(deadline))
                if not (line := answer.readline()):
                    return
                yield json.loads(line)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | None = None
    ) -> Iterator[tuple[HTTPResponse, socket]]:
        connection = _Connection(self._state)
        try:
            connection.request(method, path, body)
            with connection.getresponse() as answer:
                if answer.status != _OK:
                    raise Refused(_error(answer))
                yield answer, connection.sock
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise Refused(self._nobody()) from None
        except TimeoutError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            raise Refused(
                f"the controller of {self._state} broke off: {error or type(error).__name__}; "
                "see its log"
            ) from error
        finally:
            connection.close()

    def _nobody(self) -> str:
        return (
            f"no controller runs on the state directory {self._state}; start one with "
            f"`headwater run --state {self._state}`, or name another directory with --state"
        )

    def _decoded(self, type_: type[_T], value: Any) -> _T:
        try:
            return decode(type_, value)
        except (ValueError, TypeError, KeyError) as error:
            raise HeadwaterError(
                f"the controller of {self._state} speaks another version of Headwater ({error}); "
                "use the same version for both"
            ) from error


def path_of(deployment: str, *parts: str, **query: str) -> str:
    """The API's path for a deployment; empty values of the query are left out."""
    path = "/".join(["/api/v1/deployments", *(quote(p, safe="") for p in (deployment, *parts))])
    asked = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{asked}" if asked else path


def _error(answer: HTTPResponse) -> str:
    text = answer.read().decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the controller answered {answer.status}: {text.strip()}"


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


class _Connection(HTTPConnection):
    def __init__(self, state: Path) -> None:
        super().__init__("localhost")
        self._state = state

    def connect(self) -> None:
        self.sock = connected(self._state, TIMEOUT)
