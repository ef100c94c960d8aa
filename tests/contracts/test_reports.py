"""The contracts of `Reports` and of the `Objects` behind it: memory, a directory, libcloud's S3."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from libcloud.storage.providers import get_driver
from moto.server import ThreadedMotoServer

from fakes.reports import MemoryObjects, MemoryReports
from fakes.store import Disk
from headwater.cloud.objects import Account, ObjectStore
from headwater.errors import Refused, Stalled, Transient
from headwater.reconcile import ports
from headwater.store import reports as kept
from headwater.store.reports import Objects, Reports
from headwater.topology.keys import InstanceKey
from headwater.topology.reports import ReportPlace, report_name

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def place(instance: int = 1, run: int = 1, seconds: int = 0) -> ReportPlace:
    at = NOON + timedelta(seconds=seconds)
    return ReportPlace("shop", run, report_name(InstanceKey("shop", "web", instance), at))


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, int]]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


def _store(request: pytest.FixtureRequest, driver: str, folder: Path, prefix: str) -> ObjectStore:
    """On a new container; its credentials stand in a file."""
    secrets = folder / "secrets"
    secrets.mkdir()
    if driver == "local":
        (folder / "root" / "reports").mkdir(parents=True)
        account = Account("local", options={"key": str(folder / "root")})
        return ObjectStore(account, "reports", prefix, secrets=secrets)
    host, port = request.getfixturevalue("s3")
    (secrets / "store.toml").write_text('key = "AKIA"\nsecret = "s3cr3t"\n')
    options = {"host": host, "port": port, "secure": False}
    made: Any = get_driver("s3")("AKIA", "s3cr3t", **options)
    container = f"reports-{token_hex(4)}"
    made.create_container(container)
    return ObjectStore(Account("s3", "store", options), container, prefix, secrets=secrets)


@pytest.fixture(params=["memory", "local", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    if request.param == "memory":
        yield MemoryObjects()
        return
    store = _store(request, request.param, tmp_path, "ci/main")
    yield store
    store.close()


async def test_what_was_put_is_got_and_what_is_removed_is_gone(objects, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"report" * 1000)
    await objects.put("shop/1/a.tgz", source)
    await objects.get("shop/1/a.tgz", target)
    assert target.read_bytes() == source.read_bytes()

    source.write_bytes(b"newer")
    await objects.put("shop/1/a.tgz", source)
    await objects.get("shop/1/a.tgz", target)
    assert target.read_bytes() == b"newer"

    for _ in range(2):
        await objects.remove("shop/1/a.tgz")
    with pytest.raises(Refused, match=r"shop/1/a\.tgz"):
        await objects.get("shop/1/a.tgz", target)


@pytest.mark.parametrize("driver", ["local", "s3"])
@pytest.mark.parametrize(
    "name", ["../escape", "shop/../../escape", "/etc/passwd", "a//b", "a\\b", ""]
)
async def test_names_do_not_lead_out_of_the_container(request, tmp_path, driver, name):
    (tmp_path / "source").write_bytes(b"x")
    store = _store(request, driver, tmp_path, "")
    with pytest.raises(Refused, match="no name of an object"):
        await store.put(name, tmp_path / "source")
    store.close()
    assert not list(tmp_path.rglob("*escape*"))


async def test_a_container_that_there_is_not_is_said(s3, tmp_path):
    options = {"key": "k", "secret": "s", "host": s3[0], "port": s3[1], "secure": False}
    store = ObjectStore(Account("s3", options=options), "nowhere", "", secrets=tmp_path)
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(Stalled, match="there is no container 'nowhere'"):
        await store.put("shop/1/a.tgz", tmp_path / "source")
    store.close()


async def test_an_endpoint_that_is_away_is_transient(tmp_path):
    away = Account("s3", options={"key": "k", "secret": "s", "host": "127.0.0.1", "port": 9})
    store = ObjectStore(away, "reports", "", secrets=tmp_path)
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(Transient, match="object store s3://reports"):
        await store.put("shop/1/a.tgz", tmp_path / "source")
    store.close()


@pytest.mark.parametrize(
    ("account", "container", "words"),
    [
        (Account("nix"), "reports", "no driver 'nix'"),
        (Account("s3"), "../up", "no name of a container"),
    ],
)
def test_a_store_that_cannot_be_is_refused_at_once(account, container, words, tmp_path):
    with pytest.raises(Stalled, match=words):
        ObjectStore(account, container, "", secrets=tmp_path)


async def test_missing_credentials_are_named_with_their_file(tmp_path):
    store = ObjectStore(Account("s3", "away"), "reports", "", secrets=tmp_path)
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(Stalled, match=r"away\.toml"):
        await store.put("shop/1/a.tgz", tmp_path / "source")
    store.close()


@dataclass
class Kept:
    """Reports, and another one on what is left of them after a restart."""

    port: ports.Reports
    again: Callable[[], ports.Reports]


@asynccontextmanager
async def delivering(port: ports.Reports) -> AsyncIterator[None]:
    task = asyncio.create_task(port.deliver())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["memory", "directory", "stored", "s3"])
async def reports(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(kept, "LIMIT", 3 * 2**20)
    folder = tmp_path / "reports"
    if request.param == "memory":
        disk = Disk()
        yield Kept(MemoryReports(disk, kept.LIMIT), lambda: MemoryReports(disk, kept.LIMIT))
        return
    objects: Objects | None = None
    if request.param == "stored":
        objects = MemoryObjects()
    if request.param == "s3":
        objects = _store(request, "s3", tmp_path, "all")
    made = Reports(folder, objects)
    async with delivering(made):
        yield Kept(made, lambda: Reports(folder, objects))
    if isinstance(objects, ObjectStore):
        objects.close()


def bring(port: ports.Reports, where: ReportPlace, content: bytes) -> tuple[int, str]:
    port.append(where, port.size(where), content)
    return port.close(where)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # a store tells nobody
            await asyncio.sleep(0.01)


async def content(port: ports.Reports, where: ReportPlace) -> bytes:
    return b"".join([piece async for piece in port.read(where)])


async def test_pieces_make_a_whole_that_is_kept(reports):
    port, first = reports.port, place()
    for offset, piece in ((0, b"one"), (3, b"two"), (3, b"two"), (1, b"netwothree")):
        port.append(first, offset, piece)
    assert (port.size(first), port.views("shop")) == (11, ())

    assert port.close(first) == (11, "")
    assert port.close(first) == (11, "")
    assert [(v.run, v.instance, v.size, v.at) for v in port.views("shop")] == [
        (1, "web.1", 11, NOON)
    ]
    assert await content(port, first) == b"onetwothree"
    assert (port.size(first), port.count("shop", 1), port.last_run("shop")) == (11, 1, 1)


async def test_what_was_begun_goes_on_after_a_restart(reports):
    port, first = reports.port, place()
    port.append(first, 0, b"half")
    after = reports.again()
    assert after.size(first) == 4
    after.append(first, 4, b"half")
    assert after.close(first) == (8, "")
    assert await content(reports.again(), first) == b"halfhalf"


async def test_a_whole_one_is_not_changed_any_more(reports):
    bring(reports.port, place(), b"whole")
    reports.port.append(place(), 5, b"more")
    assert reports.port.close(place()) == (5, "")
    assert await content(reports.port, place()) == b"whole"


async def test_a_gap_spoils_it(reports):
    reports.port.append(place(), 0, b"one")
    reports.port.append(place(), 5, b"two")
    reports.port.append(place(), 3, b"between")
    assert reports.port.close(place()) == (0, "2 bytes of it are missing")
    assert (reports.port.views("shop"), reports.port.count("shop", 1)) == ((), 0)


async def test_more_than_the_limit_spoils_it_and_no_more_is_asked_for(reports):
    piece = b"x" * 2**20
    for n in range(5):
        reports.port.append(place(), n * len(piece), piece)
    assert reports.port.close(place()) == (0, "it has more than 3 MiB")
    assert reports.port.size(place()) >= 3 * 2**20


async def test_nothing_that_came_is_nothing_kept(reports):
    assert reports.port.close(place()) == (0, "")
    assert reports.port.views("shop") == ()
    with pytest.raises(Refused, match="is kept"):
        await content(reports.port, place())


async def test_the_last_twenty_runs_are_kept(reports):
    for run in range(1, 24):
        bring(reports.port, place(run=run), b"report")
    await until(lambda: len(reports.port.views("shop")) == 20)
    assert [view.run for view in reports.port.views("shop")] == list(range(4, 24))
    assert await content(reports.port, place(run=4)) == b"report"
    assert reports.again().last_run("shop") == 23


async def test_views_come_in_the_order_of_runs_and_times(reports):
    for where in (place(2, run=10), place(1, run=2, seconds=1), place(2, run=2)):
        bring(reports.port, where, b"r")
    assert [(v.run, v.instance) for v in reports.port.views("shop")] == [
        (2, "web.2"),
        (2, "web.1"),
        (10, "web.2"),
    ]


@pytest.mark.parametrize(
    ("run", "file"),
    [
        (0, "web.1_report_2030-01-01T120000Z.tgz"),
        (1, "../web.1_report_2030-01-01T120000Z.tgz"),
        (1, "web.1_report_2030-01-01T120000Z.tgz.part"),
        (1, "web.0_report_2030-01-01T120000Z.tgz"),
        (1, "web.1_report_2030-01-01T120000Z.tgz\n"),
        (1, ".gitignore"),
        (1, ""),
    ],
)
def test_there_are_no_other_places(run, file):
    with pytest.raises(ValueError, match="there is no such report"):
        ReportPlace("shop", run, file)


async def test_a_store_that_fails_is_tried_again_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_FIRST_PAUSE", 0.01)
    objects = MemoryObjects()
    objects.failures = [Transient("away"), Transient("away")]
    made = Reports(tmp_path, objects)
    bring(made, place(), b"report")
    assert await content(made, place()) == b"report"
    async with delivering(made):
        await until(lambda: bool(objects.content))

    assert list(objects.content.values()) == [b"report"]
    assert await content(Reports(tmp_path, objects), place()) == b"report"
    with pytest.raises(Refused, match="object store"):
        await content(Reports(tmp_path), place())
    assert not list(tmp_path.rglob("*.fetched"))
