"""The port `Secrets`, on the real one and on the fake."""

import base64
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from fakes.secrets import FakeSecrets
from headwater.errors import Stalled
from headwater.manifests.resolved import Encrypted
from headwater.reconcile.ports import Secrets
from headwater.secrets.age import Age
from headwater.secrets.sources import Sources


class House:
    """A controller's secrets, and what a person does to them."""

    def __init__(
        self,
        port: Secrets,
        write: Callable[[str, str | None], None],
        commit: Callable[[str, str, str], Encrypted],
    ) -> None:
        self.port = port
        self.write = write
        self.commit = commit


def in_memory() -> House:
    fake = FakeSecrets()

    def write(name: str, text: str | None) -> None:
        if text is None:
            del fake.own[name]
        else:
            fake.own[name] = text

    def commit(path: str, text: str, oid: str) -> Encrypted:
        fake.encrypted[path] = text
        return Encrypted(path, oid, "")

    return House(fake, write, commit)


def on_disk(folder: Path) -> House:
    identity = pyrage.x25519.Identity.generate()
    key = folder / "identity"
    key.write_text(f"# made for a test\n{identity}\n")
    key.chmod(0o600)
    real = Sources(folder / "secrets", Age(key))

    def write(name: str, text: str | None) -> None:
        file = folder / "secrets" / name
        if text is None:
            file.unlink()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)

    def commit(path: str, text: str, oid: str) -> Encrypted:
        sealed = pyrage.encrypt(text.encode(), [identity.to_public()])
        return Encrypted(path, oid, base64.b64encode(sealed).decode())

    return House(real, write, commit)


@pytest.fixture(params=["fake", "real"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return in_memory() if request.param == "fake" else on_disk(tmp_path)


def test_one_that_is_nowhere_stalls_by_name(house):
    with pytest.raises(Stalled, match="gpod/munge"):
        house.port.read("gpod/munge", None)


def test_the_controllers_own_one_is_read(house):
    house.write("gpod/munge", "hunter2")

    assert house.port.read("gpod/munge", None).reveal() == "hunter2"


def test_without_one_of_its_own_the_repositorys_counts(house):
    file = house.commit("gpod/munge.age", "from Git", "1")
    first = house.port.read("munge", file).reveal()
    house.write("munge", "its own")

    assert (first, house.port.read("munge", file).reveal()) == ("from Git", "its own")


def test_a_renewed_one_is_another_version_and_is_read_anew(house):
    house.write("munge", "old")
    before = house.port.version("munge", None), house.port.read("munge", None).reveal()
    same = house.port.version("munge", None)
    house.write("munge", "newer")
    after = house.port.version("munge", None), house.port.read("munge", None).reveal()

    assert before == (same, "old")
    assert (after[0] != same, after[1]) == (True, "newer")


def test_a_renewed_one_in_the_repository_too(house):
    old = house.commit("munge.age", "old", "1")
    before = house.port.version("munge", old), house.port.read("munge", old).reveal()
    new = house.commit("munge.age", "new", "2")

    assert before[1] == "old"
    assert house.port.version("munge", new) != before[0]
    assert house.port.read("munge", new).reveal() == "new"


def test_one_that_comes_or_goes_is_another_version(house):
    missing = house.port.version("munge", None)
    house.write("munge", "here")
    there = house.port.version("munge", None)
    house.write("munge", None)

    assert missing != there
    assert house.port.version("munge", None) == missing
    with pytest.raises(Stalled):
        house.port.read("munge", None)
