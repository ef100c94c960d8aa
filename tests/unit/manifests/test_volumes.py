"""Volumes as they are written: checked where they stand, joined with those that are inherited."""

import pytest

from headwater.manifests.resolved import VolumeSpec
from headwater.topology.context import VOLUMES
from headwater.topology.desired import InstanceSpec, expand
from headwater.topology.keys import InstanceKey
from unit.manifests.texts import HEADER, WEB, catalog, told

STORE = '[[spec.volumes]]\nname = "store"\nsize = "3GiB"\nmountPath = "/data"\n'
GIBIBYTE = 1 << 30


def wrong(text: str) -> str:
    found = catalog(web=WEB + text)
    assert list(found.failed) == ["shop"]
    return told(found)[-1]


def instance(web: str, more: str = "") -> InstanceSpec:
    found = catalog(web=web, **({"more": more} if more else {}))
    assert told(found) == []
    return expand(found.deployments["shop"]).instances[InstanceKey("shop", "front", 1)]


def test_a_volume_is_resolved_with_its_size_in_bytes() -> None:
    spec = instance(WEB + STORE + "retain = true\n")

    assert spec.volumes == (VolumeSpec("store", 3 * GIBIBYTE, "/data", retain=True),)
    assert [step.name for step in spec.work.steps] == [VOLUMES, "packages", "deploy"]


def test_what_is_mounted_below_another_volume_comes_after_it() -> None:
    inner = STORE.replace("store", "inner").replace("/data", "/data/in")
    other = STORE.replace("store", "aside").replace("/data", "/data-in")

    spec = instance(WEB + inner + other + STORE)

    assert [each.path for each in spec.volumes] == ["/data", "/data/in", "/data-in"]


def test_volumes_are_inherited_by_name_and_the_nearest_definition_wins() -> None:
    base = (
        HEADER.format("Component", "base")
        + STORE
        + STORE.replace("store", "log").replace("/data", "/log")
    )
    web = WEB.replace("[spec]\n", '[spec]\nextends = "base"\n')

    assert [each.name for each in instance(web, base).volumes] == ["store", "log"]
    nearer = instance(web + STORE.replace("3GiB", "5GiB"), base)
    assert [(v.name, v.size // GIBIBYTE) for v in nearer.volumes] == [("store", 5), ("log", 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STORE + STORE.replace("/data", "/other"), "volume 'store' is defined 2 times"),
        (STORE + STORE.replace("store", "other"), "2 volumes are mounted at /data"),
        (STORE.replace("3GiB", "3 gigs"), "'3 gigs' is not a size such as '8GiB'"),
        (STORE.replace('"store"', '"The Store"'), "'The Store' is not a name"),
        (STORE.replace('size = "3GiB"\n', ""), "size"),
        (STORE.replace("mountPath", "mountpath"), "mountPath"),
    ],
)
def test_what_cannot_be_is_told_where_it_stands(text: str, words: str) -> None:
    assert words in wrong(text)
    assert wrong(text).startswith("web/web.toml:")


@pytest.mark.parametrize(
    "path",
    [
        *("data", "", "/", "/data/", "//data", "/data/../etc", "/./x", "/with blank", "/a,b"),
        *("/proc", "/proc/x", "/dev/x", "/sys", "/run/x", "/boot/x", "/etc", "/usr", "/var"),
        "/" + "x/" * 20 + "x",
    ],
)  # fmt: skip
def test_a_place_that_would_break_the_machine_or_lies_nowhere_is_refused(path: str) -> None:
    assert "web/web.toml:" in wrong(STORE.replace("/data", path))


@pytest.mark.parametrize("path", ["/srv/news", "/var/lib/postgresql", "/home", "/mnt/a.b-c_d"])
def test_a_place_of_its_own_is_taken(path: str) -> None:
    assert instance(WEB + STORE.replace("/data", path)).volumes[0].path == path


def test_a_name_or_place_that_changes_runs_the_recipes_again_and_a_size_replaces_nothing() -> None:
    plain = instance(WEB + STORE)
    resized = instance(WEB + STORE.replace("3GiB", "5GiB"))
    moved = instance(WEB + STORE.replace("/data", "/other"))

    assert plain.machine_digest == resized.machine_digest == moved.machine_digest
    assert plain.work.digest == resized.work.digest != moved.work.digest
    assert instance(WEB).work.digest != plain.work.digest


def test_each_difference_begins_a_new_run() -> None:
    texts = [
        WEB,
        WEB + STORE,
        WEB + STORE + "retain = true\n",
        WEB + STORE.replace("3GiB", "5GiB"),
    ]
    digests = {expand(catalog(web=text).deployments["shop"]).digest for text in texts}

    assert len(digests) == len(texts)
