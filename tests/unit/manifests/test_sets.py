"""DeploymentSets: what a template and its sites make, and what is wrong with either."""

import time

import pytest

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog, Literal, Reference
from headwater.manifests.sets import SET_LABEL
from unit.manifests.texts import GOOD, HEADER, SHOP, snapshot, told

TEMPLATE = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "Deployment"
[metadata]
labels = { team = "news" }
[spec]
description = "News at ${name}, not $${HOME}"
cloud = "${cloud}"
[spec.nodes.front]
component = "web"
replicas = "${replicas}"
[spec.nodes.front.inputs]
title = "News of ${name} (${replicas})"
peers = { from = "front[*].hostname" }
"""
SET = (
    HEADER.format("DeploymentSet", "news")
    + """\
template = "site.toml"
[[spec.sites]]
name = "geneva"
cloud = "local"
replicas = 3
[[spec.sites]]
name = "paris"
cloud = "local"
replicas = 1
"""
)


def compiled(template: str = TEMPLATE, set: str = SET, **more: str) -> Catalog:
    rest = {path: text for path, text in GOOD.items() if path.startswith("web/")}
    files = rest | {"news/site.toml": template, "news/set.toml": set}
    files |= {f"{name}/{name}.toml": text for name, text in more.items()}
    return compile_catalog(snapshot(files), Parser())


def test_a_set_makes_a_deployment_for_every_site():
    found = compiled()

    geneva, paris = found.deployments.values()
    assert found.diagnostics == ()
    assert (geneva.name, paris.name) == ("news-geneva", "news-paris")
    assert (geneva.path, found.complete) == ("news/site.toml", True)
    assert found.sets == {"news": ("news-geneva", "news-paris")}


def test_strings_are_filled_in_and_a_whole_placeholder_takes_the_type_of_its_value():
    geneva, paris = compiled().deployments.values()

    assert (geneva.nodes["front"].replicas, paris.nodes["front"].replicas) == (3, 1)
    assert geneva.nodes["front"].inputs == {
        "title": Literal("News of geneva (3)"),
        "peers": Reference("front", None, "hostname"),
    }
    assert geneva.description == "News at geneva, not ${HOME}"


@pytest.mark.parametrize(
    ("written", "line", "resolved"),
    [
        ("skip = [1, 3]", 'skip = "${x}"', "skip"),
        ("protect = true", 'protect = "${x}"', "protect"),
    ],
)
def test_arrays_and_booleans_keep_their_types(written, line, resolved):
    value = written.partition("= ")[2]
    place = "[spec.nodes.front.inputs]" if resolved == "skip" else "[spec.nodes.front]"
    above = "" if resolved == "skip" else "[spec.safety]\n"
    template = TEMPLATE.replace(place, f"{above}{line}\n{place}")
    set = SET.replace("replicas = 3", f"replicas = 3\nx = {value}")
    found = compiled(template, set.replace("replicas = 1", f"replicas = 3\nx = {value}"))

    geneva = found.deployments["news-geneva"]
    assert found.diagnostics == ()
    if resolved == "skip":
        assert geneva.nodes["front"].skip == frozenset({1, 3})
    else:
        assert geneva.protect is True


def test_a_deployment_of_a_set_carries_a_label_that_names_it_beside_its_own():
    assert compiled().deployments["news-paris"].labels == {"team": "news", SET_LABEL: "news"}


def test_a_name_with_a_placeholder_is_the_deployments_name():
    named = TEMPLATE.replace("labels =", 'name = "${name}-front"\nlabels =')

    assert list(compiled(named).deployments) == ["geneva-front", "paris-front"]


def test_a_name_without_one_leaves_it_to_the_set():
    named = TEMPLATE.replace("labels =", 'name = "any"\nlabels =')

    assert list(compiled(named).deployments) == ["news-geneva", "news-paris"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"${cloud}"',
            '"${clod}"',
            (
                "7:1: unknown placeholder '${clod}', at every site of set 'news'"
                " (did you mean 'cloud'?)"
            ),
        ),
        (
            '"${cloud}"',
            '"${"',
            (
                "7:1: '${' begins a placeholder, and no key and '}' follow, at every site of set"
                " 'news' (a literal '${' is written '$${')"
            ),
        ),
        (
            "replicas = ",
            "replicsa = ",
            "10:1: unknown key 'replicsa', at every site of set 'news' (did you mean 'replicas'?)",
        ),
        (
            'component = "web"',
            'component = "wep"',
            "9:1: unknown component 'wep', at every site of set 'news' (did you mean 'web'?)",
        ),
    ],
)
def test_what_is_wrong_in_a_template_is_told_once_at_its_place(old, new, message):
    found = compiled(TEMPLATE.replace(old, new))

    said = [text for text in told(found) if "site.toml" in text]
    assert said == [f"news/site.toml:{message}"]
    assert set(found.failed) == {"news-geneva", "news-paris"}
    assert found.complete


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "replicas = 1",
            'replicas = "many"',
            (
                "news/site.toml:10:1: 'replicas' must be an integer, not a string,"
                " at site 'paris' of set 'news'"
            ),
        ),
        (
            'name = "paris"\ncloud = "local"',
            'name = "paris"\ncloud = "lab"',
            "news/site.toml:7:1: unknown cloud 'lab', at site 'paris' of set 'news'",
        ),
        (
            "replicas = 1",
            "replicas = 1\nextra = true",
            (
                "news/set.toml:15:1: site 'paris' has 'extra', and the template has no use for it"
                " (used there: cloud, name, replicas)"
            ),
        ),
        (
            "replicas = 1\n",
            "",
            (
                "news/site.toml:10:1: unknown placeholder '${replicas}',"
                " at site 'paris' of set 'news' (known here: name, cloud)"
            ),
        ),
    ],
)
def test_what_is_wrong_at_one_site_fails_that_site_alone(old, new, message):
    found = compiled(set=SET.replace(old, new))

    assert message in told(found)
    assert list(found.deployments) == ["news-geneva"]
    assert list(found.failed) == ["news-paris"]


def test_an_array_inside_of_a_string_is_an_error():
    listed = compiled(set=SET.replace("replicas = 3", "replicas = [3]"))

    assert any(
        "'${replicas}' is an array, and stands inside of a string" in t for t in told(listed)
    )


@pytest.mark.parametrize("value", ["1.5", "2030-01-01", "{ a = 1 }", "[[1]]", f"0x1{'0' * 40}"])
def test_other_types_are_no_values_of_a_site(value):
    (said,) = told(compiled(set=SET.replace("replicas = 3", f"replicas = {value}")))

    assert said.startswith("news/set.toml:10:1: ")
    assert "no value of a site" in said


class TestNames:
    def test_a_site_that_is_listed_twice_is_made_by_neither(self):
        found = compiled(set=SET.replace('"paris"', '"geneva"'))

        assert told(found) == ["news/set.toml:12:1: site 'geneva' is listed more than once"]
        assert (list(found.deployments), list(found.failed)) == ([], ["news-geneva"])

    def test_two_sites_that_make_the_same_deployment_are_told(self):
        same = TEMPLATE.replace("labels =", 'name = "at-${cloud}"\nlabels =')

        (said,) = told(compiled(same))

        assert said == (
            "news/set.toml:12:1: sites 'geneva' and 'paris' both make deployment 'at-local'"
        )

    def test_a_deployment_of_the_same_name_elsewhere_is_told_at_both_places(self):
        found = compiled(shop=SHOP.replace('"shop"', '"news-paris"'))

        words = "deployment 'news-paris' is defined more than once"
        assert told(found) == [
            (
                f"news/site.toml:3:2: {words}, at site 'paris' of set 'news'"
                " (also at shop/shop.toml:4:1)"
            ),
            f"shop/shop.toml:4:1: {words} (also at news/site.toml:3:2)",
        ]
        assert list(found.deployments) == ["news-geneva"]

    def test_a_name_that_is_too_long_is_the_sites_error_and_nothing_is_removed(self):
        found = compiled(set=SET.replace('"paris"', f'"{"p" * 60}"'))

        (said,) = told(found)
        assert said.startswith("news/set.toml:12:1: site 'ppp")
        assert not found.complete


class TestTemplates:
    @pytest.mark.parametrize(
        ("written", "message"),
        [
            (
                "sites.toml",
                "no file 'news/sites.toml' for this template (did you mean 'site.toml'?)",
            ),
            ("../../x.toml", "template '../../x.toml' is outside the repository"),
            ("/x.toml", "template '/x.toml' is not a path relative to the manifest's folder"),
            ("../web/web.toml", "template 'web/web.toml' holds no Deployment"),
            ("set.toml", "template 'news/set.toml' holds no Deployment"),
            ("../web", "template 'web' is a directory, not a file"),
        ],
    )
    def test_a_template_that_cannot_be_is_an_error_and_nothing_is_removed(self, written, message):
        found = compiled(set=SET.replace("site.toml", written))

        assert f"news/set.toml:6:1: {message}" in told(found)
        assert not found.complete

    def test_a_template_that_is_no_toml_is_an_error_at_its_place(self):
        found = compiled("kind = \n")

        assert [text.split(": ")[0] for text in told(found)] == ["news/site.toml:1:8"]
        assert not found.complete

    def test_a_template_of_several_resources_is_none(self):
        found = compiled("[[resources]]\n" + TEMPLATE)

        assert "and not one Deployment" in told(found)[0]

    def test_a_template_is_no_manifest_itself(self):
        plain = TEMPLATE.replace("labels =", 'name = "plain"\nlabels =').replace(
            '"${cloud}"', '"local"'
        )
        set = SET.replace('cloud = "local"\n', "")

        assert list(compiled(plain, set).deployments) == ["news-geneva", "news-paris"]

    def test_a_deployment_with_placeholders_that_no_set_uses_is_told_so(self):
        found = compiled(other=TEMPLATE)

        words = "'${name}' is a placeholder, and this file is no DeploymentSet's template"
        hint = "(name it in the set's 'template')"
        assert f"other/other.toml:6:1: {words} {hint}" in told(found)
        assert not found.complete

    def test_an_ordinary_deployment_may_say_such_things_in_its_texts(self):
        found = compiled(shop=SHOP.replace('"Shop"', '"${HOME}"'))

        assert found.diagnostics == ()
        assert found.deployments["shop"].nodes["front"].inputs["title"] == Literal("${HOME}")

    def test_a_broken_set_is_told_without_its_templates_errors_and_removes_nothing(self):
        found = compiled(set=SET.replace("template =", "sties = 1\ntemplate ="))

        (said,) = told(found)
        assert said.startswith("news/set.toml:6:1: unknown key 'sties'")
        assert not found.complete

    def test_a_set_that_is_defined_twice_makes_nothing_and_removes_nothing(self):
        found = compiled(again=SET.replace('"site.toml"', '"../news/site.toml"'))

        assert [text.partition(": ")[2].partition(" (")[0] for text in told(found)] == [
            "deploymentset 'news' is defined more than once"
        ] * 2
        assert (found.deployments, found.complete) == ({}, False)


def test_a_set_needs_sites():
    (said,) = told(compiled(set=SET.partition("[[spec.sites]]")[0]))

    assert "needs 'sites', at least one, or else 'pullRequests'" in said


def test_copies_for_pull_requests_are_not_supported_yet():
    set = SET.partition("[[spec.sites]]")[0] + 'pullRequests = { label = "preview" }\n'

    assert told(compiled(set=set)) == [
        "news/set.toml:7:1: pullRequests is not supported yet by this version"
    ]


def test_a_thousand_sites_are_read_in_a_second():
    sites = "".join(
        f'[[spec.sites]]\nname = "s{n}"\ncloud = "local"\nreplicas = 2\n' for n in range(1000)
    )
    began = time.process_time()

    found = compiled(set=SET.partition("[[spec.sites]]")[0] + sites)

    assert (len(found.deployments), found.diagnostics) == (1000, ())
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("template", "value"),
    [
        (TEMPLATE.replace("News of", "${name}" * 4 + "${cloud}" * 90_000), "c" * 1000),
        (TEMPLATE, ""),
    ],
)
def test_a_small_file_does_not_become_a_huge_one(template, value):
    sites = f'[[spec.sites]]\nname = "s"\ncloud = "{value}"\nreplicas = 2\n'
    head = SET.partition("[[spec.sites]]")[0]
    if not value:
        template += "#" * 500_000
        sites = "".join(sites.replace('"s"', f'"s{number}"') for number in range(100))

    found = compiled(template, head + sites)

    assert "characters of manifests; at most 33554432" in told(found)[0]
    assert not found.complete


def test_a_thousand_sites_with_the_same_error_are_told_once():
    sites = "".join(
        f'[[spec.sites]]\nname = "s{n}"\ncloud = "lab"\nreplicas = 2\n' for n in range(1000)
    )

    found = compiled(set=SET.partition("[[spec.sites]]")[0] + sites)

    assert told(found) == ["news/site.toml:7:1: unknown cloud 'lab', at every site of set 'news'"]
    assert len(found.failed) == 1000
