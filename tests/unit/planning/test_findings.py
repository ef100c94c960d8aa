"""What is found of a cloud, line by line."""

from collections.abc import Mapping
from dataclasses import replace

from fakes.builders import catalog, desired, node
from headwater.manifests.resolved import Quota, ResolvedCloud, Size
from headwater.planning import findings
from headwater.planning.findings import Finding
from headwater.planning.prices import PriceList
from headwater.topology.desired import InstanceSpec
from headwater.topology.machines import Ability, Capabilities, Listing
from headwater.topology.sizes import Offer

GIB = 1 << 30
SOLD = (
    Offer("s-1", "small", cpus=1, memory=GIB, price=0.1),
    Offer("x-1", "odd", cpus=16, memory=8 * GIB),
)
ABLE = Capabilities(frozenset({Ability.TAGS}), description="lab: Memory", sizes=SOLD)
NO_PRICES: Mapping[str, Mapping[str, float]] = {}


def wanted(size: Size, open: tuple[str, ...] = (), name: str = "shop") -> list[InstanceSpec]:
    sized = replace(node("web", 2, clouds=(("lab", 2),)), size=size, open=open)
    return list(desired(sized, name=name).instances.values())


def cloud(quota: Quota) -> ResolvedCloud:
    return ResolvedCloud("lab", "memory", quota=quota)


def sizes(specs: list[InstanceSpec], able: Capabilities = ABLE) -> list[Finding]:
    return [*findings.sizes(specs, able, PriceList(lambda _: able, NO_PRICES))]


def test_a_listing_that_fails_is_a_problem_with_its_words():
    refused = Listing("lab", (), complete=False, error="cloud 'lab': denied (check them)")

    assert findings.access(refused) == Finding(
        "access", ok=False, words="cloud 'lab': denied (check them)"
    )
    assert findings.access(Listing("lab", (), complete=True, unknown=3)) == Finding(
        "access", ok=True, words="0 machines of ours, 3 others"
    )


def test_what_the_manifests_ask_is_held_against_each_quota():
    limits = cloud(Quota(instances=1, cpus=8, memory=2 * GIB))
    asked = [Size(cpus=1), Size(cpus=1)]

    assert [*findings.quotas(limits, [Size(cpus=1)], asked, ABLE)] == [
        Finding(
            "limits",
            ok=False,
            words="quota of 1 machines: 1 machines there, 2 machines asked for;"
            " raise spec.quota.instances of the Cloud, or ask for less",
        ),
        Finding("limits", ok=True, words="quota of 8 cpus: 1 cpus there, 2 cpus asked for"),
        Finding(
            "limits",
            ok=True,
            words="quota of 2 GiB of memory: 1 GiB of memory there, 2 GiB of memory asked for",
        ),
    ]


def test_a_cloud_without_a_quota_says_so():
    [found] = findings.quotas(cloud(Quota()), [], [Size()], ABLE)

    assert found == Finding("limits", ok=True, words="no quota of ours (spec.quota)")


def test_what_the_cloud_tells_of_its_limits_is_one_line():
    assert [*findings.told({"max-instances": 20, "elastic": 5})] == [
        Finding("limits", ok=True, words="the cloud's own: elastic 5, max-instances 20")
    ]
    assert [*findings.told({})] == []


def test_what_a_field_asks_and_the_cloud_cannot_is_told_once_per_node():
    able, problem = findings.capabilities(ABLE, wanted(Size(), open=("80/tcp",)))

    assert able == Finding("capabilities", ok=True, words="lab: Memory; tags at creation")
    assert not problem.ok
    assert problem.words.startswith("deployment shop: node web asks for open ports")


def test_a_size_is_named_with_what_it_is_and_costs():
    assert sizes([*wanted(Size(cpus=1)), *wanted(Size(cpus=1), name="bakery")]) == [
        Finding(
            "sizes",
            ok=True,
            words="1 cpus for bakery/web, shop/web: small (1 cpus, 1 GiB of memory,"
            " 0.1000 per hour)",
        )
    ]


def test_a_size_without_a_price_and_one_that_is_not_sold_say_so():
    [odd], [gone] = sizes(wanted(Size(name="odd"))), sizes(wanted(Size(cpus=17, disk=GIB)))

    assert odd.ok
    assert odd.words.endswith("price unknown)")
    assert gone == Finding(
        "sizes",
        ok=False,
        words="17 cpus, 1 GiB of disk for shop/web: there is none; change spec.size of the"
        " component, or spec.sizes of the Cloud",
    )


def test_where_no_sizes_are_sold_every_size_will_do():
    [found] = sizes(wanted(Size()), Capabilities())

    assert found.ok
    assert found.words == "any size for shop/web: as asked for, no sizes are sold here"


def test_of_many_nodes_some_are_named():
    many = [spec for name in "abcde" for spec in wanted(Size(), name=name)]

    assert findings.nodes(many) == "a/web, b/web, c/web and 2 more"


def test_deployments_that_cannot_be_read_are_told():
    [found] = findings.unread(catalog(failed=["shop"]))

    assert not found.ok
    assert found.words.startswith("shop cannot be read")
    assert [*findings.unread(catalog())] == []
