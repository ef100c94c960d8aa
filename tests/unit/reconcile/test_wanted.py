"""What the newest revision asks for, and what it touches."""

import pytest

from fakes.builders import catalog, deployment, node
from headwater.reconcile.wanted import Wanted

WEB, DB = deployment(name="web"), deployment(name="db")
BIGGER = deployment(node("web", 2), name="web")


@pytest.fixture
def wanted() -> Wanted:
    there = Wanted()
    there.update(catalog(WEB, DB))
    return there


def test_the_first_revision_touches_everything():
    assert Wanted().update(catalog(WEB, DB, failed=["bad"])) == {"web", "db", "bad"}


def test_a_revision_without_changes_touches_nothing(wanted):
    assert wanted.update(catalog(WEB, DB, revision="r2")) == set()


def test_a_change_touches_its_deployment_alone(wanted):
    assert wanted.update(catalog(BIGGER, DB)) == {"web"}
    assert len(wanted.desired("web").instances) == 2


def test_what_is_unchanged_is_not_expanded_again(wanted):
    before = wanted.desired("db")
    wanted.update(catalog(BIGGER, deployment(name="db")))

    assert wanted.desired("db") is before


def test_a_removed_manifest_removes_its_deployment(wanted):
    assert wanted.update(catalog(WEB)) == {"db"}
    assert (wanted.desired("db"), wanted.is_removed("db"), wanted.names) == (None, True, {"web"})


def test_a_revision_that_cannot_be_read_whole_removes_nothing(wanted):
    assert wanted.update(catalog(WEB, complete=False)) == set()
    assert wanted.desired("db") is not None
    assert not wanted.is_removed("db")


def test_what_it_could_not_say_is_said_by_the_next_whole_one(wanted):
    wanted.update(catalog(WEB, complete=False))

    assert wanted.update(catalog(WEB)) == {"db"}


def test_a_broken_manifest_keeps_what_was_asked_before(wanted):
    assert wanted.update(catalog(WEB, failed=["db"])) == {"db"}
    assert wanted.desired("db") is not None
    assert wanted.failed == {"db": ("db.toml:1:1: wrong",)}
    assert not wanted.is_removed("db")


def test_a_manifest_that_stays_broken_is_touched_once(wanted):
    wanted.update(catalog(WEB, failed=["db"]))

    assert wanted.update(catalog(WEB, failed=["db"], revision="r3")) == set()


def test_a_mended_manifest_is_touched_even_when_it_says_the_same_as_before(wanted):
    wanted.update(catalog(WEB, failed=["db"]))

    assert wanted.update(catalog(WEB, DB)) == {"db"}
