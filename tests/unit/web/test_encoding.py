import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.planning.status import ControllerStatus, DeploymentStatus, ParameterView, Phase
from headwater.web.encoding import decode, encode

statuses = st.from_type(ControllerStatus)


@given(statuses)
def test_a_status_comes_back_as_it_went(status: ControllerStatus):
    assert decode(ControllerStatus, json.loads(json.dumps(encode(status)))) == status


def test_names_are_those_of_the_api():
    view = ParameterView("wn.1", "ready", None, "wn.1", datetime(2026, 11, 22, 12, tzinfo=UTC))

    assert encode((view,)) == [
        {
            "instance": "wn.1",
            "name": "ready",
            "value": None,
            "writer": "wn.1",
            "at": "2026-11-22T12:00:00+00:00",
            "type": "string",
        }
    ]
    assert "observedRevision" in encode(DeploymentStatus("x", Phase.READY, (), 1, 1))


def test_a_newer_version_may_say_more():
    text = {**encode(DeploymentStatus("x", Phase.READY, (), 1, 1)), "colour": "blue"}

    assert decode(DeploymentStatus, text).name == "x"


@pytest.mark.parametrize("change", [{"phase": "Dancing"}, {"ready": "1"}, {"instances": 3}])
def test_another_shape_is_an_error_and_no_guess(change):
    text = {**encode(DeploymentStatus("x", Phase.READY, (), 1, 1)), **change}

    with pytest.raises((ValueError, TypeError)):
        decode(DeploymentStatus, text)
