from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import HeadwaterError, Stalled
from headwater.source.address import Way, parse_address, without_password


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("/srv/systems.git", Way.LOCAL),
        ("systems", Way.LOCAL),
        ("./a:b", Way.LOCAL),
        ("file:///srv/systems.git", Way.LOCAL),
        ("https://example.org/systems.git", Way.HTTP),
        ("http://127.0.0.1:8080/systems.git", Way.HTTP),
        ("ssh://git@example.org:2222/systems.git", Way.SSH),
        ("git@example.org:team/systems.git", Way.SSH),
        ("example.org:systems.git", Way.SSH),
    ],
)
def test_every_form_of_address_is_told_apart(url: str, way: Way) -> None:
    assert parse_address(url).way is way


def test_a_file_url_is_its_path() -> None:
    assert parse_address("file:///srv/a%20b.git").directory == Path("/srv/a b.git")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch /tmp/x",
        "--upload-pack=x",
        "ssh://-oProxyCommand=x/y",
        "-l@example.org:x",
        "ssh:///no-host",
        "a\nb",
    ],
)
def test_what_a_program_could_read_as_an_option_is_refused(url: str) -> None:
    with pytest.raises(Stalled):
        parse_address(url)


@pytest.mark.parametrize("url", ["http://example.org/x", "git://example.org/x", "ftp://h/x"])
def test_an_unprotected_way_is_refused(url: str) -> None:
    with pytest.raises(Stalled, match="use"):
        parse_address(url)


def test_a_password_is_never_shown() -> None:
    assert without_password("https://ada:secret@example.org/x") == "https://example.org/x"
    assert without_password("https://token@example.org/x") == "https://example.org/x"
    assert without_password("ssh://git:pw@example.org/x") == "ssh://git@example.org/x"
    assert "secret" not in parse_address("https://ada:secret@example.org/x").shown


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except HeadwaterError:
        return
    assert not address.url.startswith("-")
