"""The first login to a machine that was given its host key, and those after it."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.test_machines import context, running
from harness.guest import KEY
from harness.guests import Guests, guests
from harness.recorder import Recorder
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.userdata import cloud_config
from headwater.errors import Transient
from headwater.remote.keys import login_key
from headwater.topology.context import Target
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.progress import Ended, HostKeyTold, LineLost, LineRefused, MachineEvent

GIVEN = HostKeys(b"s" * 32).of("token")
OTHER = HostKeys(b"s" * 32).of("another")
TRUE = "#!/bin/sh\n"


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Guests]:
    with guests(tmp_path / "machines") as made:
        yield made


@pytest.fixture
def target(tmp_path: Path, machines: Guests) -> Target:
    login = login_key(tmp_path / "keys").public
    address = machines.start("m-1", cloud_config("root", login, GIVEN))
    return Target(
        machine=MachineId("aws", "m-1"),
        key=InstanceKey("hello", "web", 1),
        address=address,
        port=machines.port,
        user="root",
        host_key="",
        one_time=GIVEN.public,
    )


def own_key(machines: Guests) -> str:
    return (machines.root("m-1") / f"{KEY}.pub").read_text().strip()


class Full(Recorder):
    """Cannot keep a host key for the first few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def on_event(self, event: MachineEvent) -> None:
        if isinstance(event, HostKeyTold) and self._times:
            self._times -= 1
            raise Transient("the disk is full")
        super().on_event(event)


async def test_a_machine_makes_a_key_of_its_own_and_only_that_is_believed(
    tmp_path: Path, machines: Guests, target: Target
) -> None:
    recorder = Recorder()
    async with running(tmp_path / "keys", recorder) as lines:
        lines.contextualise(target, context("c1", TRUE))
        await recorder.next(Ended)

    told = recorder.all(HostKeyTold)
    assert [(t.key, t.proven) for t in told] == [
        (own_key(machines), False),
        (own_key(machines), True),
    ]
    assert own_key(machines) != GIVEN.public
    assert (machines.root("m-1") / KEY).stat().st_mode & 0o777 == 0o600


async def test_the_one_time_key_is_worth_nothing_afterwards(
    tmp_path: Path, machines: Guests, target: Target
) -> None:
    first, second = Recorder(), Recorder()
    async with running(tmp_path / "keys", first) as lines:
        lines.contextualise(target, context("c1", TRUE))
        told = (await first.next(HostKeyTold, 2)).key
    machines.stop("m-1")
    (machines.root("m-1") / KEY).write_text(GIVEN.private)
    (machines.root("m-1") / f"{KEY}.pub").write_text(GIVEN.public)
    machines.boot("m-1")

    async with running(tmp_path / "keys", second) as lines:
        lines.contextualise(replace(target, host_key=told, one_time=""), context("c1", TRUE))
        refused = await second.next(LineRefused)

    assert "another host key" in refused.reason


async def test_a_machine_with_another_key_than_it_was_given_is_refused(
    tmp_path: Path, machines: Guests, target: Target
) -> None:
    recorder = Recorder()
    async with running(tmp_path / "keys", recorder) as lines:
        lines.contextualise(replace(target, one_time=OTHER.public), context("c1", TRUE))
        await recorder.next(LineRefused)

    assert (machines.root("m-1") / KEY).read_text() == GIVEN.private


async def test_no_key_is_used_before_it_is_kept(
    tmp_path: Path, machines: Guests, target: Target
) -> None:
    recorder = Full(times=2)
    async with running(tmp_path / "keys", recorder) as lines:
        lines.contextualise(target, context("c1", TRUE))
        lost = await recorder.next(LineLost)
        await recorder.next(Ended)

    assert "the disk is full" in lost.reason
    assert recorder.all(HostKeyTold)[-1] == HostKeyTold(
        target.machine, own_key(machines), proven=True
    )


@pytest.mark.parametrize("uses", [False, True])
async def test_who_died_between_making_and_using_goes_on(
    tmp_path: Path, machines: Guests, target: Target, uses: bool
) -> None:
    first, second = Recorder(), Recorder()
    async with running(tmp_path / "keys", first) as lines:
        lines.contextualise(target, context("c1", TRUE))
        told = (await first.next(HostKeyTold, 2)).key
    if not uses:
        machines.stop("m-1")
        place = machines.root("m-1") / KEY
        place.rename(place.with_name(".headwater_host_key"))
        place.with_suffix(".pub").rename(place.with_name(".headwater_host_key.pub"))
        machines.boot("m-1")

    async with running(tmp_path / "keys", second) as lines:
        lines.contextualise(replace(target, host_key=told), context("c2", TRUE))
        await second.next(Ended)

    assert second.all(HostKeyTold)[-1] == HostKeyTold(target.machine, told, proven=True)
    assert own_key(machines) == told


async def test_a_machine_that_cannot_make_a_key_is_refused_in_its_own_words(
    tmp_path: Path, machines: Guests, target: Target
) -> None:
    place = machines.root("m-1") / "etc/ssh/.headwater_host_key"
    place.mkdir()
    (place / "in the way").touch()
    recorder = Recorder()
    async with running(tmp_path / "keys", recorder) as lines:
        lines.contextualise(target, context("c1", TRUE))
        refused = await recorder.next(LineRefused)

    assert "ssh-keygen" in refused.reason


async def test_a_server_that_keeps_its_old_key_is_no_silent_success(
    tmp_path: Path, machines: Guests, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.remote.hostkey.DELAYS", (0.01,))
    pid = machines.root("m-1") / "run/sshd.pid"
    server = int(pid.read_text())
    pid.unlink()
    recorder = Recorder()
    async with running(tmp_path / "keys", recorder) as lines:
        lines.contextualise(target, context("c1", TRUE))
        refused = await recorder.next(LineRefused)
        assert "restart it" in refused.reason
        assert not recorder.all(HostKeyTold)[-1].proven
        os.kill(server, signal.SIGHUP)

        lines.contextualise(
            replace(target, host_key=recorder.all(HostKeyTold)[0].key), context("c2", TRUE)
        )
        await recorder.next(Ended)
