import pytest

from headwater.errors import HeadwaterError, Stalled, Transient
from headwater.source.faults import Moved, explain


@pytest.mark.parametrize(
    ("said", "consequence"),
    [
        ("failed to connect to example.org: Connection refused", Transient),
        ("ssh: connect to host example.org port 22: Connection timed out", Transient),
        ("", Transient),
        ("unknown object format 'sha256'", Stalled),
        ("fatal: mismatched algorithms: client sha1; server sha256", Stalled),
        ("repository path '/x' is not owned by current user", Stalled),
        ("Host key verification failed.", Stalled),
        ("git@example.org: Permission denied (publickey).", Stalled),
        ("remote authentication required but no callback set", Stalled),
        ("unexpected http status code: 404", Stalled),
        ("the SSL certificate is invalid", Stalled),
        ("refs/notes/headwater: pre-receive hook declined", Stalled),
        ("cannot push non-fastforwardable reference", Moved),
        (" ! [rejected] refs/notes/headwater (fetch first)", Moved),
        ("failed to create locked file '/x/refs/notes/headwater.lock'", Moved),
        ("failed to create locked file '/x/refs/notes/h.lock': Permission denied", Stalled),
    ],
)
def test_what_git_says_decides_what_happens_next(
    said: str, consequence: type[HeadwaterError]
) -> None:
    error = explain(said, "https://example.org/x")

    assert type(error) is consequence
    assert "https://example.org/x" in str(error)
    assert said.strip() in str(error)


def test_long_words_are_cut_and_lines_joined() -> None:
    text = str(explain("one\ntwo " + "x" * 10_000, "here"))

    assert "\n" not in text
    assert len(text) < 400
