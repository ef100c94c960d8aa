"""Reading files: every error at once, with its place, and what a file does not tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.manifests.parse import Parser, is_manifest, parse_file
from headwater.manifests.snapshot import File, FileKind, Snapshot
from unit.manifests.texts import GOOD, HEADER, SHOP, WEB, file, snapshot, unhurried


def wrong(text: str | bytes, path: str = "shop.toml") -> list[str]:
    found = parse_file(path, file(text))
    return [str(d) for d in found.diagnostics] + [
        str(d) for definition in found.definitions for d in definition.diagnostics
    ]


def test_a_right_file_has_no_diagnostics():
    found = parse_file("shop.toml", file(SHOP))

    assert [(d.kind, d.name) for d in found.definitions] == [("Deployment", "shop")]
    assert found.complete
    assert wrong(SHOP) == []


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_known_one():
    assert wrong(SHOP.replace("replicas", "replica")) == [
        "shop.toml:9:1: unknown key 'replica' (did you mean 'replicas'?)"
    ]


def test_a_key_like_none_is_answered_with_all_that_are_known():
    assert wrong(WEB + "[spec.outputs.x]\nzzz = 1\n") == [
        "shop.toml:14:1: unknown key 'zzz' (known here: description, type)"
    ]


def test_every_error_is_told_at_once():
    text = SHOP.replace("replicas = 3", 'replicas = "3"').replace('cloud = "local"', "cloud = 7")

    assert wrong(text) == [
        "shop.toml:6:1: 'cloud' must be a string, not an integer",
        "shop.toml:9:1: 'replicas' must be an integer, not a string",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("replicas = -1", "8: 'replicas' is -1; it must be greater than or equal to 0"),
        ("replicas = 1_000_000", "'replicas' is 1000000; it must be less than or equal to 10000"),
        ("replicas = true", "'replicas' must be an integer, not true or false"),
        ("replicas = 1.0", "'replicas' must be an integer, not a float"),
        ("inputs = { a.b = 1 }", "'a' is not an input: a table is { from = '...' }; a name with"),
        ("inputs = { a = 1.5 }", "1.5 is not an input"),
        ("inputs = { a = { from = 'wn' } }", "'a' refers to no output: write 'ce.hostname'"),
        ("inputs = { a = { from = 'wn[0].x' } }", "'a' refers to no output"),
        ("inputs = { 'a b' = 1 }", "'a b' is not a name of a parameter"),
        ("skip = 'all'", "'skip' must be an array, not a string"),
        ("spread = {}", "'spread' must not be empty"),
    ],
)
def test_a_wrong_value_is_told_in_words(line, words):
    text = HEADER.format("Deployment", "shop") + f'[spec.nodes.front]\ncomponent = "web"\n{line}\n'

    (only,) = wrong(text)

    assert only.startswith("shop.toml:8:")
    assert words.removeprefix("8: ") in only


def test_a_near_miss_of_a_value_is_suggested():
    text = SHOP + '[spec.update]\nonRecipeChange = "rerunn"\n'

    assert wrong(text) == [
        (
            "shop.toml:14:1: 'onRecipeChange' is 'rerunn', not one of 'rerun', 'replace', 'ignore'"
            " (did you mean 'rerun'?)"
        )
    ]


def test_a_missing_key_is_placed_at_its_table():
    assert wrong(SHOP.replace('component = "web"\n', "")) == [
        "shop.toml:7:13: missing key 'component'"
    ]


def test_malformed_toml_is_placed():
    assert wrong("a = 1\nb = = 2\n") == ["shop.toml:2:5: not valid TOML 1.0: invalid value"]
    assert "shop.toml:2:" in wrong("a = 1\nb = [1,\n\n")[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xef\xbb\xbfa = 1", "1:1: begins with a byte order mark"),
        (b'a = 1\nb = "\xff"', "2:1: not UTF-8: byte 0xff"),
        (b"a = " + b"[" * 100_000, "1:1: nested too deeply"),
        (b"a = " + b"{a=" * 100_000, "1:1: nested too deeply"),
        (b"a." * 300_000 + b"a = 1", "1:1: nested too deeply"),
        (b"x = {" + b"a." * 300_000 + b"a = 1}", "1:6: nested too deeply"),
        (b"a = " + b"1" * 5000, "1:1: not valid TOML 1.0"),
        (b"#" * (1024 * 1024 + 1), "too large: 1048577 bytes, at most 1048576"),
    ],
)
def test_a_file_that_cannot_be_read_tells_why_and_may_hide_anything(content, words):
    found = parse_file("x.toml", file(content))

    assert not found.complete
    assert words in str(found.diagnostics[0])


def test_deep_keys_that_are_read_are_told_like_others():
    text = HEADER.format("Image", "deep").replace("[spec]", f"[spec.{'.'.join('a' * 90)}]")

    assert wrong(text)[0].startswith("shop.toml:5:7: unknown key 'a'")


@pytest.mark.parametrize("kind", [FileKind.SYMLINK, FileKind.SUBMODULE])
def test_a_manifest_that_is_no_file_may_hide_anything(kind):
    found = parse_file("x.toml", File("1", kind, 4, None))

    assert not found.complete
    assert f"a manifest is a file, and this is a {kind.value}" in str(found.diagnostics[0])


def test_a_file_that_was_too_large_to_be_read_may_hide_anything():
    found = parse_file("x.toml", File("1", FileKind.REGULAR, 2_000_000, None))

    assert not found.complete
    assert "too large: 2000000 bytes" in str(found.diagnostics[0])


def test_several_resources_stand_in_one_file():
    text = "".join(
        f"""[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "{kind}"
metadata = {{ name = "{kind.lower()}" }}
spec = {{ driver = "local" }}
"""
        for kind in ("Cloud", "Polcy", "Image")
    )

    found = parse_file("all.toml", file(text))

    assert [d.name for d in found.definitions] == ["cloud", "image"]
    assert not found.complete
    assert str(found.diagnostics[0]).startswith("all.toml:8:1: unknown kind 'Polcy'")
    assert str(found.definitions[1].diagnostics[0]).startswith("all.toml:15:10: unknown key")


def test_nothing_stands_beside_resources():
    assert wrong('a = 1\n[[resources]]\nkind = "Policy"\n') == [
        "shop.toml:1:1: 'a' stands beside [[resources]]",
        "shop.toml:2:3: apiVersion must be 'headwater.dev/v1alpha1'",
    ]


@pytest.mark.parametrize(
    ("text", "words", "complete"),
    [
        ("a = 1", "1:1: no apiVersion and no kind: not a resource", False),
        (
            SHOP.replace("Deployment", "Deploymnet"),
            "2:1: unknown kind 'Deploymnet' (did you",
            False,
        ),
        (SHOP.replace("Deployment", "Policy"), "2:1: kind 'Policy' is not supported yet", True),
        (SHOP.replace('name = "shop"', "nam = 1"), "4:1: unknown key 'nam'", False),
        (SHOP.replace('"shop"', '"The Shop"'), "4:1: 'The Shop' is not a name", False),
        (WEB.replace('"web"', '"The Web"'), "4:1: 'The Web' is not a name", True),
        (SHOP.replace("v1alpha1", "v2"), "1:1: apiVersion must be", True),
    ],
)
def test_what_may_hide_a_deployment_is_not_complete(text, words, complete):
    assert words in " ".join(wrong(text))
    assert parse_file("x.toml", file(text)).complete is complete


def test_a_wrong_deployment_with_a_name_is_known_by_it():
    (only,) = parse_file("x.toml", file("x = 1\n" + SHOP)).definitions

    assert (only.name, only.resource) == ("shop", None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.toml", True),
        ("README.md", False),
        ("images.lock.toml", False),
        ("a/headwater.toml", False),
        ("pyproject.toml", False),
        (".taplo.toml", False),
        (".github/a.toml", False),
    ],
)
def test_which_files_are_manifests(path, expected):
    assert is_manifest(path) is expected


def test_an_unchanged_file_is_read_once():
    parser = Parser()
    first = parser.parse(snapshot(GOOD))
    again = parser.parse(snapshot(GOOD | {"other.toml": WEB.replace('"web"', '"other"')}))

    assert parser.files_read == 3
    assert first[0] is again[1]


def test_a_file_whose_content_is_not_there_any_more_is_not_remembered():
    parser = Parser()
    known = file(SHOP)
    parser.parse(Snapshot("1", {"shop.toml": known}))

    (found,) = parser.parse(Snapshot("2", {"shop.toml": File(known.oid, known.kind, 9, None)}))

    assert not found.complete


def test_more_errors_than_anyone_reads_are_counted():
    text = SHOP.replace("[spec]\n", "[spec]\n" + "".join(f"x{n} = 1\n" for n in range(500)))

    found = wrong(text)

    assert len(found) == 101
    assert found[-1].endswith("and 400 more errors")


@unhurried
@given(st.binary(max_size=200))
def test_random_bytes_never_raise(content):
    assert parse_file("x.toml", file(content)).diagnostics


fragments = st.sampled_from(
    [*SHOP.splitlines(), *WEB.splitlines(), "[[resources]]", "x = [{", "}]"]
)


@unhurried
@given(st.lists(fragments, max_size=25))
def test_random_manifests_are_told_inside_the_file(lines):
    text = "\n".join(lines)
    found = parse_file("x.toml", file(text))

    for diagnostic in (*found.diagnostics, *(d for f in found.definitions for d in f.diagnostics)):
        assert 1 <= diagnostic.line <= max(1, len(lines))
        assert 1 <= diagnostic.column <= max(map(len, lines), default=0) + 1
