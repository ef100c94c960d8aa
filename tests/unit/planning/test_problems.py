"""What is said of clouds that cannot do what is asked."""

from dataclasses import replace

import pytest

from fakes.builders import CLOUD, desired, node
from headwater.errors import Stalled
from headwater.planning.problems import problems
from headwater.topology.machines import Ability, Capabilities

ALL = Capabilities(frozenset(Ability), description="all")


def said(able: Capabilities, *, open: tuple[str, ...] = (), packages: tuple[str, ...] = ()):
    web = replace(node("web", 3, packages=packages), open=open)
    return problems(desired(web), lambda _: able)


def test_a_cloud_that_can_do_everything_is_no_problem() -> None:
    assert said(ALL, open=("80/tcp",), packages=("curl",)) == ()


def test_ports_that_a_cloud_cannot_open_are_told_by_their_field_once_per_node() -> None:
    able = replace(ALL, abilities=ALL.abilities - {Ability.PORTS}, description="odd: Oddcloud")

    [words] = said(able, open=("22/tcp", "80/tcp", "53/udp"))

    assert words == (
        "node web asks for open ports (spec.network.open: 80/tcp, 53/udp), and cloud local has"
        " none (odd: Oddcloud)"
    )


@pytest.mark.parametrize("open", [(), ("22/tcp",)])
def test_what_is_not_asked_for_is_no_problem(open: tuple[str, ...]) -> None:
    able = replace(ALL, abilities=frozenset())

    assert said(able, open=open) == ()


def test_every_cloud_of_a_node_is_asked() -> None:
    spread = node("web", 2, clouds=((CLOUD, 1), ("far", 1)))

    def able(cloud: str) -> Capabilities:
        raise Stalled(f"no driver for {cloud}")

    assert problems(desired(spread), able) == (
        "cloud far cannot be used: no driver for far",
        "cloud local cannot be used: no driver for local",
    )
