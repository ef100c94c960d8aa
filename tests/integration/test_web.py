"""The real servers, on loopback and on a unix socket, with a controller that holds state."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from fakes.controller import BUSY, END, START, FakeController, deployment, everything, instance
from headwater.errors import Stalled
from headwater.planning.status import (
    ControllerStatus,
    DeploymentStatus,
    Login,
    Phase,
    ReportView,
    RunView,
    StepView,
)
from headwater.store.outputs import Outputs
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.reports import ReportPlace, report_name
from headwater.web.encoding import decode
from headwater.web.listening import connected
from headwater.web.server import Addresses, serving

DEADLINE = 20


def metrics(accept: str) -> tuple[bytes, str]:
    return f"headwater_up 1 # {accept}\n".encode(), "text/plain; version=0.0.4"


@pytest.fixture
def controller(tmp_path: Path) -> FakeController:
    return FakeController(everything(deployment()), Outputs(tmp_path / "logs"))


@pytest.fixture
async def addresses(controller: FakeController, tmp_path: Path):
    async with serving(controller, metrics, directory=tmp_path, listen="127.0.0.1:0") as found:
        yield found


class Unix(HTTPConnection):
    def __init__(self, directory: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._directory = directory

    def connect(self) -> None:
        self.sock = connected(self._directory, DEADLINE)


def ask(
    where: Addresses | str, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, str]:
    if isinstance(where, Addresses):
        connection: HTTPConnection = Unix(where.socket.parent)
    else:
        connection = HTTPConnection(where.removeprefix("http://"), timeout=DEADLINE)
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def asked(*args: Any, **kwargs: Any) -> tuple[int, str]:
    return await asyncio.to_thread(ask, *args, **kwargs)


@asynccontextmanager
async def stream(addresses: Addresses, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """What follows the headers, without the chunks' sizes in the way of `readline`."""
    reader, writer = await asyncio.open_unix_connection(addresses.socket)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    try:
        async with asyncio.timeout(DEADLINE):
            yield reader
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("where", ["tcp", "unix"])
async def test_the_status_is_the_same_value_on_both_sides(
    controller: FakeController, addresses: Addresses, where: str
):
    place = addresses.url if where == "tcp" else addresses
    code, text = await asked(place, "/api/v1/status")

    assert code == 200
    assert decode(ControllerStatus, json.loads(text)) == controller.status()
    assert json.loads(text)["deployments"][0]["appliedRevision"] == "a" * 40


async def test_one_deployment_and_its_parameters(addresses: Addresses):
    code, text = await asked(addresses.url, "/api/v1/deployments/hello")
    assert (code, json.loads(text)["phase"]) == (200, "Ready")

    code, text = await asked(addresses.url, "/api/v1/deployments/hello/parameters")
    assert (code, json.loads(text)[0]["value"]) == (200, "127.1.0.1")


async def test_a_near_miss_gets_a_suggestion(addresses: Addresses):
    code, text = await asked(addresses.url, "/api/v1/deployments/helo")

    assert code == 404
    assert json.loads(text) == {"error": "no deployment 'helo' (did you mean 'hello'?)"}


async def test_metrics_are_rendered_as_the_client_accepts_them(addresses: Addresses):
    code, text = await asked(addresses.url, "/metrics", Accept="application/openmetrics-text")

    assert (code, text) == (200, "headwater_up 1 # application/openmetrics-text\n")


async def test_health_tells_living_from_ready(controller: FakeController, addresses: Addresses):
    assert await asked(addresses.url, "/livez") == (200, "ok\n")
    assert (await asked(addresses.url, "/readyz"))[0] == 200

    controller.living = False
    controller.become(ControllerStatus("/r", "main", "", source_error="no such branch"))

    assert (await asked(addresses.url, "/livez"))[0] == 503
    assert await asked(addresses.url, "/readyz") == (503, "no such branch\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/deployments/hello/retry"),
        ("POST", "/api/v1/deployments/hello/abort"),
        ("GET", "/api/v1/deployments/hello/logs"),
        ("GET", "/api/v1/deployments/hello/instances/wn.1/login"),
        ("GET", "/api/v1/watch"),
    ],
)
async def test_the_verbs_exist_on_the_owners_socket_only(
    controller: FakeController, addresses: Addresses, method: str, path: str
):
    assert (await asked(addresses.url, path, method))[0] == 404
    assert controller.asked == []


async def test_retry_and_abort_reach_the_controller(
    controller: FakeController, addresses: Addresses
):
    controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))
    base = "/api/v1/deployments/hello"

    code, text = await asked(addresses, f"{base}/retry", "POST")
    assert (code, json.loads(text)["message"]) == (200, "hello is tried again")
    code, _ = await asked(addresses, f"{base}/abort", "POST", {"reason": "wrong image"})
    assert code == 200
    assert controller.asked == [("retry", "hello"), ("abort", "hello", "wrong image")]


async def test_what_cannot_be_is_refused_in_words(addresses: Addresses):
    base = "/api/v1/deployments/hello"

    code, text = await asked(addresses, f"{base}/abort", "POST")
    assert (code, json.loads(text)) == (409, {"error": "hello has no run to abort: it is Ready"})
    code, text = await asked(addresses, f"{base}/instances/wn.9/login")
    assert (code, "wn.9" in text) == (404, True)
    code, _ = await asked(addresses, f"{base}/abort", "POST", {"reason": "x" * 20_000})
    assert code == 409


async def test_a_login_names_the_one_host_key(controller: FakeController, addresses: Addresses):
    login = Login("127.1.0.1", 2222, "root", "[127.1.0.1]:2222 ssh-ed25519 AAAA", "/key")
    controller.logins["hello", "wn.1"] = login

    code, text = await asked(addresses, "/api/v1/deployments/hello/instances/wn.1/login")

    assert (code, decode(Login, json.loads(text))) == (200, login)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("evil.example", 421),
        ("evil.example:9464", 421),
        ("", 421),
        ("localhost:9464", 200),
        ("127.0.0.1", 200),
        ("[::1]:9464", 200),
        ("10.1.2.3:9464", 200),
    ],
)
async def test_a_foreign_name_is_not_answered(addresses: Addresses, host: str, code: int):
    assert (await asked(addresses.url, "/api/v1/status", Host=host))[0] == code


async def test_a_watcher_sees_each_change_and_no_repetition(
    controller: FakeController, addresses: Addresses
):
    async with stream(addresses, "/api/v1/watch") as reader:
        first = decode(ControllerStatus, json.loads(await reader.readline()))
        assert first == controller.status()
        controller.become(controller.status())
        controller.become_with(deployment(phase=Phase.EXECUTING, conditions=BUSY))
        second = decode(ControllerStatus, json.loads(await reader.readline()))

    assert [d.phase for d in second.deployments] == [Phase.EXECUTING]


async def test_a_watcher_that_leaves_is_forgotten(controller: FakeController, addresses: Addresses):
    async with stream(addresses, "/api/v1/watch") as reader:
        await reader.readline()
    async with asyncio.timeout(DEADLINE):
        while controller.watchers:  # noqa: ASYNC110  # nothing tells of it but the count
            await asyncio.sleep(0.01)


async def test_followed_output_arrives_whole_whatever_its_bytes(
    controller: FakeController, addresses: Addresses
):
    key, machine = InstanceKey("hello", "wn", 1), MachineId("local", "m")
    controller.kept.append(key, machine, "c", 0, "gr\u00fc".encode()[:3])
    async with stream(addresses, "/api/v1/deployments/hello/logs?instance=wn.1&follow=1") as lines:
        assert json.loads(await lines.readline()) == {"instance": "wn.1", "text": "gr"}
        controller.kept.append(key, machine, "c", 3, "\u00fc".encode()[1:] + b"n\xff\n")
        assert json.loads(await lines.readline()) == {"instance": "wn.1", "text": "\u00fcn\ufffd\n"}


async def test_output_without_following_ends(controller: FakeController, addresses: Addresses):
    key, machine = InstanceKey("hello", "wn", 1), MachineId("local", "m")
    controller.kept.append(key, machine, "c", 0, b"cut \xc3")

    code, text = await asked(addresses, "/api/v1/deployments/hello/logs")

    assert code == 200
    assert [json.loads(line)["text"] for line in text.splitlines()] == ["cut ", "\ufffd"]


async def test_streams_end_cleanly_when_the_server_stops(
    controller: FakeController, tmp_path: Path
):
    async with serving(controller, metrics, directory=tmp_path, listen="") as addresses:
        assert addresses.url == ""
        reader, writer = await asyncio.open_unix_connection(addresses.socket)
        writer.write(b"GET /api/v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"}]")
        following = asyncio.ensure_future(reader.read())
        begun = asyncio.get_running_loop().time()

    assert (await following).endswith(b"0\r\n\r\n")
    assert asyncio.get_running_loop().time() - begun < 4
    assert controller.watchers == 0
    assert not addresses.socket.exists()
    writer.close()
    await writer.wait_closed()


async def test_the_failure_of_the_controller_passes_through_as_it_is(
    controller: FakeController, tmp_path: Path
):
    with pytest.raises(Stalled, match=r"^as it was$"):
        async with serving(controller, metrics, directory=tmp_path, listen="127.0.0.1:0"):
            raise Stalled("as it was")


async def test_a_port_in_use_says_what_to_do_and_leaves_nothing(
    controller: FakeController, addresses: Addresses, tmp_path: Path
):
    taken = addresses.url.removeprefix("http://")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(Stalled, match=rf"{taken}: it is in use; .* --listen"):
        async with serving(controller, metrics, directory=other, listen=taken):
            pass

    assert list(other.iterdir()) == []


async def test_the_socket_works_below_a_very_long_path_and_is_private(
    controller: FakeController, tmp_path: Path
):
    deep = tmp_path.joinpath(*["a-long-folder-name"] * 8)
    deep.mkdir(parents=True)
    (deep / "controller.sock").touch()
    async with serving(controller, metrics, directory=deep, listen="") as addresses:
        assert len(str(addresses.socket)) > 140
        assert addresses.socket.stat().st_mode & 0o777 == 0o600
        code, text = await asked(addresses, "/api/v1/deployments/hello")

    status = decode(DeploymentStatus, json.loads(text))
    assert (code, status.instances[0]) == (200, instance("wn.1"))


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def kept(controller: FakeController, content: bytes, run: int = 1) -> ReportPlace:
    where = ReportPlace("hello", run, report_name(InstanceKey("hello", "wn", 1), NOON))
    controller.store.append(where, 0, content)
    controller.store.close(where)
    return where


async def test_reports_are_listed_and_come_as_they_are_on_the_owners_socket(controller, addresses):
    where = kept(controller, bytes(range(256)) * 400)
    code, listed = await asked(addresses, "/api/v1/deployments/hello/reports")

    assert code == 200
    assert decode(tuple[ReportView, ...], json.loads(listed)) == controller.reports("hello")
    connection = Unix(addresses.socket.parent)
    path = f"/api/v1/deployments/hello/reports/1/{where.file}"
    await asyncio.to_thread(connection.request, "GET", path)
    answer = await asyncio.to_thread(connection.getresponse)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/gzip")
    assert await asyncio.to_thread(answer.read) == bytes(range(256)) * 400
    connection.close()
    assert (await asked(addresses.url, "/api/v1/deployments/hello/reports"))[0] == 404


async def test_reports_outlive_their_deployment(controller, addresses):
    kept(controller, b"report")
    controller.become(everything())

    assert (await asked(addresses, "/api/v1/deployments/hello/reports"))[0] == 200
    assert (await asked(addresses, "/api/v1/deployments/other/reports"))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "2/wn.1_report_2030-01-01T120000Z.tgz",
        "1/wn.2_report_2030-01-01T120000Z.tgz",
        "1/..%2f..%2fheadwater.db",
        "1/%2e%2e",
        "0/wn.1_report_2030-01-01T120000Z.tgz",
        "one/wn.1_report_2030-01-01T120000Z.tgz",
    ],
)
async def test_a_report_that_there_is_not_is_not_found(controller, addresses, path):
    kept(controller, b"report")

    assert (await asked(addresses, f"/api/v1/deployments/hello/reports/{path}"))[0] == 404


RUN = RunView("gone", 3, "a" * 40, Phase.DONE, "removed", START, END)


async def test_runs_are_told_of_deployments_that_are_gone_too(
    controller: FakeController, addresses: Addresses
):
    controller.history["gone"] = (RUN,)

    code, body = await asked(addresses.url, "/api/v1/deployments/gone/runs")
    every = json.loads((await asked(addresses, "/api/v1/runs"))[1])
    wrong = await asked(addresses, "/api/v1/deployments/gnoe/runs")

    assert code == 200
    assert decode(tuple[RunView, ...], json.loads(body)) == (RUN,)
    assert [run["number"] for run in every] == [3]
    assert wrong[0] == 404
    assert "did you mean 'gone'" in wrong[1]


async def test_a_test_is_asked_for_and_answered_with_its_number(
    controller: FakeController, addresses: Addresses
):
    code, body = await asked(
        addresses, "/api/v1/deployments/hello/test", "POST", body={"keep": "1"}
    )

    assert (code, json.loads(body)["run"]) == (200, 7)
    assert controller.asked == [("test", "hello", "True")]
    assert (await asked(addresses.url, "/api/v1/deployments/hello/test", "POST"))[0] == 404


async def test_steps_are_those_of_the_run_that_is_named(
    controller: FakeController, addresses: Addresses
):
    step = StepView("wn.1", "deploy", "web", "failed", 7, "boom", 1.5)
    controller.steps_of["hello", 3] = (step,)

    third = json.loads((await asked(addresses, "/api/v1/deployments/hello/runs/3/steps"))[1])
    other = json.loads((await asked(addresses, "/api/v1/deployments/hello/runs/4/steps"))[1])

    assert decode(tuple[StepView, ...], third) == (step,)
    assert other == []


async def test_logs_since_a_time_leave_out_what_ended_before(
    controller: FakeController, addresses: Addresses
):
    key = InstanceKey("hello", "wn", 1)
    controller.kept.append(key, MachineId("local", "m"), "c", 0, b"old\n")
    path = "/api/v1/deployments/hello/logs?since="

    assert "old" in (await asked(addresses, path + "2020-01-01T00:00:00%2B00:00"))[1]
    assert (await asked(addresses, path + "2999-01-01T00:00:00%2B00:00"))[1] == ""
    assert (await asked(addresses, path + "yesterday"))[0] == 409
