"""The price file, and what is no price."""

from pathlib import Path

import pytest

from headwater.errors import Refused
from headwater.prices import read_prices
from headwater.settings import load


def test_a_price_is_found_by_cloud_and_size(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[lab]\n"m1.small" = 0.02\nfree = 0\n[geneva]\nlarge = 1.5\n')

    assert read_prices(file) == {"lab": {"m1.small": 0.02, "free": 0.0}, "geneva": {"large": 1.5}}


def test_without_a_file_there_are_none() -> None:
    assert read_prices(None) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lab = 1\n", "lab is no table: write [lab]"),
        ("[lab]\nsmall = -1\n", "lab.small: -1 is no price per hour"),
        ("[lab]\nsmall = true\n", "lab.small: True is no price"),
        ('[lab]\nsmall = "0.1"\n', "lab.small: '0.1' is no price"),
        ("[lab]\nsmall = nan\n", "lab.small: nan is no price"),
        ("[lab]\nm1.small = 0.1\n", "lab.m1: {'small': 0.1} is no price"),
        ("[lab\n", "is not valid TOML"),
    ],
)
def test_what_is_no_price_is_refused_with_its_place(tmp_path, text, words):
    file = tmp_path / "prices.toml"
    file.write_text(text)

    with pytest.raises(Refused) as refused:
        read_prices(file)

    assert str(file) in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot read"):
        read_prices(tmp_path / "none.toml")


def test_the_setting_is_relative_to_the_settings(tmp_path: Path) -> None:
    settings = tmp_path / "headwater.toml"
    settings.write_text('prices = "prices.toml"\n')

    assert load({}, settings, {}).prices == tmp_path / "prices.toml"
