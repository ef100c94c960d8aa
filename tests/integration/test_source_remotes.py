"""Remotes over http, https and ssh, with real servers on loopback."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from fakes.remotes import http_server, ssh_server
from fakes.source import GitRepository
from headwater.errors import Stalled, Transient
from headwater.planning.status import CommitState, CommitStatus
from headwater.source.address import SshLogin
from headwater.source.git import GitSource, snapshot_of
from headwater.source.notes import GitNotes, read_notes

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh program here")


@dataclass
class Remote:
    """A bare repository behind a server, and the work tree that pushes into it."""

    url: str
    login: SshLogin
    bare: Path
    work: GitRepository

    def commit(self, files: dict[str, str]) -> str:
        revision = self.work.commit(files)
        self.work.git("push", "--quiet", "--force", str(self.bare), "main")
        return revision

    def source(self, mirror: Path, branch: str = "main", deadline: float = 30.0) -> GitSource:
        return GitSource(self.url, branch, "", mirror, deadline=deadline, login=self.login)


@pytest.fixture(params=["http", pytest.param("ssh", marks=needs_ssh)])
async def remote(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Remote]:
    work = GitRepository(tmp_path / "work")
    bare = tmp_path / "served" / "systems.git"
    work.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    with (bare / "config").open("a") as config:
        config.write("[http]\n\treceivepack = true\n")
    if request.param == "http":
        with http_server(bare.parent) as url:
            yield Remote(f"{url}/systems.git", SshLogin(), bare, work)
        return
    key = asyncssh.generate_private_key("ssh-ed25519")
    login = SshLogin(tmp_path / "my key", tmp_path / "known 100% hosts")
    async with ssh_server(key) as (port, host_key):
        _write_login(login, key, port, host_key)
        yield Remote(f"ssh://git@127.0.0.1:{port}{bare}", login, bare, work)


def _write_login(
    login: SshLogin, key: asyncssh.SSHKey, port: int, host_key: asyncssh.SSHKey
) -> None:
    assert login.key is not None
    assert login.known_hosts is not None
    login.key.write_bytes(key.export_private_key())
    login.key.chmod(0o600)
    host = host_key.export_public_key().decode()
    login.known_hosts.write_text(f"[127.0.0.1]:{port} {host}")


async def test_a_remote_is_followed(remote: Remote, tmp_path: Path) -> None:
    async with remote.source(tmp_path / "mirror") as source:
        with pytest.raises(Stalled, match="no commit yet"):
            await source.fetch()
        first = await asyncio.to_thread(remote.commit, {"a.toml": "a = 1\n"})
        assert (await source.fetch()).revision == first
        source.accept(first)
        second = await asyncio.to_thread(remote.commit, {"a.toml": "a = 2\n"})
        assert (await source.fetch()).files["a.toml"].content == b"a = 2\n"
        source.accept(second)
        remote.work.rewind({"a.toml": "a = 3\n"})
        await asyncio.to_thread(remote.commit, {"a.toml": "a = 4\n"})
        with pytest.raises(Stalled, match="force-pushed"):
            await source.fetch()


async def test_a_missing_branch_of_a_remote_is_told_with_its_neighbours(
    remote: Remote, tmp_path: Path
) -> None:
    await asyncio.to_thread(remote.commit, {"a.toml": ""})
    async with remote.source(tmp_path / "mirror", "mian") as source:
        with pytest.raises(Stalled, match=r"no branch 'mian' \(there is 'main'\)"):
            await source.fetch()


async def test_a_branch_that_goes_from_a_remote_is_not_read_from_the_mirror(
    remote: Remote, tmp_path: Path
) -> None:
    await asyncio.to_thread(remote.commit, {"a.toml": ""})
    async with remote.source(tmp_path / "mirror") as source:
        await source.fetch()
        remote.work.git("push", "--quiet", str(remote.bare), "main:other")
        (remote.bare / "HEAD").write_text("ref: refs/heads/other\n")
        remote.work.git("push", "--quiet", "--delete", str(remote.bare), "main")
        with pytest.raises(Stalled, match="no branch 'main'"):
            await source.fetch()


async def test_a_missing_repository_is_stalled(remote: Remote, tmp_path: Path) -> None:
    shutil.rmtree(remote.bare)
    async with remote.source(tmp_path / "mirror") as source:
        with pytest.raises(Stalled, match="no such repository"):
            await source.fetch()


async def test_a_sha256_remote_is_refused_with_the_way_out(remote: Remote, tmp_path: Path) -> None:
    shutil.rmtree(remote.bare)
    other = GitRepository(tmp_path / "sha256", "--object-format=sha256")
    other.commit({"a.toml": ""})
    other.git("clone", "--quiet", "--bare", ".", str(remote.bare))
    async with remote.source(tmp_path / "mirror") as source:
        with pytest.raises(Stalled, match=r"SHA-256 .*--object-format=sha1"):
            await source.fetch()


async def test_any_revision_of_a_remote_is_read_for_a_plan(remote: Remote) -> None:
    first = await asyncio.to_thread(remote.commit, {"a.toml": "a = 1\n"})
    await asyncio.to_thread(remote.commit, {"a.toml": "a = 2\n"})

    snapshot = await asyncio.to_thread(snapshot_of, remote.url, first, "", remote.login)

    assert snapshot.files["a.toml"].content == b"a = 1\n"


async def test_notes_are_pushed_and_survive_another_writer(remote: Remote, tmp_path: Path) -> None:
    revision = await asyncio.to_thread(remote.commit, {"a.toml": ""})
    remote.work.git("notes", "--ref=headwater", "add", "-m", "a person's remark", revision)
    async with remote.source(tmp_path / "mirror") as source:
        await source.fetch()
        notes = GitNotes(source.upstream, source.worker)
        await notes.answer(_status(revision, "headwater", "one"))
        await asyncio.to_thread(
            remote.work.git, "push", "--quiet", "--force", str(remote.bare), "refs/notes/headwater"
        )
        await notes.answer(_status(revision, "headwater/web", "two"))

    assert read_notes(remote.bare, revision) == {
        "a person's remark": "",
        "headwater/web": "success - two",
    }


async def test_a_remote_that_refuses_notes_is_stalled(remote: Remote, tmp_path: Path) -> None:
    revision = await asyncio.to_thread(remote.commit, {"a.toml": ""})
    hook = remote.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no notes here >&2\nexit 1\n")
    hook.chmod(0o755)
    async with remote.source(tmp_path / "mirror") as source:
        await source.fetch()
        notes = GitNotes(source.upstream, source.worker)
        with pytest.raises(Stalled, match="cannot write notes"):
            await notes.answer(_status(revision, "headwater", "one"))


def _status(revision: str, context: str, description: str) -> CommitStatus:
    return CommitStatus(revision, context, CommitState.SUCCESS, description, NOON)


async def test_a_login_in_the_address_is_used_and_never_told(tmp_path: Path) -> None:
    work = GitRepository(tmp_path / "served" / "systems")
    revision = work.commit({"a.toml": ""})
    with http_server(tmp_path / "served", "ada:geheim") as url:
        host = url.removeprefix("http://")
        good = GitSource(f"http://ada:geheim@{host}/systems", "main", "", tmp_path / "m1")
        bad = GitSource(f"http://ada:falsch@{host}/systems", "main", "", tmp_path / "m2")
        none = GitSource(f"{url}/systems", "main", "", tmp_path / "m3")
        async with good, bad, none:
            assert (await good.fetch()).revision == revision
            for source in (bad, none):
                with pytest.raises(Stalled, match="refuses the login") as refused:
                    await source.fetch()
                assert "falsch" not in str(refused.value)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Self-signed, for loopback: the certificate and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1"
    subprocess.run(
        ["openssl", "req", *options.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def test_an_untrusted_certificate_is_refused(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    GitRepository(tmp_path / "served" / "systems").commit({"a.toml": ""})
    with http_server(tmp_path / "served", certificate=certificate) as url:
        async with GitSource(f"{url}/systems", "main", "", tmp_path / "mirror") as source:
            with pytest.raises(Stalled, match="certificate"):
                await source.fetch()


@needs_ssh
async def test_a_host_with_another_key_than_the_known_one_is_refused(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    login = SshLogin(tmp_path / "key", tmp_path / "known_hosts")
    work = GitRepository(tmp_path / "work")
    work.commit({"a.toml": ""})
    async with ssh_server(key) as (port, _):
        _write_login(login, key, port, asyncssh.generate_private_key("ssh-ed25519"))
        url = f"ssh://git@127.0.0.1:{port}{work.directory}"
        async with GitSource(url, "main", "", tmp_path / "mirror", login=login) as source:
            with pytest.raises(Stalled, match="known_hosts"):
                await source.fetch()


@needs_ssh
async def test_a_host_that_does_not_know_our_key_is_stalled(tmp_path: Path) -> None:
    login = SshLogin(tmp_path / "key", tmp_path / "known_hosts")
    async with ssh_server(asyncssh.generate_private_key("ssh-ed25519")) as (port, host_key):
        _write_login(login, asyncssh.generate_private_key("ssh-ed25519"), port, host_key)
        url = f"ssh://git@127.0.0.1:{port}/srv/systems"
        async with GitSource(url, "main", "", tmp_path / "mirror", login=login) as source:
            with pytest.raises(Stalled, match="refuses the login"):
                await source.fetch()


@pytest.mark.parametrize("scheme", ["https", pytest.param("ssh", marks=needs_ssh)])
async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/systems"
        began = time.monotonic()
        async with GitSource(url, "main", "", tmp_path / "mirror", deadline=1.0) as source:
            with pytest.raises(Transient):
                await source.fetch()

    assert time.monotonic() - began < 8


@pytest.mark.parametrize("scheme", ["https", pytest.param("ssh", marks=needs_ssh)])
async def test_a_server_that_is_not_there_is_tried_again(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}/systems"
    async with GitSource(url, "main", "", tmp_path / "mirror") as source:
        with pytest.raises(Transient, match=f"127.0.0.1:{port}"):
            await source.fetch()
