"""The one place where a secret leaves: the reply to the machine that may read it."""

import json

import pytest

from headwater.remote.wire import reply_line
from headwater.topology.progress import Reply
from headwater.topology.secrets import SecretValue


@pytest.mark.parametrize(
    ("reply", "value", "secret"),
    [
        (Reply(0, "geneva"), "geneva", False),
        (Reply(0, SecretValue("hunter2")), "hunter2", True),
        (Reply(0, secret=True), "", True),
        (Reply(7, error="unknown key"), "", False),
    ],
)
def test_the_machine_gets_the_value_and_is_told_what_to_hide(reply, value, secret):
    message = json.loads(reply_line(1, reply))

    assert (message["value"], message["secret"]) == (value, secret)
