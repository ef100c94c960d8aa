import asyncssh
import pytest

from headwater.cloud.hostkeys import FILE, HostKeys, host_keys
from headwater.errors import Stalled

KEYS = HostKeys(b"s" * 32)


def test_the_two_halves_belong_together() -> None:
    key = KEYS.of("token")

    private = asyncssh.import_private_key(key.private)

    assert private.export_public_key("openssh").decode().split() == key.public.split()


def test_a_call_has_always_the_same_key_and_no_other_call_has_it() -> None:
    assert KEYS.of("one") == HostKeys(b"s" * 32).of("one")
    assert KEYS.public("one") == KEYS.of("one").public
    assert len({KEYS.of("one"), KEYS.of("two"), HostKeys(b"t" * 32).of("one")}) == 3


def test_the_private_half_is_not_shown() -> None:
    assert "PRIVATE" not in repr(KEYS.of("token"))


def test_the_seed_is_made_once_and_is_nobody_elses(tmp_path) -> None:
    first = host_keys(tmp_path / "keys").of("token")

    assert host_keys(tmp_path / "keys").of("token") == first
    assert (tmp_path / "keys" / FILE).stat().st_mode & 0o777 == 0o600
    assert host_keys(tmp_path / "others").of("token") != first


def test_a_seed_that_is_none_is_said(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"short")

    with pytest.raises(Stalled, match="5 bytes instead of 32"):
        host_keys(tmp_path)
