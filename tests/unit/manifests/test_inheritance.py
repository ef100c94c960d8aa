"""Nearest definition wins; packages are a union; recipes run root first."""

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.inheritance import DEEPEST
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog, RecipeKind, Size
from unit.manifests.texts import HEADER, SHOP, WEB, catalog, snapshot, told

BASE = (
    HEADER.format("Component", "base")
    + """\
image = "host"
size = { cpus = 2, memory = "2GiB" }
network = { public = false, open = ["22/tcp"] }
packages = ["curl", "nginx"]
sshKeys = ["ssh-ed25519 AAAA base"]
[spec.inputs.title]
required = true
[spec.outputs.log]
[spec.recipes]
preInstall = "#!/bin/sh\\n# base"
deploy = "#!/bin/sh\\n# base"
"""
)


def extending(base: str) -> str:
    return WEB.replace('image = "host"', f'extends = "{base}"')


def test_what_is_not_written_is_inherited_whole():
    front = catalog(web=extending("base"), more=BASE).deployments["shop"].nodes["front"]

    assert front.size == Size(cpus=2, memory=2 * 1024**3)
    assert (front.public, front.open) == (False, ("22/tcp",))
    assert front.ssh_keys == ("ssh-ed25519 AAAA base",)
    assert front.images["local"].name == "host"
    assert front.outputs == ("log", "ready")


def test_the_nearest_definition_wins():
    web = extending("base").replace("packages", 'size = { name = "m1" }\nnetwork = {}\npackages')

    front = catalog(web=web, more=BASE).deployments["shop"].nodes["front"]

    assert front.size == Size(name="m1")
    assert (front.public, front.open) == (True, ())


def test_an_input_may_lose_its_requirement():
    shop = SHOP.replace('title = "Shop"\n', "")

    assert told(catalog(web=extending("base"), more=BASE, shop=shop)) == []


def test_packages_are_a_union_root_first():
    front = catalog(web=extending("base"), more=BASE).deployments["shop"].nodes["front"]

    assert front.packages == ("curl", "nginx")


def test_recipes_run_root_first():
    recipes = catalog(web=extending("base"), more=BASE).deployments["shop"].nodes["front"].recipes

    assert [r.component for r in recipes[RecipeKind.DEPLOY]] == ["base", "web"]
    assert [r.component for r in recipes[RecipeKind.PRE_INSTALL]] == ["base"]
    assert RecipeKind.POST_INSTALL not in recipes


def test_a_cycle_is_named_in_full_at_each_of_its_components():
    b = extending("c").replace('"web"', '"b"').replace('deploy = "deploy.sh"', "")
    c = b.replace('name = "b"', 'name = "c"').replace('"c"\npackages', '"web"\npackages')
    files = {"web.toml": extending("b").replace("deploy =", "# "), "b.toml": b, "c.toml": c}

    found = compile_catalog(snapshot(files | {"shop.toml": SHOP}), Parser())

    assert told(found) == [
        "b.toml:6:1: component 'b' extends itself: b -> c -> web -> b",
        "c.toml:6:1: component 'c' extends itself: c -> web -> b -> c",
        "shop.toml:8:1: component 'web' is broken (see web.toml)",
        "web.toml:6:1: component 'web' extends itself: web -> b -> c -> web",
    ]


def test_what_extends_a_cycle_is_broken_without_being_in_it():
    loop = extending("loop").replace('"web"', '"loop"').replace("deploy =", "# ")

    found = catalog(web=extending("loop"), more=loop)

    assert [d.split(": ", 1)[1] for d in told(found)] == [
        "component 'loop' extends itself: loop -> loop",
        "component 'web' is broken (see web/web.toml)",
        "component 'loop' is broken (see more/more.toml)",
    ]


def test_extending_nothing_is_told_where_it_is_written():
    assert told(catalog(web=extending("bass"), more=BASE))[-1] == (
        "web/web.toml:6:1: unknown component 'bass' (did you mean 'base'?)"
    )


def test_a_component_without_any_image_is_refused_where_it_is_used():
    found = catalog(web=WEB.replace('image = "host"\n', ""))

    assert told(found) == ["shop/shop.toml:8:1: component 'web' names no image"]


def test_one_name_is_not_both_an_input_and_an_output():
    found = catalog(web=extending("base") + "[spec.inputs.log]\n", more=BASE)

    assert told(found)[-1] == ("web/web.toml:13:14: parameter 'log' is both an input and an output")


def chain(length: int, last: str = "base") -> Catalog:
    """`c0` extends `c1`, and so on; the deployment uses the first one."""
    links = "".join(
        f"""[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "Component"
metadata = {{ name = "c{n}" }}
spec = {{ extends = "{f"c{n + 1}" if n < length - 1 else last}" }}
"""
        for n in range(length)
    )
    shop = SHOP.replace('"web"', '"c0"').replace('peers = { from = "front[*].hostname" }\n', "")
    files = {"links.toml": links, "root.toml": BASE, "shop.toml": shop}
    return compile_catalog(snapshot(files), Parser())


def test_a_long_chain_is_followed():
    found = chain(DEEPEST - 1)

    assert told(found) == []
    assert found.deployments["shop"].nodes["front"].packages == ("curl", "nginx")


def test_a_chain_that_is_too_deep_is_told_where_it_is_too_deep():
    assert told(chain(DEEPEST)) == [
        (
            "links.toml:5:10: component 'c0' extends 100 others, one above the other"
            " (at most 99: join some of them)"
        ),
        "shop.toml:8:1: component 'c0' is broken (see links.toml)",
    ]


def test_a_long_cycle_is_told_in_few_words():
    assert told(chain(1000, last="c0"))[0] == (
        "links.toml:5:10: component 'c0' extends itself:"
        " c0 -> c1 -> c2 -> c3 -> c4 -> c5 -> ... (1000 components) -> c0"
    )
