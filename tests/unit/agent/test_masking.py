"""What recipes print, with the secrets taken out."""

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_agent.masking import MASK, SHORTEST, Masks

TOKEN = 's3cret-Tok\'en "42"/é'  # noqa: S105  # looked for
KEY = "-----BEGIN KEY-----\nMIIEvAIBADANBgkqhkiG9w0BAQ\nAAoIBAQDEffF00Ba2\n-----END KEY-----"


def streamed(secret: str, pieces: list[bytes]) -> bytes:
    """What is kept of output that comes in these pieces."""
    masks, rest, kept = Masks([secret]), b"", b""
    for piece in pieces:
        shown, rest = masks.split(rest + piece)
        kept += shown
    return kept + masks.rest(rest)


def cut(content: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(content) + 1) for place in places})
    return [content[a:b] for a, b in zip([0, *ends], [*ends, len(content)], strict=True)]


@pytest.mark.parametrize(
    "form",
    [
        TOKEN,
        shlex.quote(TOKEN),
        json.dumps(TOKEN),
        json.dumps(TOKEN, ensure_ascii=False),
        quote(TOKEN, safe=""),
        quote_plus(TOKEN),
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(f"user:{TOKEN}".encode()).decode(),
        base64.b64encode(f"me:{TOKEN}\n".encode()).decode(),
        base64.urlsafe_b64encode(f"{TOKEN}\n".encode()).decode(),
    ],
)
def test_a_secret_is_found_in_the_forms_in_which_tools_print_it(form):
    shown = streamed(TOKEN, [f"before {form} after".encode()]).decode()

    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert MASK.decode() in shown
    assert len(shown) <= len("before *** after") + 10  # what its neighbours in base64 share


def test_every_line_of_a_secret_is_one():
    shown = streamed(KEY, [b"x AAoIBAQDEffF00Ba2 y\n", KEY.encode()])

    assert shown == b"x *** y\n***"


def test_base64_with_line_ends_is_found_line_by_line():
    secret = "".join(map(chr, range(33, 127))) * 3
    wrapped = base64.encodebytes(secret.encode())

    assert b"".join(streamed(secret, [wrapped]).split()).strip(b"*=") == b""


def test_what_is_too_short_is_not_looked_for():
    assert not Masks(["a" * (SHORTEST - 1), ""])
    assert not Masks([])
    assert streamed("abc", [b"abcabc"]) == b"abcabc"


def test_overlapping_secrets_leave_nothing_of_either():
    masks = Masks(["abcdefgh", "efghijkl"])

    assert masks.split(b"-abcdefghijkl-") == (b"-***-", b"")


def test_an_end_that_may_go_on_waits_and_no_more_than_that():
    masks = Masks(["abcdefgh"])

    assert masks.split(b"xxabcdefg") == (b"xx", b"abcdefg")
    assert masks.split(b"abcdefgX") == (b"abcdefgX", b"")
    assert masks.rest(b"abcde") == b"abcde"
    assert masks.rest(b"abcdef") == MASK


def test_one_that_repeats_for_ever_is_not_waited_for_for_ever():
    masks = Masks(["abababab"])

    shown, rest = masks.split(b"ab" * 10_000)

    assert (shown, len(rest)) == (MASK, 2 * masks.longest)


@pytest.mark.parametrize(
    "text",
    [
        "failed with hunter2hunter2",
        "hunter2hunter2",
        "...er2hunter2 at the beginning of what was kept",
        "cut off at the end: hunter2hun",
    ],
)
def test_in_a_text_that_may_have_been_cut_pieces_count_too(text):
    masked = Masks(["hunter2hunter2"]).text(text.removeprefix("..."))

    assert "***" in masked
    assert not any(piece in masked for piece in ("hunter2", "er2hunter2", "hunter"))


letters = st.text(st.sampled_from("ab"), min_size=SHORTEST, max_size=10)


@settings(deadline=None)
@given(letters, st.lists(st.text(st.sampled_from("abx"), max_size=12)), st.lists(st.integers(0)))
def test_no_cut_into_pieces_lets_a_secret_through(secret, words, places):
    """Few letters: so secrets overlap themselves and each other, and ends look like beginnings."""
    content = secret.join(words).encode()

    kept = streamed(secret, cut(content, places))

    assert secret.encode() not in kept
    if secret.encode() in content:
        assert MASK in kept


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0)))
def test_what_holds_no_secret_is_kept_byte_by_byte(content, places):
    assert streamed("a secret that is not there", cut(content, places)) == content


@settings(deadline=None)
@given(letters, st.lists(st.text(st.sampled_from("abx"), max_size=12)))
def test_what_is_shown_and_what_waits_are_all_that_came(secret, words):
    masks, content = Masks([secret]), secret.join(words).encode()

    shown, rest = masks.split(content)

    assert content.endswith(rest)
    if MASK not in shown:
        assert shown + rest == content
