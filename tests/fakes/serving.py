"""HTTP on a real socket of this host, for doubles of what speaks it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """With what is asked for behind it."""
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    text: str = ""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[int]:
    """Its port. Where `answer` raises ConnectionResetError, there is none."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answer: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_DELETE(self) -> None:
            self._do()

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                said = answer(Request(self.command, self.path, headers, body))
            except ConnectionResetError:
                self.close_connection = True
                return
            content = said.text.encode()
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have given up
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
