"""No manifest crashes, hangs or bloats the controller, whatever its bytes are."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from faults.fuzzing import Fuzz, fuzzed, peak
from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.positions import Key, line_and_column, scan
from headwater.manifests.resolved import Catalog
from headwater.topology.desired import expand
from unit.manifests.texts import GOOD, HEADER, SHOP, WEB, file, snapshot

Record = Callable[[str, object], None]

CLOUD = HEADER.format("Cloud", "lab") + 'driver = "openstack"\n[spec.limits]\nreadsPerSecond = 2\n'
IMAGE = HEADER.format("Image", "debian") + 'ids = { lab = "1" }\nvalidUntil = 2027-06-01\n'
WHOLE = (
    HEADER.format("Deployment", "whole")
    + """\
cloud = "local"
lifecycle = "service"
timeouts = { provision = "10m", execute = "30m" }
[spec.nodes.a]
component = "web"
replicas = 4
skip = [2]
inputs = { title = "x", peers = { from = "a[*].hostname" } }
[spec.update]
maxUnavailable = "25%"
maxSurge = 1
order = ["a"]
[spec.safety]
protect = false
"""
)
SET = (
    HEADER.format("DeploymentSet", "sites")
    + """\
template = "site.toml"
[[spec.sites]]
name = "a"
cloud = "local"
replicas = 2
skip = []
[[spec.sites]]
name = "b"
cloud = "lab"
replicas = 3
skip = [1]
"""
)
TEMPLATE = (
    WHOLE.replace('"whole"', '"x-${name}"')
    .replace('"local"', '"${cloud}"')
    .replace("replicas = 4\nskip = [2]", 'replicas = "${replicas}"\nskip = "${skip}"')
)
MOST_MEMORY = 600
"""Bytes for each byte of a file: a table of Python's for every few characters."""
SEEDS = [SHOP, WEB, CLOUD, IMAGE, WHOLE]
WORDS = [
    *("kind", "spec", "nodes", "inputs", "from", "extends", "replicas", "web", "shop", "component"),
    *("front[*].hostname", "a.b.c", "${x}", "../../etc/passwd", "#!/bin/sh\n", "25%", "-1", "1e9s"),
    *("\0", "\x1b[2J", "\u202e", "é" * 300, "x" * 5000, "", " ", "Deployment", "Component"),
]
scalars: st.SearchStrategy[object] = (
    st.none().map(lambda _: {})
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=20)
    | st.dates()
    | st.times()
)
keys = st.sampled_from(WORDS) | st.text(max_size=10)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


def check(found: Catalog, texts: dict[str, str]) -> None:
    """Every error has a place in its file, and what is sound can be planned."""
    lines = {path: text.count("\n") + 1 for path, text in texts.items()}
    for diagnostic in found.diagnostics:
        assert 1 <= diagnostic.line <= lines[diagnostic.path] + 1
        assert diagnostic.column >= 1
        assert len(str(diagnostic)) < 20_000
    assert found.deployments.keys().isdisjoint(found.failed)
    for deployment in found.deployments.values():
        wanted = sum(node.replicas for node in deployment.nodes.values())
        if wanted < 100:
            assert len(expand(deployment).instances) <= wanted


def compiled(texts: dict[str, str]) -> Catalog:
    found = compile_catalog(snapshot(texts), Parser())
    check(found, texts)
    return found


def paths(content: Any, above: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    parts = enumerate(content) if isinstance(content, list) else content.items()
    for key, value in parts:
        yield (*above, key)
        if isinstance(value, list | dict):
            yield from paths(value, (*above, key))


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[str] = SEEDS) -> str:
    """A manifest in which values were changed, removed, moved or added."""
    content: Any = tomllib.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        if not (known := list(paths(content))):
            break
        *above, last = draw(st.sampled_from(known))
        place = content
        for key in above:
            place = place[key]
        match draw(st.sampled_from(["change", "remove", "add", "wrap", "move"])):
            case "change":
                place[last] = draw(values)
            case "remove":
                del place[last]
            case "add" if isinstance(place, dict):
                place[draw(keys)] = draw(values)
            case "wrap":
                place[last] = [deepcopy(place[last]), {"x": deepcopy(place[last])}]
            case "move" if isinstance(content, dict):
                content[draw(keys)] = deepcopy(place[last])
    if draw(st.booleans()):
        content = {"resources": [content] * draw(st.integers(1, 3))}
    return tomli_w.dumps(content, multiline_strings=draw(st.booleans()))


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[str] = SEEDS) -> str:
    """A manifest whose text was cut, repeated, and sprinkled with marks."""
    text = draw(st.sampled_from(seeds) | mutated(seeds))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        new = draw(
            st.sampled_from(["", "[", "[[", "]", '"', "'", '"""', "=", ".", "#", "\n", "{", "}"])
            | st.sampled_from(["\r", "\r\n", "\t", "\\", "\\u0000", "\ufeff", text[at:end] * 3])
            | st.text(max_size=5)
        )
        text = text[:at] + new + text[end:]
    return text.encode(errors="replace").decode()


def test_any_bytes_are_a_manifest_or_an_error(record_property: Record):
    fuzz = Fuzz()
    whole = snapshot(GOOD)

    @fuzzed(1200)
    @given(st.binary(max_size=400) | damaged().map(lambda text: text.encode("latin-1", "replace")))
    def one(content: bytes) -> None:
        files = {**whole.files, "any/any.toml": file(content)}
        with fuzz.example():
            found = compile_catalog(replace(whole, files=files), Parser())
        assert found.diagnostics or found.resources > 2
        assert "shop" in {*found.deployments, *found.failed}

    one()
    record_property("figure", fuzz.told("bytes of manifests"))


def test_any_damage_to_a_manifest_is_told_in_its_place(record_property: Record):
    fuzz = Fuzz()

    @fuzzed(1500)
    @given(damaged() | mutated(), st.booleans())
    def one(text: str, alone: bool) -> None:
        texts = {"any/any.toml": text} if alone else {**GOOD, "any/any.toml": text}
        with fuzz.example():
            compiled(texts)

    one()
    record_property("figure", fuzz.told("damaged manifests"))


def test_any_damage_to_a_set_or_its_template_is_told_in_its_place(record_property: Record):
    fuzz = Fuzz()
    sets = st.just(SET) | mutated([SET]) | damaged([SET])
    templates = st.just(TEMPLATE) | mutated([TEMPLATE]) | damaged([TEMPLATE])

    @fuzzed(1000)
    @given(sets, templates)
    def one(set: str, template: str) -> None:
        texts = {**GOOD, "any/any.toml": set, "any/site.toml": template}
        with fuzz.example():
            compiled(texts)

    one()
    record_property("figure", fuzz.told("damaged sets"))


def test_every_key_of_any_document_is_found(record_property: Record):
    fuzz = Fuzz()

    @fuzzed(1500)
    @given(mutated() | damaged())
    def one(text: str) -> None:
        text = text.replace("\r\n", "\n")
        try:
            content = tomllib.loads(text)
        except (ValueError, RecursionError):
            return
        with fuzz.example():
            places = scan(text)
            for path in paths(content):
                place = places
                for key in path:
                    place = place.parts[key]
                assert line_and_column(text, place.offset) <= line_and_column(text, len(text))

    one()
    record_property("figure", fuzz.told("positions"))


LARGE = 1_000_000
PATTERNS: dict[str, Callable[[int], str]] = {
    "arrays": lambda n: "x = " + "[" * n,
    "closed arrays": lambda n: "x = " + "[" * (n // 2) + "]" * (n // 2),
    "inline tables": lambda n: "x = " + "{a=" * (n // 3),
    "arrays of tables": lambda n: "x = " + "[{a=" * (n // 4),
    "dots": lambda n: "a" + ".a" * (n // 2) + " = 1",
    "dots of a header": lambda n: "[a" + ".a" * (n // 2) + "]",
    "a few dots, often": lambda n: "".join(f"k{i}{'.a' * 90} = 1\n" for i in range(n // 200)),
    "a key": lambda n: "k" * n + " = 1",
    "a quoted key": lambda n: '"' + "\\u00e9" * (n // 7) + '" = 1',
    "keys": lambda n: "".join(f"k{i} = 1\n" for i in range(n // 11)),
    "headers": lambda n: "".join(f"[t{i}]\n" for i in range(n // 10)),
    "nested headers": lambda n: "".join(f"[t{'.u' * (i % 90)}.v{i}]\n" for i in range(n // 110)),
    "items": lambda n: "[[resources]]\n" * (n // 14),
    "a string": lambda n: 'x = "' + "y" * n,
    "a string of quotes": lambda n: 'x = """' + '""\\"' * (n // 4),
    "a comment": lambda n: "#" * n,
    "spaces": lambda n: " " * n + "x",
    "lines": lambda n: "\n" * n + "x",
    "digits": lambda n: "x = " + "9" * n,
    "fractions": lambda n: "x = 0." + "9" * n,
    "underscores": lambda n: "x = 1" + "_1" * (n // 2),
    "unknown keys": lambda n: SHOP + "".join(f"x{i} = 1\n" for i in range(n // 12)),
    "nodes": lambda n: SHOP + "".join(f"[spec.nodes.n{i}]\n" for i in range(n // 22)),
    "wrong nodes": lambda n: (
        SHOP + "".join(f"[spec.nodes.n{i}]\ncomponent='w{i}'\n" for i in range(n // 44))
    ),
    "inputs": lambda n: SHOP + "".join(f"i{i} = {{ from = 'x.y' }}\n" for i in range(n // 28)),
    "packages": lambda n: WEB.replace("[spec.inputs.title]", f"sshKeys = {['k'] * (n // 6)}", 1),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_megabyte_of_anything_is_read_in_bounded_time_and_memory(
    pattern: str, record_property: Record
):
    text = PATTERNS[pattern](LARGE)
    fuzz = Fuzz()

    with fuzz.example():
        compiled({**GOOD, "any/any.toml": text})
    text = PATTERNS[pattern](LARGE // 10)
    most = peak(lambda: compiled({**GOOD, "any/any.toml": text})) / len(text)

    assert most < MOST_MEMORY, f"{most:.0f} bytes for each that was read"
    record_property("slowest", fuzz.slowest)
