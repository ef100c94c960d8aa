"""From a resolved manifest to the instances that should exist."""

from dataclasses import replace

import pytest

from fakes.builders import PAGE, deployment, desired, key, node
from headwater.manifests.resolved import (
    CommandCheck,
    Health,
    Literal,
    Recipe,
    RecipeKind,
    Reference,
    ResolvedImage,
    ResolvedNode,
    Secret,
    Size,
    TcpCheck,
    Update,
)
from headwater.topology.desired import expand

BASE = node("web", 2, inputs={"a": Literal("1")}, outputs=["url"], packages=["curl"])


def digests(changed: ResolvedNode) -> tuple[str, str]:
    spec = desired(changed).instances[key()]
    return spec.machine_digest, spec.work.digest


def test_indexes_are_one_to_replicas():
    assert list(desired(node("web", 3)).instances) == [key("web.1"), key("web.2"), key("web.3")]


def test_a_skipped_index_is_left_out_and_the_others_keep_theirs():
    assert desired(node("web", 3, skip=[2])).nodes == {"web": (key("web.1"), key("web.3"))}


@pytest.mark.parametrize("health", [None, Health(TcpCheck(22), 30.0, 3), replace(PAGE, failures=4)])
def test_another_check_begins_a_run_and_changes_neither_machine_nor_work(health):
    checked = replace(BASE, health=PAGE)
    other = replace(BASE, health=health)

    assert desired(other).digest != desired(checked).digest
    assert digests(other) == digests(checked)


def test_a_check_moved_to_another_file_is_the_same_check():
    def asking(path: str) -> str:
        recipe = Recipe("web", "#!/bin/sh\n", path)
        health = Health(CommandCheck(recipe), 30.0, 3)
        return desired(replace(BASE, health=health)).digest

    assert asking("a.sh") == asking("b.sh")


def test_a_check_waits_no_longer_for_an_answer_than_until_the_next_question():
    def timeout(interval: float) -> float:
        [spec] = desired(node(health=replace(PAGE, interval=interval))).instances.values()
        assert spec.check is not None
        return spec.check.timeout

    assert (timeout(2.0), timeout(30.0)) == (2.0, 10.0)


def test_instances_come_in_the_order_of_nodes_and_indexes():
    system = desired(node("wn", 2), node("ce"))

    assert [k.instance for k in system.instances] == ["wn.1", "wn.2", "ce.1"]


def test_a_node_without_replicas_is_known_and_empty():
    assert desired(node("web", 0)).nodes == {"web": ()}


def test_a_node_is_spread_over_its_clouds_in_their_order():
    system = desired(node("web", 3, clouds=(("local", 2), ("lab", 1))))

    assert [s.machine.cloud for s in system.instances.values()] == ["local", "local", "lab"]
    assert system.clouds == {"local", "lab"}


def test_each_cloud_has_its_own_image_id_and_login():
    spread = node("web", 2, clouds=(("local", 1), ("lab", 1)))
    images = {
        "local": ResolvedImage("d", "host", "root", "debian"),
        "lab": ResolvedImage("d", "ami-1", "admin", "debian"),
    }
    system = desired(replace(spread, images=images))
    local, lab = (spec.machine for spec in system.instances.values())

    assert [(m.image_id, m.login_user) for m in (local, lab)] == [
        ("host", "root"),
        ("ami-1", "admin"),
    ]


def test_recipes_run_in_order_with_packages_between_pre_and_post_install():
    recipes = {
        RecipeKind.DEPLOY: (Recipe("web", "d"),),
        RecipeKind.POST_INSTALL: (Recipe("base", "post1"), Recipe("web", "post2")),
        RecipeKind.PRE_INSTALL: (Recipe("base", "pre1"), Recipe("web", "pre2")),
        RecipeKind.REPORT: (Recipe("web", "r"),),
    }
    work = desired(replace(BASE, recipes=recipes)).instances[key()].work

    assert [(s.name, s.origin, s.script, s.packages) for s in work.steps] == [
        ("pre-install", "base", "pre1", ()),
        ("pre-install", "web", "pre2", ()),
        ("packages", "web", "", ("curl",)),
        ("post-install", "base", "post1", ()),
        ("post-install", "web", "post2", ()),
        ("deploy", "web", "d", ()),
    ]
    assert work.packages == ("curl",)


def test_without_packages_there_is_no_step_for_them():
    assert [step.name for step in desired(node()).instances[key()].work.steps] == ["deploy"]


def test_equal_manifests_have_equal_digests():
    assert desired(BASE) == desired(replace(BASE))
    assert desired(BASE).digest == desired(replace(BASE)).digest


def test_instances_of_a_node_share_their_digests():
    one, two = desired(BASE).instances.values()

    assert (one.machine_digest, one.work.digest) == (two.machine_digest, two.work.digest)


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"local": ResolvedImage("debian", "other", "root", "debian")}},
        {"size": Size(cpus=2)},
        {"size": Size(name="big")},
        {"public": False},
        {"open": ("80/tcp",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_running_machine_cannot_change_changes_the_machine_digest_alone(change):
    before, after = digests(BASE), digests(replace(BASE, **change))

    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(
    "change",
    [
        {"recipes": {RecipeKind.DEPLOY: (Recipe("web", "#!/bin/sh\nother"),)}},
        {"packages": ("curl", "git")},
        {"inputs": {"a": Literal("2")}},
        {"inputs": {"a": Reference("db", 1, "hostname")}},
        {"inputs": {"a": Secret("1")}},
        {"inputs": {"a": None}},
        {"outputs": ("url", "more")},
        {"ssh_keys": ("ssh-ed25519 AAAA me",)},
    ],
    ids=str,
)
def test_what_can_be_run_again_changes_the_work_digest_alone(change):
    before, after = digests(BASE), digests(replace(BASE, **change))

    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"local": ResolvedImage("renamed", "debian", "root", "debian")}},
        {"recipes": {RecipeKind.DEPLOY: (Recipe("web", "#!/bin/sh\n", path="moved.sh"),)}},
        {"recipes": {RecipeKind.DEPLOY: (Recipe("renamed", "#!/bin/sh\n"),)}},
        {"component": "renamed"},
        {"replicas": 3, "clouds": (("local", 3),)},
        {"tolerate_failures": 1},
    ],
    ids=str,
)
def test_names_and_counts_change_no_digest_of_an_instance(change):
    assert digests(BASE) == digests(replace(BASE, **change))


def test_the_order_of_open_ports_and_outputs_does_not_matter():
    here = replace(BASE, open=("22/tcp", "80/tcp"), outputs=("a", "b"))
    there = replace(BASE, open=("80/tcp", "22/tcp"), outputs=("b", "a"))

    assert digests(here) == digests(there)


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": {"web": node("web", 3)}},
        {"execute_timeout": 1.0},
        {"provision_timeout": 1.0},
        {"update": Update(max_surge=2)},
        {"update": Update(order=("web",))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_how_a_run_goes_begins_a_new_one(change):
    before = deployment(node("web"))

    assert expand(before).digest != expand(replace(before, **change)).digest


def test_words_for_people_begin_no_new_run():
    before = deployment(node("web"))
    after = replace(before, description="better", labels={"team": "x"}, path="elsewhere.toml")

    assert expand(before).digest == expand(after).digest


def test_a_longer_timeout_runs_no_recipe_again():
    before = deployment(BASE)
    after = replace(before, execute_timeout=9999.0)
    spec, later = (expand(d).instances[key()] for d in (before, after))

    assert (spec.work.digest, later.work.timeout) == (later.work.digest, 9999.0)
