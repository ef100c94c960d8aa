"""A size by a name of ours, and what each cloud calls it."""

from headwater.manifests.resolved import Size
from headwater.topology.desired import expand
from headwater.topology.keys import InstanceKey
from unit.manifests.texts import HEADER, SHOP, WEB, catalog, told

NAMED = WEB + '[spec.size]\nname = "small"\n'
SPREAD = SHOP.replace('cloud = "local"\n', "").replace(
    "replicas = 3\n", "replicas = 3\nspread = { lab = 2, local = 1 }\n"
)
LAB = HEADER.format("Cloud", "lab") + 'driver = "local"\n'
SIZES = '[spec.sizes]\nsmall = "m1.small"\nbig = "m1.large"\n'


def sizes(**changed: str) -> list[Size]:
    found = catalog(**changed)
    assert told(found) == []
    desired = expand(found.deployments["shop"])
    keys = [InstanceKey("shop", "front", index) for index in (1, 2, 3)]
    return [desired.instances[key].machine.size for key in keys]


def test_each_cloud_has_its_own_name_for_a_size() -> None:
    small, own = Size(name="m1.small"), Size(name="small")

    assert sizes(shop=SPREAD, web=NAMED, more=LAB + SIZES) == [small, small, own]


def test_a_cloud_without_names_is_asked_for_what_is_written() -> None:
    assert sizes(shop=SPREAD, web=NAMED, more=LAB) == [Size(name="small")] * 3


def test_needs_have_no_name() -> None:
    needs = WEB + "[spec.size]\ncpus = 2\n"

    assert sizes(shop=SPREAD, web=needs, more=LAB + SIZES) == [Size(cpus=2)] * 3


def test_another_meaning_of_a_name_is_another_machine() -> None:
    def digest(more: str) -> str:
        found = catalog(shop=SPREAD, web=NAMED, more=more)
        instances = expand(found.deployments["shop"]).instances
        return instances[InstanceKey("shop", "front", 1)].machine_digest

    assert digest(LAB + SIZES) != digest(LAB + SIZES.replace("m1.small", "m2.small"))
    assert digest(LAB + SIZES) == digest(LAB + SIZES.replace("m1.large", "m2.large"))
