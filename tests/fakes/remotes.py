"""Git servers on loopback: the git program behind stdlib HTTP, and behind asyncssh."""

import asyncio
import base64
import os
import shlex
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh


@contextmanager
def http_server(
    root: Path, login: str = "", certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Serves the repositories below `root`; yields the URL of `root`. Login is `user:password`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    server.daemon_threads = True
    vars(server).update(root=root, login=login)
    scheme = "http"
    if certificate:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Backend(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        expected = base64.b64encode(self.server.login.encode()).decode()
        if self.server.login and self.headers.get("Authorization") != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        ended = subprocess.run(
            ["git", "http-backend"],
            input=self._body(),
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_USER": "ada",
                "REMOTE_ADDR": "127.0.0.1",
            },
        )
        self._answer(ended.stdout)

    do_POST = do_GET  # noqa: N815  # http.server's name

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, output: bytes) -> None:
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@asynccontextmanager
async def ssh_server(authorized: asyncssh.SSHKey) -> AsyncIterator[tuple[int, asyncssh.SSHKey]]:
    """Runs the git commands that it is asked for. Yields its port and host key."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    keys = asyncssh.import_authorized_keys(authorized.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=keys,
        process_factory=_run_git,
        encoding=None,
    )
    try:
        yield server.get_port(), host_key
    finally:
        server.close()
        await server.wait_closed()


async def _run_git(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    command = process.command or ""
    assert command.startswith("git-"), command
    git = await asyncio.create_subprocess_exec(
        *shlex.split(f"git {command.removeprefix('git-')}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert git.stdin
    feeding = asyncio.create_task(_feed(process.stdin, git.stdin))
    await asyncio.gather(_copy(git.stdout, process.stdout), _copy(git.stderr, process.stderr))
    feeding.cancel()
    process.exit(await git.wait())


async def _copy(source: Any, sink: Any) -> None:
    while chunk := await source.read(1 << 16):
        sink.write(chunk)
        await sink.drain()


async def _feed(source: Any, sink: asyncio.StreamWriter) -> None:
    try:
        await _copy(source, sink)
    finally:
        sink.close()
