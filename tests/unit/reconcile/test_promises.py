"""What is relied upon of a cloud, also while it cannot be used."""

from fakes.cloud import FakeClouds
from headwater.errors import Stalled
from headwater.reconcile.promises import promised
from headwater.topology.machines import Capabilities


def test_what_a_cloud_can_do_is_promised():
    able = Capabilities(lag=30.0)

    assert promised(FakeClouds(able), "north") == able


def test_a_cloud_that_cannot_be_used_promises_nothing():
    clouds = FakeClouds(Capabilities(lag=30.0))
    clouds.unusable["north"] = Stalled("no credentials")

    found = promised(clouds, "north")

    assert (found.abilities, found.idempotent, found.lag) == (frozenset(), False, 0.0)
