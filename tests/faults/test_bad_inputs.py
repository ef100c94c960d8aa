"""What nobody should commit, or do to a controller: told plainly, and survived."""

import asyncio
import resource
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from e2e.program import Program
from e2e.program import program as started_on
from e2e.systems import RUNS, document, site, system
from e2e.systems import resource as manifest
from fakes.builders import NOON, deployment, key, node
from fakes.house import House
from fakes.looptime import clock, run
from fakes.site import Site
from fakes.store import MemoryStore
from faults.fuzzing import peak
from headwater.cloud.gateway import Gateway
from headwater.errors import HeadwaterError, Transient
from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog, ResolvedCloud, Size
from headwater.planning.events import PassEnded
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.steady import SteadyClock
from headwater.topology.machines import CreateOrder, MachineSpec, Tags
from local_cloud import wait_until
from unit.manifests.texts import GOOD, HEADER, snapshot

MINUTE, HOUR = 60.0, 3600.0
BLOG = deployment(node("app"), name="blog")
WISHES = {
    "four": [deployment(node("web", 4)), BLOG],
    "three": [deployment(node("web", 3)), BLOG],
    "six": [deployment(node("web", 6)), BLOG],
    "image": [deployment(node("web", 4, image="debian-13")), BLOG],
    "recipe": [deployment(node("web", 4, deploy="#!/bin/sh\nother\n")), BLOG],
    "blog": [BLOG],
}

Recorder = Callable[[str, object], None]

MEBIBYTE = 1 << 20
MEMORY = 300
"""MiB that a controller may hold at most, whatever it is given: it takes 80 for itself."""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with started_on(tmp_path, "process") as program:
        yield program


def most_memory(program: Program) -> float:
    """MiB that the controller has held at once, so far."""
    lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def begin(program: Program, files: dict[str, str]) -> str:
    revision = program.repository.commit(site(program.level) | system() | files)
    program.start()
    return revision


# Manifests.


def test_a_million_replicas_are_refused_and_the_rest_goes_on(
    program: Program, record_property: Recorder
):
    revision = begin(program, system(name="huge", replicas=1_000_000))

    answer = program.repository.until_answered(revision)

    assert answer.startswith("failure - 1/2 deployments ready; huge: ")
    assert "'replicas' is 1000000; it must be less than or equal to 10000" in answer
    assert program.deployment("box").is_ready
    assert len(program.machines()) == 1
    most = most_memory(program)
    assert most < MEMORY
    record_property("figure", f"bad input, 1,000,000 replicas: {most:.0f} MiB held at most")


def test_a_million_replicas_of_many_nodes_are_refused(program: Program, record_property: Recorder):
    nodes = {f"n{n}": {"component": "box", "replicas": 10_000} for n in range(100)}
    deployment = manifest("Deployment", "huge", {"cloud": "local", "nodes": nodes})
    revision = begin(program, {"huge.toml": document(deployment)})

    answer = program.repository.until_answered(revision)

    assert "its nodes have 1000000 replicas together; at most 10000" in answer
    assert program.deployment("box").is_ready
    most = most_memory(program)
    assert most < MEMORY
    record_property(
        "figure", f"bad input, 100 nodes of 10,000 replicas: {most:.0f} MiB held at most"
    )


def test_a_manifest_of_100_megabytes_is_not_read(program: Program, record_property: Recorder):
    large = program.repository.path / "large" / "large.toml"
    large.parent.mkdir()
    with large.open("wb") as file:
        for _ in range(100):
            file.write(b"# nothing at all\n" * (MEBIBYTE // 17))
    revision = begin(program, {})

    answer = program.repository.until_answered(revision)

    assert answer.startswith("failure - 1/1 deployments ready; large/large.toml:1:1: too large: ")
    assert program.deployment("box").is_ready
    most = most_memory(program)
    assert most < MEMORY
    record_property("figure", f"bad input, a TOML file of 100 MB: {most:.0f} MiB held at most")


def chain(length: int, last: str) -> dict[str, str]:
    """Components that extend each other, one file each; the deployment uses the first."""
    files = {
        f"c{n}.toml": HEADER.format("Component", f"c{n}")
        + f'extends = "{f"c{n + 1}" if n < length - 1 else last}"\npackages = ["p{n}"]\n'
        + '[spec.recipes]\ndeploy = "#!/bin/sh\\ntrue\\n"\n'
        for n in range(length)
    }
    deep = HEADER.format("Deployment", "deep") + '[spec.nodes.a]\ncomponent = "c0"\n'
    return {**GOOD, **files, "deep.toml": deep}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("web", "component 'c9900' extends 100 others, one above the other (at most 99"),
        ("c0", "component 'c0' extends itself: c0 -> c1 -> c2"),
        ("none", "unknown component 'none'"),
    ],
)
def test_ten_thousand_levels_of_extends_are_told_in_bounded_memory(last: str, words: str):
    files = snapshot(chain(10_000, last))
    found: list[Catalog] = []

    most = peak(lambda: found.append(compile_catalog(files, Parser())))

    assert any(words in str(diagnostic) for diagnostic in found[0].diagnostics)
    assert max(len(str(diagnostic)) for diagnostic in found[0].diagnostics) < 300
    assert "deep" in found[0].failed
    assert "shop" in found[0].deployments
    assert most < 150 * MEBIBYTE


PATIENCE = 240.0
"""Seconds for what takes many on a host that does much else."""


def test_a_repository_of_a_hundred_thousand_files_is_read(
    program: Program, record_property: Recorder
):
    _import(program, 100_000)
    revision = begin(program, {})

    answer = program.repository.until_answered(revision, seconds=PATIENCE)

    assert answer.startswith("success")
    most = most_memory(program)
    assert most < MEMORY
    record_property(
        "figure", f"bad input, a repository of 100,000 files: {most:.0f} MiB held at most"
    )


def _import(program: Program, count: int) -> None:
    """Files of a kilobyte in a thousand folders, as one commit."""
    git = program.repository
    stream = [b"commit refs/heads/main\ncommitter A <a@b> 1 +0000\ndata 0\n"]
    for number in range(count):
        content = (b"%d\n" % number) * 100
        stream.append(b"M 100644 inline f%d/%d.txt\n" % (number % 1000, number))
        stream.append(b"data %d\n%s\n" % (len(content), content))
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=git.path, input=b"".join(stream), check=True
    )
    git.git("reset", "--quiet", "--hard")


# The state directory.


def test_a_full_disk_is_told_and_everything_goes_on_when_there_is_room(program: Program):
    program.repository.commit(site(program.level) | system())
    program.start(HEADWATER_INTERVAL="1s")
    program.until_ready("box")
    wal = program.state / "headwater.db-wal"
    unlimited = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, unlimited[1]))

    program.repository.commit(system(RUNS + "# changed\n", replicas=3))
    program.until(lambda status: "free some space" in status.source_error, "the status says so")
    before = program.machines()
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, unlimited)
    program.until_ready("box")

    assert len(before) == 1
    assert sorted(m["name"] for m in program.machines().values()) == [
        f"box-one-{n}" for n in (1, 2, 3)
    ]
    for instance, runs in (("one.1", "run\nrun\n"), ("one.2", "run\n"), ("one.3", "run\n")):
        assert (program.home("box", instance) / "runs").read_text() == runs
    assert program.stop() == 0


class Room(dict[str, str]):
    """The documents of a disk that may be full."""

    full = False

    def __setitem__(self, key: str, document: str) -> None:
        self._check()
        super().__setitem__(key, document)

    def pop(self, key: str, *default: Any) -> Any:
        self._check()
        return super().pop(key, *default)

    def _check(self) -> None:
        if self.full:
            raise Transient("cannot write to the journal: the disk is full; free some space")


class Filling(Room):
    """A disk with room for so many writes."""

    left = 10**6

    def _check(self) -> None:
        self.left -= 1
        self.full = self.left < 0
        super()._check()


CHANGES = {"six": (2, 0), "recipe": (0, 0), "image": (4, 4), "three": (0, 1), "blog": (0, 4)}
"""How many machines each wish makes and ends, coming from `four`."""


@pytest.mark.parametrize("wish", CHANGES)
@pytest.mark.parametrize("writes", [0, 1, 2, 3, 5, 8, 12, 20])
def test_a_disk_that_fills_up_at_any_moment_loses_and_doubles_nothing(wish: str, writes: int):
    site = Site(WISHES)
    site.disk.documents = disk = Filling()
    site.house = site._controller()

    async def whole() -> list[str]:
        async with site.running():
            await site.settled(site.commit("four"))
            disk.left = writes
            revision = site.commit(wish)
            await asyncio.sleep(5 * MINUTE)
            disk.left = 10**6
            site.source.touch()  # as the poll does
            await site.settled(revision)
            return site.answers.of(revision, "headwater")

    answers = run(whole())

    assert site.instances() == wanted(wish)
    made, ended = CHANGES[wish]
    assert len(site.clouds.created) == len(wanted("four")) + made
    assert len(site.clouds.terminated) == ended
    if wish != "image":  # whose new machines are told to do what the old ones were
        assert max(Counter(site.agents.begun).values()) == 1
    assert [answer for answer in answers if answer != "pending"] == ["success"]


def wanted(wish: str) -> list[str]:
    return sorted(
        f"{deployment.name}/{node.name}.{number}"
        for deployment in WISHES[wish]
        for node in deployment.nodes.values()
        for number in range(1, node.replicas + 1)
    )


def test_a_corrupt_journal_is_kept_aside_and_made_anew(program: Program):
    begin(program, {})
    program.until_ready("box")
    before = program.machines()
    program.stop()
    journal = program.state / "headwater.db"
    journal.write_bytes(b"no database at all" * 1000)

    program.start()
    program.until_ready("box")

    (told,) = program.events("store.began_anew")
    assert Path(told["unreadable"]).read_bytes().startswith(b"no database at all")
    assert program.machines() == before
    assert (program.home("box", "one.1") / "runs").read_text() == "run\n"
    with sqlite3.connect(journal) as opened:
        keys = {key for (key,) in opened.execute("SELECT key FROM documents")}
    assert f"record/local:{next(iter(before))}" in keys


def test_of_two_controllers_on_one_state_directory_one_runs(program: Program):
    program.repository.commit(site(program.level) | system())
    first, second = (program.begin("run", *program._flags()) for _ in range(2))

    wait_until(lambda: {first.poll(), second.poll()} != {None}, "one of them has ended")
    ended, running = (first, second) if first.poll() is not None else (second, first)
    _, words = ended.communicate()

    assert ended.returncode == 1
    assert f"a controller (process {running.pid}" in words
    assert "--state" in words
    assert running.poll() is None


# The clock.


class Turned(Site):
    """A site whose wall clock somebody turns."""

    turned = timedelta(0)

    def _controller(self) -> House:
        steady: list[SteadyClock] = []

        def now() -> datetime:
            if not steady:
                newest = Ledger(MemoryStore(self.disk)).newest
                steady.append(SteadyClock(self._wall, _elapsed, newest))
            return steady[0]()

        return House(self.clouds, self.agents, self.disk, prompt=True, clock=now)

    def _wall(self) -> datetime:
        return clock() + self.turned


def _elapsed() -> float:
    return asyncio.get_running_loop().time()


DAYS = [timedelta(days=3), timedelta(days=-3), timedelta(hours=1), timedelta(seconds=-90)]


@pytest.mark.parametrize("turned", DAYS)
def test_a_clock_that_is_turned_ends_nothing_and_makes_nobody_busy(turned: timedelta):
    site = Turned(WISHES)

    async def whole() -> tuple[int, int]:
        async with site.running():
            revision = site.commit("four")
            await site.settled(revision)
            await asyncio.sleep(HOUR)
            quiet = len(site.house.told(PassEnded))
            for direction in (1, -1, 1):
                site.turned += direction * turned
                await asyncio.sleep(HOUR / 3)
            busy = len(site.house.told(PassEnded)) - quiet
            assert site.answers.of(revision, "headwater") == ["pending", "success"]
            return quiet, busy

    quiet, busy = run(whole())

    assert site.clouds.terminated == []
    assert len(site.clouds.created) == len(wanted("four"))
    assert max(Counter(site.agents.begun).values()) == 1
    assert busy <= quiet


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("turned", DAYS)
def test_a_machine_has_its_time_whatever_the_clock_says(turned: timedelta, restarts: bool):
    site = Turned(WISHES)
    late = key("web.1")

    async def whole() -> list[str]:
        async with site.running() as house:
            house.machines.silent.add(late)
            revision = site.commit("four")
            await asyncio.sleep(5 * MINUTE)
            site.turned = turned
            if not restarts:
                await asyncio.sleep(4 * MINUTE)
                assert "failure" not in site.answers.of(revision, "headwater")
                await asyncio.sleep(2 * MINUTE)
                return site.answers.of(revision, "headwater/shop")
        async with site.running() as house:
            house.machines.silent.add(late)
            await asyncio.sleep(9 * MINUTE)
            assert "failure" not in site.answers.of(revision, "headwater")
            await asyncio.sleep(2 * MINUTE)
            return site.answers.of(revision, "headwater/shop")

    assert run(whole()) == ["pending", "failure"]
    assert site.clouds.terminated == []


def test_a_turned_clock_is_told(caplog: pytest.LogCaptureFixture):
    wall = [NOON]
    steady = SteadyClock(lambda: wall[0], lambda: 7.0)

    wall[0] = NOON - timedelta(days=1)

    assert [steady(), steady()] == [NOON, NOON]
    assert [(r.message, getattr(r, "seconds", 0)) for r in caplog.records] == [
        ("clock.jumped", -86400)
    ]


def test_small_corrections_of_the_clock_are_followed_but_not_back():
    wall = [NOON]
    steady = SteadyClock(lambda: wall[0], lambda: 7.0)

    wall[0] = NOON + timedelta(seconds=2)
    assert steady() == wall[0]
    wall[0] = NOON + timedelta(seconds=1)
    assert steady() == NOON + timedelta(seconds=2)


# A cloud.


class Page(BaseHTTPRequestHandler):
    """What a proxy, a login page or a maintenance notice looks like to a client."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        text = b"<!DOCTYPE html>\n<html><body>" + b"<p>Back soon, we hope.</p>" * 5000
        self.send_response(getattr(self.server, "status", 200))
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests' output is read by people."""


@pytest.fixture
def site_of_html() -> Iterator[HTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 403, 500, 503])
@pytest.mark.parametrize("driver", ["ec2", "openstack"])
async def test_a_cloud_that_answers_html_is_not_an_empty_cloud(
    site_of_html: HTTPServer, driver: str, status: int, tmp_path: Path
):
    site_of_html.status = status  # type: ignore[attr-defined]
    lab = _lab(driver, site_of_html.server_port)
    order = CreateOrder(
        name="shop-web-1",
        token="t",  # noqa: S106  # of the order
        spec=MachineSpec("lab", "debian", "ami-1", Size(cpus=1)),
        tags=Tags("ours", key("web.1"), 1, "d", "r"),
        authorized_key="ssh-ed25519 AAAA",
    )
    gateway = Gateway("ours", tmp_path)
    try:
        await gateway.configure({"lab": lab})
        listing = await gateway.observe("lab")
        (made,) = await gateway.create([order])
    finally:
        await gateway.close()

    assert not listing.complete
    assert listing.machines == ()
    assert listing.error.startswith("cloud 'lab': ")
    assert "instead of an answer of its API: check the address of the endpoint" in listing.error
    for said in (listing.error, str(made)):
        assert len(said) < 400
        assert "\n" not in said
    assert isinstance(made, HeadwaterError)


def _lab(driver: str, port: int) -> ResolvedCloud:
    options: dict[str, dict[str, Any]] = {
        "ec2": {"key": "k", "secret": "s", "host": "127.0.0.1", "port": port, "secure": False},
        "openstack": {
            "key": "k",
            "secret": "s",
            "ex_force_auth_url": f"http://127.0.0.1:{port}",
            "ex_force_auth_version": "3.x_password",
            "ex_tenant_name": "t",
            "ex_domain_name": "d",
        },
    }
    region = "us-east-1" if driver == "ec2" else "RegionOne"
    return ResolvedCloud("lab", driver, region=region, options=options[driver])
