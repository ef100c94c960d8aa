"""Types and secrets in manifests: said where they are wrong, with the next step."""

import base64

import pytest

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Encrypted, Literal, Secret
from headwater.manifests.snapshot import File, FileKind, Snapshot
from headwater.manifests.values import ParameterType
from unit.manifests.texts import GOOD, SHOP, WEB, catalog, file, told

AGE = b"age-encryption.org/v1\n-> X25519 ...\n\xff"
TYPED = WEB.replace("[spec.inputs.title]\n", '[spec.inputs.title]\ntype = "{}"\n')
TITLE = "input 'title' of component 'web'"


def typed(type: str, literal: str) -> list[str]:
    return told(catalog(web=TYPED.format(type), shop=SHOP.replace('"Shop"', literal)))


def referring(output: str, type: str, target: str = "front.ready") -> list[str]:
    """An input of this type that is bound to `ready`, an output of that type."""
    web = TYPED.format(type).replace(
        "[spec.outputs.ready]", f'[spec.outputs.ready]\ntype = "{output}"'
    )
    return told(catalog(web=web, shop=SHOP.replace('"Shop"', f'{{ from = "{target}" }}')))


def secret_in(files: dict[str, File]) -> tuple[list[str], Encrypted | None]:
    """The deployment `shop/shop.toml` binds a secret; these files are in the repository, too."""
    texts = GOOD | {
        "shop/shop.toml": SHOP.replace('"Shop"', '{ secret = "web/title" }'),
        "web/web.toml": TYPED.format("secret"),
    }
    every = {path: file(text) for path, text in texts.items()} | files
    found = compile_catalog(Snapshot("c0ffee", every), Parser())
    shop = found.deployments.get("shop")
    return told(found), shop.encrypted.get("web/title") if shop else None


@pytest.mark.parametrize(
    ("type", "literal", "value"),
    [
        ("string", '"Shop"', "Shop"),
        ("string", '["a", 1]', "a\n1"),
        ("integer", "0x10", "16"),
        ("integer", '"+7"', "7"),
        ("boolean", "true", "true"),
        ("list", '["a", "b"]', "a\nb"),
        ("list", "[]", ""),
    ],
)
def test_a_literal_of_the_declared_type_is_text_on_the_machine(type, literal, value):
    found = catalog(web=TYPED.format(type), shop=SHOP.replace('"Shop"', literal))

    assert told(found) == []
    front = found.deployments["shop"].nodes["front"]
    assert front.inputs["title"] == Literal(value)
    assert front.types.get("title", ParameterType.STRING) is ParameterType(type)


@pytest.mark.parametrize(
    ("type", "literal", "words"),
    [
        ("integer", '"many"', f"{TITLE} is an integer of 64 bits, and 'many' is not"),
        ("integer", "true", f"{TITLE} is an integer of 64 bits, and 'true' is not"),
        ("integer", "[1]", f"{TITLE} is an integer, not an array"),
        ("boolean", "1", f"{TITLE} is true or false, and '1' is neither"),
        ("list", '"a"', f"{TITLE} is a list (write an array)"),
        (
            "string",
            '{ secret = "a" }',
            (
                f"{TITLE} is a string, not a secret"
                " (declare it with type = \"secret\" in component 'web')"
            ),
        ),
        (
            "secret",
            '"hunter2hunter2"',
            (
                f"{TITLE} is a secret, which never stands in Git"
                " (write { secret = 'name' }, and renew what was written here)"
            ),
        ),
    ],
)
def test_a_literal_of_another_type_is_an_error_at_its_place(type, literal, words):
    assert typed(type, literal) == [f"shop/shop.toml:11:1: {words}"]


def test_an_unknown_type_is_answered_with_the_known_ones():
    *_, only = told(catalog(web=TYPED.format("int")))

    assert only == (
        "web/web.toml:9:1: 'type' is 'int', not one of 'string', 'integer', 'boolean', 'list',"
        " 'secret' (did you mean 'integer'?)"
    )


@pytest.mark.parametrize(
    ("output", "input", "target"),
    [
        ("integer", "string", "front.ready"),
        ("integer", "integer", "front[2].ready"),
        ("string", "list", "front[*].ready"),
        ("secret", "secret", "front.ready"),
        ("secret", "secret", "front[*].ready"),
    ],
)
def test_an_output_that_fits_is_taken(output, input, target):
    assert referring(output, input, target) == []


@pytest.mark.parametrize(
    ("output", "input", "target", "why"),
    [
        ("string", "integer", "front.ready", "the output is a string, and the input is an integer"),
        ("integer", "integer", "front[*].ready", "it is a list, and the input is an integer"),
        ("string", "list", "front.ready", "the output is a string, and the input is a list"),
        ("secret", "string", "front.ready", "only the output is a secret"),
        ("string", "secret", "front.ready", "only the input is a secret"),
        (
            "string",
            "integer",
            "front.hostname",
            "the output is a string, and the input is an integer",
        ),
    ],
)
def test_an_output_that_does_not_fit_is_an_error(output, input, target, why):
    shown = target.replace("[2]", "")
    assert referring(output, input, target) == [
        (
            f"shop/shop.toml:11:1: '{shown}' does not fit input 'title': {why}"
            " (see the types in components 'web' and 'web')"
        )
    ]


class TestDefaults:
    def test_an_input_that_no_node_binds_has_its_default(self):
        web = WEB.replace(
            "[spec.inputs.peers]",
            '[spec.inputs.peers]\n[spec.inputs.slots]\ntype = "integer"\ndefault = 4',
        )

        front = catalog(web=web).deployments["shop"].nodes["front"]

        assert front.inputs["slots"] == Literal("4")

    @pytest.mark.parametrize(
        ("declared", "words"),
        [
            ('type = "integer"\ndefault = "x"', "input 'title' of component 'web' is an integer"),
            ('required = true\ndefault = "x"', "is required, and has a default all the same"),
            ('type = "secret"\ndefault = "x"', "is a secret, which has no default"),
            ('default = { from = "a.b" }', "is not a default"),
        ],
    )
    def test_a_default_that_cannot_be_is_an_error(self, declared, words):
        web = WEB.replace("[spec.inputs.title]", f"[spec.inputs.title]\n{declared}")
        shop = SHOP.replace('title = "Shop"\n', "")

        assert any(words in line for line in told(catalog(web=web, shop=shop)))


class TestSecrets:
    def test_a_secret_is_bound_by_name_and_its_file_is_found_beside_the_manifest(self):
        diagnostics, found = secret_in({"shop/web/title.age": file(AGE)})

        assert diagnostics == []
        assert found is not None
        assert (found.path, base64.b64decode(found.content)) == ("shop/web/title.age", AGE)
        assert found.content not in repr(found)

    def test_the_nearest_file_above_wins(self):
        _, above = secret_in({"web/title.age": file(AGE)})
        _, beside = secret_in({"web/title.age": file(AGE), "shop/web/title.age": file(AGE)})

        assert above is not None
        assert beside is not None
        assert (above.path, beside.path) == ("web/title.age", "shop/web/title.age")

    def test_without_a_file_it_is_the_controllers_to_have(self):
        assert secret_in({}) == ([], None)
        assert secret_in({"other/web/title.age": file(AGE)}) == ([], None)

    @pytest.mark.parametrize(
        ("there", "words"),
        [
            (file(b"hunter2"), "is not a file that age has encrypted (if it is the secret itself"),
            (file(b""), "is not a file that age has encrypted"),
            (file(b"/etc/shadow", FileKind.SYMLINK), "is a symlink, not a file"),
            (File("ab", FileKind.REGULAR, 10**6, None), "has 1000000 bytes and was not read"),
        ],
    )
    def test_what_cannot_be_an_encrypted_file_is_an_error(self, there, words):
        (only,), _ = secret_in({"web/title.age": there})

        assert only.startswith("shop/shop.toml:11:1: secret 'web/title.age' ")
        assert words in only
        assert "hunter2" not in only

    @pytest.mark.parametrize("name", ["../x", "a/../b", "a//b", "/a", "a/", ".hidden", "a b", ""])
    def test_a_name_stays_inside(self, name):
        (only,) = told(catalog(shop=SHOP.replace('"Shop"', f'{{ secret = "{name}" }}')))[:1]

        assert "names no secret: write 'name' or 'folder/name'" in only

    def test_a_binding_keeps_the_name_alone(self):
        found = catalog(
            web=TYPED.format("secret"), shop=SHOP.replace('"Shop"', '{ secret = "x/y" }')
        )

        assert found.deployments["shop"].nodes["front"].inputs["title"] == Secret("x/y")
