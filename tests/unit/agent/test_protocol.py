"""The wire never surprises."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_agent import protocol
from headwater_agent.protocol import LINE_LIMIT, Decoder, ProtocolError

MESSAGES = st.lists(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()).map(
        lambda fields: {**fields, "kind": "any"}
    )
)


@given(st.binary())
def test_rubbish_is_a_protocol_error_or_nothing(received):
    with contextlib.suppress(ProtocolError):
        Decoder().feed(received)


@given(st.lists(st.binary(max_size=20)))
def test_rubbish_in_pieces_is_a_protocol_error_or_nothing(pieces):
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            decoder.feed(piece + b"\n")


@given(MESSAGES, st.lists(st.integers(1, 9), min_size=1))
def test_messages_arrive_whole_however_they_are_cut(messages, cuts):
    stream = b"".join(protocol.encode(message) for message in messages)
    decoder, received = Decoder(), []
    for position in range(0, len(stream), cuts[0]):
        received += decoder.feed(stream[position : position + cuts[0]])
    assert received == messages


@given(st.binary())
def test_output_survives_the_wire(content):
    line = protocol.encode(protocol.output("c1", 0, content))
    assert protocol.content_of(Decoder().feed(line)[0]) == content


@pytest.mark.parametrize(
    "line", [b"[]\n", b"{}\n", b'{"kind":1}\n', b"\xff\n", b"[" * 100_000 + b"\n", b"\n"]
)
def test_what_is_no_message_is_an_error(line):
    with pytest.raises(ProtocolError, match="not a message"):
        Decoder().feed(line)


@pytest.mark.parametrize("received", [b"x" * (LINE_LIMIT + 1), b"x" * LINE_LIMIT + b"\n"])
def test_a_line_has_a_limit_also_before_its_end(received):
    with pytest.raises(ProtocolError, match="longer than"):
        Decoder().feed(received)


def test_a_message_over_the_limit_is_not_sent():
    with pytest.raises(ProtocolError, match="'hosts' has 1048"):
        protocol.encode(protocol.hosts(["x" * LINE_LIMIT]))


def test_the_longest_message_passes():
    frame = len(protocol.encode(protocol.hosts([""])))
    line = protocol.encode(protocol.hosts(["x" * (LINE_LIMIT - frame)]))
    assert len(line) == LINE_LIMIT
    assert len(Decoder().feed(line)) == 1


@pytest.mark.parametrize("content", ["x", "é", 5, None])
def test_output_with_bad_content_is_an_error(content):
    with pytest.raises(ProtocolError, match="without content"):
        protocol.content_of({"kind": "output", "content": content})
