import ipaddress
from itertools import islice
from pathlib import Path

from headwater.cloud.local.addresses import listen_on_loopback, loopback_addresses


def test_addresses_of_a_directory_do_not_repeat_and_are_loopback() -> None:
    some = list(islice(loopback_addresses(Path("/a")), 1000))

    assert len(set(some)) == 1000
    assert all(ipaddress.IPv4Address(each).is_loopback for each in some)


def test_directories_begin_at_different_places() -> None:
    firsts = {next(loopback_addresses(Path(f"/{name}"))) for name in "abcdefgh"}

    assert len(firsts) == 8


def test_an_address_in_use_is_passed_over(tmp_path: Path) -> None:
    with listen_on_loopback(tmp_path, "", ()) as one, listen_on_loopback(tmp_path, "", ()) as two:
        assert one.getsockname() != two.getsockname()


def test_the_address_of_a_stopped_machine_is_left_to_it(tmp_path: Path) -> None:
    stopped = next(loopback_addresses(tmp_path))

    with listen_on_loopback(tmp_path, "", {stopped}) as other:
        assert other.getsockname()[0] != stopped


def test_a_machine_gets_its_own_address_again(tmp_path: Path) -> None:
    with listen_on_loopback(tmp_path, "", ()) as before:
        own = before.getsockname()
    with listen_on_loopback(tmp_path, own[0], {own[0]}) as after:
        assert after.getsockname() == own


def test_a_machine_whose_address_somebody_took_gets_another(tmp_path: Path) -> None:
    with listen_on_loopback(tmp_path, "", ()) as taken:
        address = taken.getsockname()[0]
        with listen_on_loopback(tmp_path, address, {address}) as after:
            assert after.getsockname()[0] != address
