"""`dependsOn`: what can be wrong with it before anything runs."""

from headwater.manifests.resolved import Catalog
from unit.manifests.texts import SHOP, catalog, told


def depending(**on: str) -> Catalog:
    """Deployments by name, each with what its `dependsOn` holds."""
    texts = [
        SHOP.replace('"shop"', f'"{name}"').replace("cloud =", f"dependsOn = [{others}]\ncloud =")
        for name, others in on.items()
    ]
    documents = "\n".join(
        "[[resources]]\n"
        + text.replace("[metadata]", "[resources.metadata]").replace("[spec", "[resources.spec")
        for text in texts
    )
    return catalog(more=documents)


def test_other_deployments_are_depended_upon_by_name():
    found = depending(dns="", web='"dns", "shop"')

    assert found.diagnostics == ()
    assert found.deployments["web"].depends_on == ("dns", "shop")


def test_an_unknown_name_is_an_error_where_it_stands():
    found = depending(dns="", web='"shop", "dsn"')

    (said,) = told(found)
    assert said == "more/more.toml:22:22: unknown deployment 'dsn' (did you mean 'dns'?)"
    assert set(found.failed) == {"web"}


def test_a_deployment_does_not_depend_on_itself():
    (said,) = told(depending(web='"web"'))

    assert said.endswith("'dependsOn' is a cycle: web -> web")


def test_a_cycle_is_told_by_every_deployment_on_it_and_by_no_other():
    found = depending(a='"b"', b='"shop", "c"', c='"a"', d='"a"')

    assert [text.partition("cycle: ")[2] for text in told(found)] == [
        "a -> b -> c -> a",
        "b -> c -> a -> b",
        "c -> a -> b -> c",
    ]
    assert set(found.deployments) == {"d", "shop"}


def test_what_lies_between_two_cycles_is_on_none():
    found = depending(a='"b"', b='"a"', m='"a"', x='"y", "m"', y='"x"')

    assert set(found.failed) == {"a", "b", "x", "y"}


def test_a_long_cycle_is_shown_short():
    names = [f"n{number}" for number in range(100)]
    found = depending(**{n: f'"{names[i - 1]}"' for i, n in enumerate(names)})

    assert told(found)[0].endswith("n0 -> n99 -> n98 -> n97 -> n96 -> n95 -> ... -> n0")


def test_a_broken_deployment_is_a_known_name():
    found = catalog(
        shop=SHOP.replace("cloud =", "clodu ="),
        more=SHOP.replace('"shop"', '"web"').replace("cloud =", 'dependsOn = ["shop"]\ncloud ='),
    )

    assert set(found.deployments) == {"web"}
