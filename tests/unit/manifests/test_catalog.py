"""References followed, and what happens where they lead nowhere."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import (
    Keep,
    Literal,
    RecipeKind,
    Reference,
    ResolvedImage,
    Size,
)
from headwater.manifests.snapshot import Snapshot
from unit.manifests.texts import GOOD, HEADER, SHOP, WEB, catalog, file, snapshot, told, unhurried

CLOUD = HEADER.format("Cloud", "lab") + 'driver = "openstack"\n'


def test_a_right_revision_is_resolved_whole():
    found = catalog()

    front = found.deployments["shop"].nodes["front"]
    assert found.diagnostics == ()
    assert (found.revision, found.complete, found.resources) == ("c0ffee", True, 2)
    assert front.clouds == (("local", 3),)
    assert front.images == {"local": ResolvedImage("host", "host", "root", "linux")}
    assert front.packages == ("nginx",)
    assert front.outputs == ("ready",)
    assert front.inputs == {"title": Literal("Shop"), "peers": Reference("front", None, "hostname")}
    assert [r.path for r in front.recipes[RecipeKind.DEPLOY]] == ["web/deploy.sh"]
    assert found.deployments["shop"].provision_timeout == 600


def test_defaults_stand_where_nothing_is_written():
    shop = catalog().deployments["shop"]

    assert shop.execute_timeout == 1800
    assert shop.update.max_unavailable == "25%"
    assert shop.update.on_recipe_change == "rerun"
    assert shop.nodes["front"].size == Size()
    assert shop.nodes["front"].public


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'component = "web"',
            'component = "wep"',
            "shop/shop.toml:8:1: unknown component 'wep' (did you mean 'web'?)",
        ),
        (
            'cloud = "local"',
            'cloud = "locale"',
            "shop/shop.toml:6:1: unknown cloud 'locale' (did you mean 'local'?)",
        ),
        (
            'cloud = "local"\n',
            "",
            "shop/shop.toml:6:13: node 'front' has no cloud (write 'cloud' in [spec])",
        ),
        (
            "front[*].hostname",
            "frnt[*].hostname",
            "shop/shop.toml:12:1: no node 'frnt' in this deployment (did you mean 'front'?)",
        ),
        (
            "front[*].hostname",
            "front[*].redy",
            "shop/shop.toml:12:1: component 'web' has no output 'redy' (did you mean 'ready'?)",
        ),
        (
            "front[*].hostname",
            "front[4].hostname",
            "shop/shop.toml:12:1: there is no 'front.4' (node 'front' has 3 replicas, skip = [])",
        ),
        (
            'title = "Shop"',
            'titel = "Shop"',
            "shop/shop.toml:11:1: component 'web' has no input 'titel' (did you mean 'title'?)",
        ),
        (
            "replicas = 3",
            "replicas = 3\nspread = { local = 2 }",
            "shop/shop.toml:10:1: 'spread' adds up to 2, and 'replicas' is 3",
        ),
        (
            "replicas = 3",
            "replicas = 3\nskip = [1, 4]",
            "shop/shop.toml:10:12: there is no 'front.4' to skip: 'replicas' is 3",
        ),
        (
            "replicas = 3",
            "replicas = 3\nskip = [1, 1]",
            "shop/shop.toml:10:1: 'skip' names 1 more than once",
        ),
    ],
)
def test_a_dangling_reference_fails_its_deployment_only(old, new, message):
    found = catalog(shop=SHOP.replace(old, new), more=SHOP.replace('"shop"', '"other"'))

    assert told(found) == [message]
    assert [str(d) for d in found.failed["shop"]] == [message]
    assert list(found.deployments) == ["other"]
    assert found.complete


def test_an_output_that_exists_by_itself_needs_no_declaration():
    for output in ("hostname", "instanceId", "state", "url.http"):
        assert told(catalog(shop=SHOP.replace("[*].hostname", f"[2].{output}"))) == []


def test_a_skipped_instance_cannot_be_read():
    shop = SHOP.replace("replicas = 3", "replicas = 3\nskip = [2]").replace("[*]", "[2]")

    assert "there is no 'front.2'" in told(catalog(shop=shop))[0]


def test_a_required_input_must_be_bound():
    web = WEB.replace("[spec.inputs.title]", "[spec.inputs.title]\nrequired = true")

    assert told(catalog(web=web, shop=SHOP.replace('title = "Shop"\n', ""))) == [
        (
            "shop/shop.toml:10:19: node 'front' does not bind the required input 'title'"
            " (of component 'web')"
        )
    ]


def test_an_optional_input_may_stay_unbound():
    found = catalog(shop=SHOP.replace('title = "Shop"\n', ""))

    assert found.deployments["shop"].nodes["front"].inputs["title"] is None


@pytest.mark.parametrize(
    ("written", "value"),
    [("7", "7"), ("true", "true"), ('["a", 1, false]', "a\n1\nfalse"), ('""', ""), ("[]", "")],
)
def test_literals_are_text_on_the_machine(written, value):
    found = catalog(shop=SHOP.replace('"Shop"', written))

    assert found.deployments["shop"].nodes["front"].inputs["title"] == Literal(value)


def test_a_node_spreads_over_clouds_in_the_order_written():
    image = HEADER.format("Image", "host") + 'ids = { lab = "ami-1" }\n'
    shop = SHOP.replace("replicas = 3", "replicas = 3\nspread = { lab = 1, local = 2 }")

    found = catalog(shop=shop, more="\n".join(("[[resources]]", _nested(CLOUD), _nested(image))))

    front = found.deployments["shop"].nodes["front"]
    assert told(found) == []
    assert front.clouds == (("lab", 1), ("local", 2))
    assert {cloud: image.id for cloud, image in front.images.items()} == {
        "lab": "ami-1",
        "local": "host",
    }


def _nested(text: str) -> str:
    """A resource as an item of `[[resources]]`."""
    nested = text.replace("\n[", "\n[resources.")
    return nested if "Cloud" in text else "[[resources]]\n" + nested


def test_an_image_without_an_id_at_a_real_cloud_is_refused():
    found = catalog(shop=SHOP.replace('"local"', '"lab"'), more=CLOUD)

    assert told(found) == [
        (
            "shop/shop.toml:8:1: image 'host' has no id at cloud 'lab'"
            " (write it under 'ids' in built in)"
        )
    ]


def test_the_built_in_cloud_gives_way_to_the_repository_s():
    local = HEADER.format("Cloud", "local") + 'driver = "local"\noptions = { level = "process" }\n'

    assert catalog().clouds["local"].options == {}
    assert catalog(more=local).clouds["local"].options == {"level": "process"}


def test_a_broken_cloud_is_not_replaced_by_the_built_in_one():
    found = catalog(more=HEADER.format("Cloud", "local") + "drivr = 1\n")

    assert list(found.failed) == ["shop"]
    assert list(found.clouds) == []
    assert "cloud 'local' is broken (see more/more.toml)" in told(found)[-1]


def test_a_broken_component_is_named_once_at_each_use():
    found = catalog(web=WEB + "deplo = 1\n", more=SHOP.replace('"shop"', '"other"'))

    assert told(found) == [
        "more/more.toml:8:1: component 'web' is broken (see web/web.toml)",
        "shop/shop.toml:8:1: component 'web' is broken (see web/web.toml)",
        "web/web.toml:13:1: unknown key 'deplo' (did you mean 'deploy'?)",
    ]
    assert found.complete


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('deprecated = "use debian-13"', "image 'host' is deprecated: use debian-13"),
        ("validUntil = 2030-01-31", "image 'host' was valid until 2030-01-31"),
    ],
)
def test_an_image_past_its_time_is_refused(line, words):
    files = GOOD | {"image.toml": HEADER.format("Image", "host") + line + "\n"}

    found = compile_catalog(snapshot(files), Parser(), today=date(2030, 2, 1))

    assert told(found) == [f"shop/shop.toml:8:1: {words} (see image.toml)"]


def test_the_last_valid_day_of_an_image_is_valid():
    files = GOOD | {"image.toml": HEADER.format("Image", "host") + "validUntil = 2030-01-31\n"}

    assert not compile_catalog(snapshot(files), Parser(), today=date(2030, 1, 31)).diagnostics
    assert not compile_catalog(snapshot(files), Parser()).diagnostics


def test_two_deployments_of_one_name_fail_and_name_each_other():
    found = catalog(more=SHOP)

    assert list(found.deployments) == []
    words = "deployment 'shop' is defined more than once"
    assert [str(d) for d in found.failed["shop"]] == [
        f"more/more.toml:4:1: {words} (also at shop/shop.toml:4:1)",
        f"shop/shop.toml:4:1: {words} (also at more/more.toml:4:1)",
    ]


def test_two_components_of_one_name_fail_what_uses_them():
    found = catalog(more=WEB.replace('deploy = "deploy.sh"', ""))

    assert list(found.failed) == ["shop"]
    assert len(found.diagnostics) == 3
    assert (
        "component 'web' is defined more than once (in more/more.toml and web/web.toml)"
        in (told(found)[1])
    )


def test_names_are_unique_per_kind_only():
    assert told(catalog(more=WEB.replace('"web"', '"shop"').replace("deploy =", "# "))) == []


def test_an_unreadable_file_makes_the_catalog_incomplete_and_fails_nothing_else():
    found = catalog(more="kind = ")

    assert not found.complete
    assert list(found.deployments) == ["shop"]
    assert list(found.failed) == []
    assert len(found.diagnostics) == 1


def test_a_deployment_without_nodes_is_refused():
    shop = HEADER.format("Deployment", "shop") + "[spec.nodes]\n"

    assert told(catalog(shop=shop)) == ["shop/shop.toml:6:7: 'nodes' must not be empty"]


def test_an_update_names_nodes_of_the_deployment_once():
    shop = SHOP + '[spec.update]\norder = ["front", "frnt", "front"]\n'

    assert told(catalog(shop=shop)) == [
        "shop/shop.toml:14:19: no node 'frnt' in this deployment (did you mean 'front'?)",
        "shop/shop.toml:14:27: 'order' names 'front' more than once",
    ]


FILES = GOOD | {
    "a.toml": SHOP.replace('"shop"', '"a"'),
    "b.toml": SHOP.replace('"shop"', '"a"').replace("web", "wep"),
    "c.toml": WEB.replace('"web"', '"c"').replace('image = "host"', 'extends = "d"'),
    "d.toml": WEB.replace('"web"', '"d"').replace('image = "host"', 'extends = "c"'),
    "e.toml": "x",
    "f.toml": SHOP.replace('"shop"', '"f"').replace("web", "c"),
}


@unhurried
@given(st.permutations(list(FILES)))
def test_the_order_of_files_does_not_matter(paths):
    ordered = compile_catalog(snapshot(FILES), Parser())

    shuffled = {path: file(FILES[path]) for path in paths}

    assert compile_catalog(Snapshot("c0ffee", shuffled), Parser()) == ordered


texts = st.sampled_from(
    [SHOP, WEB, CLOUD, SHOP.replace("web", "wep"), WEB.replace('image = "host"', 'extends = "web"')]
)


@unhurried
@given(st.dictionaries(st.sampled_from(["a.toml", "b/b.toml", "c.toml"]), texts))
def test_a_deployment_is_resolved_or_failed_and_never_both(files):
    found = compile_catalog(snapshot(files), Parser())

    defined = {"shop"} if any("Deployment" in text for text in files.values()) else set()
    assert set(found.deployments) | set(found.failed) == defined
    assert not set(found.deployments) & set(found.failed)
    assert {d for ds in found.failed.values() for d in ds} <= set(found.diagnostics)


def test_a_parser_that_remembers_tells_the_same_as_a_new_one():
    parser = Parser()
    for files in (GOOD, FILES, GOOD):
        assert compile_catalog(snapshot(files), parser) == compile_catalog(
            snapshot(files), Parser()
        )


def test_the_nodes_of_a_deployment_have_a_limit_together():
    node = '[spec.nodes.{}]\ncomponent = "web"\nreplicas = 6_000\n'
    text = HEADER.format("Deployment", "more") + 'cloud = "local"\n'

    found = catalog(more=text + node.format("a") + node.format("b"))

    assert told(found) == [
        (
            "more/more.toml:7:7: its nodes have 12000 replicas together; at most 10000"
            " (make it several deployments)"
        )
    ]


class TestHowADeploymentEnds:
    def test_a_test_says_what_is_kept_and_for_how_long(self):
        spec = 'lifecycle = "test"\nttl = "8h"\nkeep = { policy = "on-error", for = "2h" }\ncloud ='
        shop = catalog(shop=SHOP.replace("cloud =", spec)).deployments["shop"]

        assert (shop.lifecycle, shop.ttl) == ("test", 8 * 3600)
        assert shop.keep == Keep("on-error", 2 * 3600)

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            (
                'keep = { policy = "always" }',
                "6:1: 'keep' is for what ends, and this deployment is a service",
            ),
            (
                'lifecycle = "test"\nkeep = { for = "2h" }',
                "7:10: 'for' says how long machines are kept, and 'policy' is \"never\"",
            ),
            (
                'lifecycle = "test"\nupdate = { onFailure = "rollback" }',
                "7:12: a test has no revision to go back to",
            ),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, written, said):
        found = catalog(shop=SHOP.replace("cloud =", f"{written}\ncloud ="))

        assert [line.startswith(f"shop/shop.toml:{said}") for line in told(found)] == [True]
