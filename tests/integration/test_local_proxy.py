"""The way out of machines that have no route: a real proxy, between real sockets."""

import asyncio
import ipaddress
import shutil
import socket
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from headwater.cloud.local.levels.gate import PORT
from headwater.cloud.local.outside import Outside, proxies_of_host
from headwater.cloud.local.proxy import Limits, Proxy
from host_packages import tiny_package
from local_cloud import DEADLINE, LocalCloud, local_cloud, output, run

LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
SHORT = 0.05
OPEN = Outside({}, closed=())


@asynccontextmanager
async def proxy(
    outside: Outside = OPEN,
    limits: Limits | None = None,
    clients: ipaddress.IPv4Network = LOOPBACK,
) -> AsyncIterator[int]:
    """The port of a proxy on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    over = asyncio.Event()
    serving = asyncio.create_task(Proxy(clients, outside, limits).serve(listener, over))
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        await asyncio.wait_for(serving, DEADLINE)


class Origin:
    """A web server on loopback that remembers what it was sent."""

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.after: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        self.heads.append(head)
        lengths = [line.split()[1] for line in head if line.startswith("Content-Length:")]
        self.bodies.append(await reader.readexactly(int(lengths[0]) if lengths else 0))
        writer.write(self.answer)
        await writer.drain()
        writer.write_eof()
        self.after.append(await reader.read())
        writer.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    made = Origin(0)
    async with listening(made.serve) as made.port:
        yield made


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What it got, once that has ended."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def line(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(DEADLINE):
            yield reader, writer
    finally:
        writer.transport.abort()


async def ask(port: int, request: str) -> str:
    """All that the proxy answers until it closes."""
    async with line(port) as (reader, writer):
        writer.write(request.encode())
        return (await reader.read()).decode()


def words(answer: str) -> str:
    return answer.split("\r\n", 1)[0]


async def test_a_page_is_fetched_and_nothing_meant_for_the_proxy_is_passed_on(
    origin: Origin,
) -> None:
    async with proxy() as port:
        answer = await ask(
            port,
            f"GET http://127.0.0.1:{origin.port}/a%20b?x=1&y HTTP/1.1\r\nHost: elsewhere\r\n"
            "Proxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nAccept: */*\r\n"
            "Connection: X-Mine\r\nX-Mine: 1\r\n\r\n",
        )

    assert answer == Origin.answer.decode()
    assert origin.heads == [
        [
            "GET /a%20b?x=1&y HTTP/1.1",
            f"Host: 127.0.0.1:{origin.port}",
            "Accept: */*",
            "Via: 1.1 headwater",
            "Connection: close",
        ]
    ]


async def test_a_body_is_sent_and_nothing_of_what_follows_it(origin: Origin) -> None:
    url = f"http://127.0.0.1:{origin.port}/"
    async with proxy() as port:
        answer = await ask(
            port,
            f"POST {url} HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET {url} HTTP/1.1\r\n\r\n",
        )

    assert answer == Origin.answer.decode()
    assert (origin.bodies, origin.after) == ([b"hello"], [b""])


async def test_a_large_answer_arrives_whole_at_a_client_that_has_asked_ahead(
    origin: Origin,
) -> None:
    body = b"0123456789abcdef" * (1 << 16)
    origin.answer = b"HTTP/1.1 200 OK\r\n\r\n" + body
    request = f"GET http://127.0.0.1:{origin.port}/ HTTP/1.1\r\n\r\n"
    async with proxy() as port:
        answer = await ask(port, request * 10)

    assert answer.encode().endswith(body)
    assert len(answer) == len(origin.answer)


async def test_a_tunnel_carries_bytes_both_ways_and_the_end_of_each() -> None:
    sent = bytes(range(256)) * (1 << 12)
    async with listening(echo) as behind, proxy() as port, line(port) as (reader, writer):
        writer.write(f"CONNECT 127.0.0.1:{behind} HTTP/1.1\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == (
            b"HTTP/1.1 200 Connection established\r\n\r\n"
        )
        writer.write(sent)
        writer.write_eof()

        assert await reader.read(-1) == sent


@pytest.mark.parametrize(
    ("request_line", "answered"),
    [
        ("GET ftp://127.0.0.1/x HTTP/1.1", "501 ftp:// does not lead out"),
        ("GET https://127.0.0.1/x HTTP/1.1", "501 https:// does not lead out"),
        ("GET file:///etc/passwd HTTP/1.1", "501 file:// does not lead out"),
        ("GET / HTTP/1.1", "400 this is a proxy"),
        ("GET http:///x HTTP/1.1", "400 this is a proxy"),
        ("GET http://127.0.0.1:99999/ HTTP/1.1", "400 no address"),
        ("GET http://[1/ HTTP/1.1", "400 no address"),
        ("CONNECT 127.0.0.1 HTTP/1.1", "400 CONNECT needs a host and a port"),
        ("CONNECT 127.0.0.1:x HTTP/1.1", "400 no address"),
        ("GET http://127.0.0.1/ HTTP/2.0", "400 no HTTP/1 request"),
        ("SSH-2.0-x", "400 no HTTP/1 request"),
        ("GET http://127.0.0.1/ HTTP/1.1\r\nbad header", "400 no header"),
        ("GET http://127.0.0.1/ HTTP/1.1\r\n: bad", "400 no header"),
        ("PUT http://127.0.0.1/ HTTP/1.1\r\nContent-Length: -1", "400 no Content-Length"),
        ("PUT http://127.0.0.1/ HTTP/1.1\r\nTransfer-Encoding: chunked", "411 a body needs"),
    ],
)
async def test_what_is_no_request_to_a_proxy_is_refused_in_plain_words(
    request_line: str, answered: str
) -> None:
    async with proxy() as port:
        answer = await ask(port, f"{request_line}\r\n\r\n")

    assert words(answer).startswith(f"HTTP/1.1 {answered}")
    assert answer.partition("\r\n\r\n")[2].startswith(answered[:3])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.64.0.1", "0.0.0.0", "0", "2130706433"),  # noqa: S104
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1]", "224.0.0.1"),
    ],
)
async def test_places_that_are_local_to_the_host_are_closed_to_machines(
    host: str, origin: Origin
) -> None:
    async with proxy(Outside({})) as port:
        page = await ask(port, f"GET http://{host}:{origin.port}/ HTTP/1.1\r\n\r\n")
        tunnel = await ask(port, f"CONNECT {host}:{origin.port} HTTP/1.1\r\n\r\n")

    assert words(page).startswith("HTTP/1.1 403 ")
    assert words(tunnel).startswith("HTTP/1.1 403 ")
    assert origin.heads == []


async def test_a_destination_that_refuses_is_named_with_the_reason() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with proxy() as port:
            where = f"127.0.0.1:{unheard.getsockname()[1]}"
            answer = await ask(port, f"GET http://{where}/ HTTP/1.1\r\n\r\n")

    assert words(answer).startswith("HTTP/1.1 502 this host cannot reach 127.0.0.1: ")
    assert "refused" in words(answer)


async def test_others_than_its_clients_hear_nothing() -> None:
    async with (
        proxy(clients=ipaddress.IPv4Network("10.0.0.0/8")) as port,
        line(port) as (reader, _),
    ):
        heard = b""
        with suppress(ConnectionResetError):
            heard = await reader.read()

    assert heard == b""


async def test_a_head_without_end_is_refused() -> None:
    async with proxy(limits=Limits(head=1000)) as port:
        answer = await ask(port, "GET http://127.0.0.1/ HTTP/1.1\r\nX: " + "x" * 5000)

    assert words(answer) == "HTTP/1.1 431 a head of more than 1000 bytes"


async def test_a_client_that_says_nothing_is_let_go() -> None:
    async with proxy(limits=Limits(head_seconds=SHORT)) as port:
        answer = await ask(port, "GET http://127.0.0.1/")

    assert words(answer) == "HTTP/1.1 408 the request does not end"


async def test_one_connection_too_many_is_told_so_and_the_others_go_on() -> None:
    async with (
        listening(echo) as behind,
        proxy(limits=Limits(connections=1)) as port,
        line(port) as (reader, writer),
    ):
        writer.write(f"CONNECT 127.0.0.1:{behind} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")

        answer = await ask(port, "GET http://127.0.0.1/ HTTP/1.1\r\n\r\n")
        writer.write(b"still here")
        writer.write_eof()

        assert words(answer) == "HTTP/1.1 503 too many connections: try again"
        assert await reader.read() == b"still here"


async def test_a_tunnel_in_which_nothing_is_said_ends() -> None:
    async with (
        listening(echo) as behind,
        proxy(limits=Limits(idle_seconds=SHORT)) as port,
        line(port) as (reader, writer),
    ):
        writer.write(f"CONNECT 127.0.0.1:{behind} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")

        assert await reader.read() == b""


async def test_the_end_of_the_proxy_ends_its_connections() -> None:
    async with listening(echo) as behind:
        async with proxy() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"CONNECT 127.0.0.1:{behind} HTTP/1.1\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")

        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_proxy_of_the_hosts_own_is_asked_with_its_password(origin: Origin) -> None:
    own = {"http": f"http://ann:p%40ss@127.0.0.1:{origin.port}"}
    async with proxy(Outside(own)) as port:
        answer = await ask(port, "GET http://example.org/a HTTP/1.1\r\nAccept: */*\r\n\r\n")

    assert answer == Origin.answer.decode()
    assert origin.heads[0][:2] == ["GET http://example.org/a HTTP/1.1", "Host: example.org"]
    assert "Proxy-Authorization: Basic YW5uOnBAc3M=" in origin.heads[0]


async def test_a_tunnel_leads_through_a_proxy_of_the_hosts_own() -> None:
    async with (
        listening(echo) as behind,
        proxy() as upstream,
        proxy(Outside({"https": f"127.0.0.1:{upstream}"})) as port,
        line(port) as (reader, writer),
    ):
        writer.write(f"CONNECT 127.0.0.1:{behind} HTTP/1.1\r\n\r\n".encode())
        assert words((await reader.readuntil(b"\r\n\r\n")).decode()) == (
            "HTTP/1.1 200 Connection established"
        )
        writer.write(b"over two")
        writer.write_eof()

        assert await reader.read() == b"over two"


async def test_names_that_the_host_reaches_directly_need_no_proxy(origin: Origin) -> None:
    own = {"http": "http://127.0.0.1:1", "no": "127.0.0.1"}
    async with proxy(Outside(own, closed=())) as port:
        answer = await ask(port, f"GET http://127.0.0.1:{origin.port}/ HTTP/1.1\r\n\r\n")

    assert answer == Origin.answer.decode()


async def test_a_proxy_that_takes_no_plain_http_is_refused_without_its_password() -> None:
    async with proxy(Outside({"http": "socks5://ann:secret@127.0.0.1:1"})) as port:
        answer = await ask(port, "GET http://example.org/ HTTP/1.1\r\n\r\n")

    assert words(answer) == "HTTP/1.1 502 this host's own proxy for http is not an http:// URL"


def test_the_environment_of_the_host_wins_over_its_apt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("apt-config"):
        pytest.skip("this host has no apt-config")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / "apt.conf"
    settings.write_text('Acquire::http::Proxy "http://cache:3142";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))

    by_apt = proxies_of_host()
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    by_both = proxies_of_host()

    assert (by_apt["http"], by_apt["https"]) == ("http://cache:3142", "http://cache:3142")
    assert (by_both["http"], by_both["https"]) == ("http://proxy:3128", "http://cache:3142")


@pytest.fixture
def machines(tmp_path: Path):
    with local_cloud(tmp_path / "cloud", "machine") as cloud:
        yield cloud


def listens(address: str, port: int) -> bool:
    """Asked of the kernel: whoever routes for this host may answer for addresses it lacks."""
    wanted = f"{socket.inet_aton(address)[::-1].hex()}:{port:04x}".upper()
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in lines)


ASKS_THE_GATE = textwrap.dedent("""
    python3 - <<'END'
    import os, socket
    from urllib.parse import urlsplit
    gate = urlsplit(os.environ["http_proxy"])
    line = socket.create_connection((gate.hostname, gate.port), 20)
    line.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\\r\\n\\r\\n")
    print(line.recv(12).decode())
    END
    """)


async def test_the_gate_is_on_the_bridge_and_goes_with_the_last_machine(
    machines: LocalCloud,
) -> None:
    nodes = machines.create_all([{"name": "one"}, {"name": "two"}])
    gate = f"{nodes[0].private_ips[0].rpartition('.')[0]}.1"

    assert await output(nodes[1], ASKS_THE_GATE) == "HTTP/1.1 403"
    machines.driver.destroy_node(nodes[1])
    assert listens(gate, PORT)
    assert await output(nodes[0], ASKS_THE_GATE) == "HTTP/1.1 403"
    machines.driver.destroy_node(nodes[0])

    assert not listens(gate, PORT)


async def test_a_machine_that_outlives_its_host_process_finds_the_next_gate(
    machines: LocalCloud,
) -> None:
    node = machines.create()
    machines.kill_host()

    assert await output(machines.again(node), ASKS_THE_GATE) == "HTTP/1.1 403"


async def test_apt_asks_the_gate_whatever_else_its_settings_say(machines: LocalCloud) -> None:
    if not shutil.which("apt-config"):
        pytest.skip("this host has no apt-config")
    node = machines.create()
    own = 'Acquire::http::Proxy::example.org "DIRECT"; Acquire::Retries "7";'
    await output(node, f"printf '%s\\n' '{own}' >>/etc/apt/apt.conf")
    machines.driver.ex_stop_node(node)
    node = machines.driver.ex_start_node(node)

    asked = "Acquire::http::Proxy Acquire::https::Proxy Acquire::Retries"
    lines = await output(node, f"echo $http_proxy; apt-config dump --format %f=%v%n {asked}")
    gate, *settings = lines.splitlines()

    assert [f"Acquire::http::Proxy={gate}", f"Acquire::https::Proxy={gate}"] == settings[:2]
    assert settings[2:] == ["Acquire::Retries=7"]
    count = await output(node, "grep -c 'this machine$' /etc/apt/apt.conf")
    assert count == "6"


async def test_a_package_is_installed_in_a_machine(machines: LocalCloud, tmp_path: Path) -> None:
    name = tiny_package(tmp_path)
    node = machines.create()

    # The index of manual pages, built anew after each installation, takes ten times its time.
    await output(node, "rm -f /var/lib/man-db/auto-update")
    ended = await run(node, f"env -i PATH=$PATH apt-get -q -y install {name} 2>&1")

    assert ended.exit_status == 0, ended.stdout
    assert await output(node, f"dpkg-query -W -f '${{db:Status-Status}}' {name}") == "installed"
    assert tiny_package(tmp_path) == name, "this host has it as well"
