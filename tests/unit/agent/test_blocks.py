from hypothesis import given
from hypothesis import strategies as st

from headwater_agent.blocks import BEGIN, END, maintain, with_block

TEXT = st.lists(st.sampled_from([b"127.0.0.1 localhost", b"# a comment", b""])).map(b"\n".join)
LINES = st.lists(st.sampled_from([b"10.0.0.1 ce", b"10.0.0.2 wn"]), min_size=1)


@given(TEXT, LINES, LINES)
def test_the_block_is_replaced_and_the_rest_stays(text, first, second):
    assert with_block(with_block(text, first), second) == with_block(text, second)
    assert with_block(text, first).startswith(text)


@given(TEXT, LINES)
def test_without_lines_the_block_goes(text, lines):
    assert with_block(with_block(text, lines), []).rstrip(b"\n") == text.rstrip(b"\n")


def test_lines_behind_the_block_stay():
    text = b"a\n" + BEGIN + b"old\n" + END + b"z\n"
    assert with_block(text, [b"new"]) == b"a\n" + BEGIN + b"new\n" + END + b"z\n"


def test_a_block_without_its_end_swallows_nothing():
    assert with_block(b"a\n" + BEGIN + b"somebody's\n", [b"new"]).endswith(b"somebody's\n")


def test_the_file_keeps_its_mode_and_a_new_one_gets_ours(tmp_path):
    known, fresh = tmp_path / "known", tmp_path / "fresh"
    known.write_bytes(b"a\n")
    known.chmod(0o640)
    for file in (known, fresh):
        maintain(str(file), [b"ssh-ed25519 AAAA"], 0o600)
    assert known.stat().st_mode & 0o777 == 0o640
    assert fresh.stat().st_mode & 0o777 == 0o600
    assert known.read_bytes() == b"a\n" + BEGIN + b"ssh-ed25519 AAAA\n" + END


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"a\n")
    (tmp_path / "link").symlink_to("real")
    maintain(str(tmp_path / "link"), [b"b"], 0o600)
    assert (tmp_path / "link").is_symlink()
    assert b"b\n" in (tmp_path / "real").read_bytes()


def test_what_is_right_already_is_not_written(tmp_path):
    file = tmp_path / "hosts"
    file.write_bytes(with_block(b"", [b"10.0.0.1 ce"]))
    before = file.stat().st_ino
    maintain(str(file), [b"10.0.0.1 ce"], 0o644)
    assert file.stat().st_ino == before
