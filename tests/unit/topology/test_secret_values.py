"""Secrets as values: handed on, compared, and never shown."""

import copy
import json
import pickle
from dataclasses import asdict, dataclass

import pytest

from headwater.topology.keys import MachineId
from headwater.topology.progress import Reply, Request, Verb
from headwater.topology.secrets import HIDDEN, SecretValue

CANARY = "hunter2hunter2"
SECRET = SecretValue(CANARY)


@dataclass(frozen=True)
class Holder:
    value: SecretValue


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        "{:>20}".format,
        lambda s: f"{s}{s!s}{s!a}",
        lambda s: "%s %r" % (s, s),  # noqa: UP031
        lambda s: str([s, {s: s}, Holder(s), asdict(Holder(s))]),
        lambda s: str(ValueError("cannot use", s)),
        lambda s: str(Reply(0, s)),
        lambda s: str(Request(MachineId("c", "m"), Verb.SET, "token", s.reveal())),
    ],
)
def test_no_text_shows_it(show):
    assert CANARY not in show(SECRET)


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps])
def test_it_is_not_written_down(write):
    with pytest.raises(TypeError) as refused:
        write(SECRET)

    assert CANARY not in str(refused.value)


def test_it_is_itself_and_equal_to_the_same_secret_only():
    assert SECRET.reveal() == CANARY
    assert copy.deepcopy(SECRET) == SECRET == SecretValue(CANARY)
    assert {SECRET, SecretValue(CANARY), SecretValue("other")} == {SECRET, SecretValue("other")}
    assert SECRET != CANARY
    assert SecretValue(HIDDEN) != SECRET


def test_several_are_one_with_an_item_per_line():
    assert SecretValue.joined([SECRET, "b"]) == SecretValue(f"{CANARY}\nb")
