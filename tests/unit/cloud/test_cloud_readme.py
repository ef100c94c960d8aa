"""The page about clouds says what is found of every driver of libcloud."""

import re
from pathlib import Path

import pytest
from libcloud.compute.providers import DRIVERS

from headwater.cloud.drivers.known import OPTIONS
from headwater.cloud.drivers.traits import traits_of
from headwater.errors import Stalled
from unit.cloud.test_drivers import driver_of

PAGE = (Path(__file__).parents[3] / "controller/headwater/cloud/README.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \|(.*?)\|(.*?)\|(.*?)\|", re.MULTILINE)
ROWS = {row[0]: [cell.strip() for cell in row[1:]] for row in ROW.findall(PAGE)}
OWN = {"ec2", "openstack"}
"""Providers of their own."""


def found(name: str) -> tuple[str, ...] | str:
    try:
        traits = traits_of(driver_of(name), name, {})
    except Stalled as error:
        return "tags" if "cannot carry tags" in str(error) else "contact"
    return tuple(f"`{each}`" for each in (traits.tags, str(traits.form), traits.user_data))


@pytest.mark.parametrize("name", sorted({str(name) for name in DRIVERS} - OWN))
def test_every_driver_is_told_of_as_it_is(name: str) -> None:
    tags, contact = (
        re.split(r",\s+", each)
        for each in re.findall(r"Refused, for want of (?:tags|a first contact): ([^.]*)\.", PAGE)
    )

    match found(name):
        case "tags":
            assert name in tags
        case "contact":
            assert name in contact
        case said:
            assert ROWS[name] == [said[0], said[1].strip("`"), said[2]]


def test_every_option_of_ours_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)) >= OPTIONS
