"""Health checks as people write them."""

import pytest
from pydantic import TypeAdapter

from headwater.manifests.resolved import (
    CommandCheck,
    Health,
    HttpCheck,
    Recipe,
    ResolvedDeployment,
    TcpCheck,
)
from unit.manifests.texts import HEADER, WEB, catalog, told

BASE = HEADER.format("Component", "base") + 'image = "host"\n[spec.health]\ntcp = { port = 22 }\n'


def health(written: str) -> Health | None:
    return catalog(web=WEB + written).deployments["shop"].nodes["front"].health


@pytest.mark.parametrize(
    ("written", "asks"),
    [
        ("http = { port = 80 }", HttpCheck(80, "/", 200)),
        ('http = { port = 80, path = "/a?b=1", status = 204 }', HttpCheck(80, "/a?b=1", 204)),
        ("tcp = { port = 22 }", TcpCheck(22)),
        (
            'command = "deploy.sh"',
            CommandCheck(Recipe("web", "#!/bin/sh\ntrue\n", "web/deploy.sh")),
        ),
        ('command = "#!/bin/sh\\nexit 0"', CommandCheck(Recipe("web", "#!/bin/sh\nexit 0"))),
    ],
)
def test_a_check_is_resolved_and_kept_as_it_is(written, asks):
    """A rollback reads manifests back from the ledger."""
    resolved = catalog(web=WEB + f"[spec.health]\n{written}\n").deployments["shop"]
    kept = TypeAdapter(ResolvedDeployment)

    assert resolved.nodes["front"].health == Health(asks, interval=30.0, failures=3)
    assert kept.validate_json(kept.dump_json(resolved)) == resolved


def test_interval_and_failures_are_the_user_s():
    found = health('[spec.health]\ntcp = { port = 22 }\ninterval = "2m"\nfailures = 5\n')

    assert found == Health(TcpCheck(22), 120.0, 5)


def test_without_a_check_there_is_none():
    assert health("") is None


def test_a_check_is_inherited_whole():
    extending = WEB.replace('image = "host"', 'extends = "base"')
    inherited = catalog(web=extending, more=BASE).deployments["shop"].nodes["front"].health
    own = catalog(web=extending + "[spec.health]\nhttp = { port = 80 }\n", more=BASE)

    assert inherited == Health(TcpCheck(22), 30.0, 3)
    found = own.deployments["shop"].nodes["front"].health
    assert found == Health(HttpCheck(80, "/", 200), 30.0, 3)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "13:7: 'health' needs exactly one of 'http', 'tcp' and 'command'"),
        (
            "tcp = { port = 22 }\nhttp = { port = 80 }",
            "13:7: 'health' needs exactly one of 'http', 'tcp' and 'command'",
        ),
        ('command = "chek.sh"', "14:1: no file 'web/chek.sh' for this recipe"),
        ('command = "../../x"', "14:1: recipe '../../x' is outside the repository"),
        ("tcp = { port = 0 }", "'port' is "),
        ("tcp = { port = 70000 }", "'port' is "),
        ('http = { port = 80, path = "healthz" }', "is not a path of a web page"),
        ('http = { port = 80, path = "/a b" }', "is not a path of a web page"),
        ('http = { port = 80, path = "/\\r\\nX: y" }', "is not a path of a web page"),
        ("http = { port = 80, status = 99 }", "'status' is 99; it must be"),
        ('tcp = { port = 22 }\ninterval = "0s"', "is not a duration"),
        ("tcp = { port = 22 }\nfailures = 0", "15:1: 'failures' is 0; it must be"),
    ],
)
def test_a_check_that_cannot_be_asked_is_refused(written, words):
    found = catalog(web=WEB + f"[spec.health]\n{written}\n")

    assert list(found.failed) == ["shop"]
    assert any(words in line for line in told(found)), told(found)
