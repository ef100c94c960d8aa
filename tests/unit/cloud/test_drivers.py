"""What is found of libcloud's drivers, and what their create_node is told."""

import inspect
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libcloud.compute.base import Node, NodeAuthSSHKey, NodeDriver, NodeLocation
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState

from headwater.cloud.drivers.account import DriverAccount
from headwater.cloud.drivers.console import host_key_on, text_of
from headwater.cloud.drivers.contact import introduce
from headwater.cloud.drivers.launch import arguments
from headwater.cloud.drivers.options import create_arguments, nested, split
from headwater.cloud.drivers.tagging import LABEL, Form, carried, written
from headwater.cloud.drivers.traits import Contact, traits_of
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.machines import machine_of, tags_of
from headwater.errors import Stalled
from headwater.manifests.resolved import Size
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Ability, CreateOrder, MachineSpec, Tags

LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgCkqlWDLce6dkOpYsgNJ+fWbSQ5Y40GNadVZJ4hmtN"
PRINTED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrinted0000000000000000000000000000000000"
KEYS = HostKeys(b"s" * 32)
TAGS = Tags(
    "ours", InstanceKey("hello", "web", 3), 2, "digest", "f" * 40, size=Size(cpus=2, memory=1 << 31)
)
ORDER = CreateOrder(
    "hello-web-3-r2", "token", MachineSpec("far", "debian", "image", Size()), TAGS, LOGIN
)
WITH_LOCATION = ("digitalocean", "linode", "vultr")


def driver_of(name: str) -> Any:
    """The class that libcloud's factories choose."""
    factory: Any = get_driver(name)
    newest = {
        "digitalocean": "DigitalOcean_v2_NodeDriver",
        "linode": "LinodeNodeDriverV4",
        "vultr": "VultrNodeDriverV2",
        "openstack": "OpenStack_2_NodeDriver",
    }
    return getattr(import_module(factory.__module__), newest.get(name, factory.__name__))


def account() -> DriverAccount:
    return DriverAccount("far", "ours", "", KEYS)


def said(name: str, **options: object) -> dict[str, Any]:
    """What create_node is given besides name, size and image."""
    driver = driver_of(name)
    parts = split(options, driver)
    traits = traits_of(driver, name, parts.ours)
    return arguments(driver, traits, account(), ORDER, parts.create)


@pytest.mark.parametrize(
    "name", ["azure_arm", "digitalocean", "gce", "linode", "vultr", "openstack", "rackspace"]
)
def test_create_node_takes_what_it_is_given(name: str) -> None:
    further = {"ex_resource_group": "ours"} if name == "azure_arm" else {}
    place = {"location": "here"} if name in WITH_LOCATION else {}
    found = {"name": "n", "size": "s", "image": "i", **place, **said(name, **further)}

    inspect.signature(driver_of(name).create_node).bind(None, **found)


@pytest.mark.parametrize(
    ("name", "abilities"),
    [
        ("azure_arm", {Ability.USER_DATA, Ability.STOP}),
        ("digitalocean", {Ability.USER_DATA, Ability.IMAGES, Ability.PORTS}),
        ("eucalyptus", {Ability.USER_DATA, Ability.IMAGES, Ability.STOP, Ability.TOKENS}),
        ("gce", {Ability.USER_DATA, Ability.STOP}),
        ("linode", {Ability.USER_DATA, Ability.IMAGES, Ability.STOP, Ability.PORTS}),
        ("vultr", {Ability.USER_DATA, Ability.STOP, Ability.PORTS}),
    ],
)
def test_what_a_driver_can_do_is_read_from_it(name: str, abilities: set[Ability]) -> None:
    traits = traits_of(driver_of(name), name, {})

    assert traits.abilities == abilities | {Ability.TAGS}
    assert traits.contact is Contact.USER_DATA


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cloudstack", r"driver cloudstack cannot carry tags: .*\(options tags_as, tags_form\)"),
        ("opennebula", "cannot carry tags"),
        ("ovh", "cannot carry tags"),
        ("scaleway", "driver scaleway leaves no way to know a new machine: .*user_data_as"),
    ],
)
def test_a_driver_that_lacks_too_much_is_refused_with_what_is_missing(
    name: str, words: str
) -> None:
    with pytest.raises(Stalled, match=words):
        traits_of(driver_of(name), name, {})


def test_options_say_what_cannot_be_seen_of_a_driver() -> None:
    options = {"tags_as": "ex_displayname", "tags_form": "line", "ports_open": True}

    traits = traits_of(driver_of("cloudstack"), "cloudstack", {**options, "ssh_port": 2222})

    assert (traits.tags, traits.form, traits.ssh_port) == ("ex_displayname", Form.LINE, 2222)
    assert Ability.PORTS in traits.abilities


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags_form": "xml"}, "tags_form = 'xml' is none of table, dashed, labels, line"),
        ({"first_contact": "trust"}, "none of told, user-data, console"),
        ({"first_contact": "console"}, "driver vultr has no console"),
        ({"first_contact": "user-data", "user_data_as": ""}, "has no user-data"),
        ({"first_contact": "told"}, "neither user data nor a login key"),
        ({"user_data_as": ""}, "no way to know a new machine"),
        ({"image_by": "destroy_node"}, "none of get_image, ex_get_image"),
        ({"ssh_port": 0}, "is no port"),
        ({"lag": -1}, "is no number of seconds"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(Stalled, match=words):
        traits_of(driver_of("vultr"), "vultr", options)


def test_options_go_to_the_constructor_or_to_create_node() -> None:
    options = {"datacenter": "europe", "ex_preemptible": True, "ssh_port": 22, "unheard_of": 1}

    parts = split(options, driver_of("gce"))

    assert parts.ours == {"ssh_port": 22}
    assert parts.constructor == {"datacenter": "europe", "unheard_of": 1}
    assert parts.create == {"ex_preemptible": True}


def test_an_entry_of_an_argument_is_said_beside_ours() -> None:
    created = said("digitalocean", **{"ex_create_attr.ipv6": True})["ex_create_attr"]

    assert created["ipv6"] is True
    assert "headwater:node:web" in created["tags"]


def test_gce_has_its_user_data_among_the_metadata_and_no_colon_in_a_key() -> None:
    metadata = said("gce")["ex_metadata"]

    assert metadata["user-data"].startswith("#cloud-config\n")
    assert metadata["headwater-node"] == "web"
    assert not [key for key in metadata if ":" in key]


def test_azure_is_given_bytes_the_login_user_and_the_key() -> None:
    created = said("azure_arm", ex_resource_group="ours")

    assert created["ex_customdata"].startswith(b"#cloud-config\n")
    assert created["ex_user_name"] == "root"
    assert isinstance(created["auth"], NodeAuthSSHKey)
    assert created["ex_resource_group"] == "ours"


def test_a_password_that_linode_insists_on_is_another_each_time() -> None:
    assert said("linode")["root_pass"] != said("linode")["root_pass"]


class Placed(NodeDriver):
    name, type = "Placed", "placed"

    def list_locations(self) -> list[NodeLocation]:
        return [NodeLocation(id, f"{id} city", "XX", self) for id in ("fra1", "ams3")]

    def create_node(self, name, size, image, location, ex_metadata, ex_userdata):  # type: ignore[override]  # noqa: PLR0917  # libcloud's way
        raise NotImplementedError


def placed(region: str, **options: object) -> Any:
    driver: Any = Placed("key")  # type: ignore[no-untyped-call]
    parts = split(options, Placed)
    return create_arguments(driver, traits_of(driver, "placed", parts.ours), parts, region)


@pytest.mark.parametrize(("region", "options"), [("fra1", {}), ("", {"location": "fra1 city"})])
def test_a_location_is_found_by_its_id_or_its_name(region: str, options: dict[str, object]) -> None:
    assert placed(region, **options)["location"].id == "fra1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "x"}, "option 'name' is said by the component"),
        ({"tags_as": "ex_tgas"}, "takes no 'ex_tgas': correct the options"),
        ({"ex_create_attr.ipv6": True}, "takes no 'ex_create_attr'"),
    ],
)
def test_an_argument_that_create_node_does_not_take_is_refused_before_any_is_made(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(Stalled, match=words):
        placed("fra1", **options)


def test_an_argument_that_create_node_insists_on_is_asked_for() -> None:
    driver = driver_of("azure_arm")
    parts = split({}, driver)

    with pytest.raises(Stalled, match="needs to be told 'ex_resource_group': set an option"):
        create_arguments(driver, traits_of(driver, "azure_arm", {}), parts, "")


@pytest.mark.parametrize(
    ("region", "words"),
    [("fra2", r"no location 'fra2' \(near: fra1\)"), ("", "set spec.region of the Cloud")],
)
def test_a_location_that_is_missing_is_asked_for(region: str, words: str) -> None:
    with pytest.raises(Stalled, match=words):
        placed(region)


@given(
    st.dictionaries(
        st.sampled_from(["headwater:node", "headwater:machine-digest", "headwater:size"]),
        st.text(max_size=90),
    ),
    st.sampled_from(Form),
)
def test_tags_come_back_from_every_form(tags: dict[str, str], form: Form) -> None:
    shown = written(tags, form)
    place = {"metadata": shown} if isinstance(shown, dict) else {"tags": shown}

    [back] = carried(place)

    assert back == tags
    if isinstance(shown, list):
        assert all(len(label) <= LABEL for label in shown)


@pytest.mark.parametrize(
    "extra",
    [
        {"metadata": {"items": [{"key": "headwater-node", "value": "web"}], "fingerprint": "x"}},
        {"tags": [{"key": "headwater:node", "value": "web"}]},
        {"tags": ("production", "headwater:node:web")},
        {"tag": "headwater:node:web"},
    ],
)
def test_tags_are_read_wherever_a_driver_shows_them(extra: dict[str, object]) -> None:
    [table] = carried(extra)

    assert table.get("headwater:node") == "web"


@pytest.mark.parametrize(
    "labels",
    [["headwater:node:2:b"], ["headwater:node:1:a", "headwater:node:3:c"], ["headwater:::::"]],
)
def test_labels_of_which_a_part_is_missing_say_nothing(labels: list[str]) -> None:
    assert list(carried({"tags": labels})) == [{}]


CONSOLE = f"""
[   12.1] cloud-init[512]: something
-----BEGIN SSH HOST KEY FINGERPRINTS-----
256 SHA256:abc root@web (ED25519)
-----END SSH HOST KEY FINGERPRINTS-----
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2VjZHNh root@web
{PRINTED} root@web
-----END SSH HOST KEY KEYS-----
"""


def test_the_host_key_of_the_first_whole_block_is_believed() -> None:
    forged = CONSOLE.replace("Printed", "Forged0")

    assert host_key_on(CONSOLE + forged) == PRINTED


@pytest.mark.parametrize(
    "text", ["", CONSOLE[: CONSOLE.index("-----END SSH HOST KEY KEYS")], f"{PRINTED} root@web"]
)
def test_half_a_block_or_none_tells_no_key(text: str) -> None:
    assert host_key_on(text) is None


@pytest.mark.parametrize("answer", ["said", {"output": "said"}, {"Output": "said"}])
def test_consoles_are_read_in_the_forms_of_the_drivers(answer: object) -> None:
    assert text_of(answer) == "said"


class KeyPairs(NodeDriver):
    """Takes key pairs and no user data; tells what is on the console."""

    name, type = "KeyPairs", "keypairs"
    features = {"create_node": []}  # noqa: RUF012  # libcloud's form

    def __init__(self) -> None:
        super().__init__("key")  # type: ignore[no-untyped-call]
        self.pairs: dict[str, str] = {}
        self.console: str | Exception = ""
        self.reads = 0

    def create_node(self, name, size, image, ex_keyname, ex_metadata):  # type: ignore[override]  # libcloud's way
        raise NotImplementedError

    def list_key_pairs(self):
        return [Node(name, name, NodeState.UNKNOWN, [], [], self) for name in self.pairs]

    def import_key_pair_from_string(self, name, key_material):
        assert name not in self.pairs
        self.pairs[name] = key_material

    def ex_get_console_output(self, node: Node) -> dict[str, str]:
        assert node.id == "n-1"
        self.reads += 1
        if isinstance(self.console, Exception):
            raise self.console
        return {"output": self.console}


def listed(driver: KeyPairs, known: DriverAccount) -> Node:
    extra = {"metadata": written(_metadata(), Form.TABLE)}
    node = Node("n-1", "n", NodeState.RUNNING, ["192.0.2.1"], [], driver, extra=extra)
    introduce(driver, traits_of(driver, "keypairs", {}), known, [node])
    return node


def _metadata() -> dict[str, str]:
    created = said("openstack")["ex_metadata"]
    assert isinstance(created, dict)
    return created


def test_a_login_key_is_imported_once_where_there_is_no_user_data() -> None:
    driver, known = KeyPairs(), account()
    traits = traits_of(driver, "keypairs", {})

    names = {arguments(driver, traits, known, ORDER, {})["ex_keyname"] for _ in range(2)}
    names.add(arguments(driver, traits, account(), ORDER, {})["ex_keyname"])

    assert driver.pairs == dict.fromkeys(names, LOGIN)
    assert traits.contact is Contact.CONSOLE


def test_a_host_key_is_read_from_the_console_once() -> None:
    driver, known = KeyPairs(), account()
    assert "host_key" not in listed(driver, known).extra

    driver.console = CONSOLE
    machines = [machine_of(listed(driver, known), "far", TAGS) for _ in range(3)]

    assert {(m.host_key, m.one_time) for m in machines} == {(PRINTED, False)}
    assert driver.reads == 2


def test_a_console_that_cannot_be_read_leaves_a_machine_that_is_not_reached() -> None:
    driver = KeyPairs()
    driver.console = NotImplementedError("not now")

    assert not machine_of(listed(driver, account()), "far", TAGS).is_reachable


def test_the_one_time_key_of_a_machine_follows_from_its_tags() -> None:
    driver = driver_of("openstack")
    text = said("openstack")["ex_userdata"]
    extra = {"metadata": _metadata()}
    node = Node("n-1", "n", NodeState.RUNNING, ["192.0.2.1"], [], driver, extra=extra)
    other = account()

    introduce(driver, traits_of(driver, "openstack", {}), other, [node])

    tags = tags_of(node, "ours")
    assert tags == TAGS
    machine = machine_of(node, "far", tags)
    assert machine.one_time
    assert machine.host_key is not None
    assert machine.host_key in text
    assert other.token(replace(tags, incarnation=3)) != other.token(tags)


def test_entries_and_whole_arguments_are_put_together() -> None:
    assert nested({"a.b": 1, "a": {"c": 2}, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    assert nested({"a": {"c": 2}, "a.b": 1}) == {"a": {"b": 1, "c": 2}}
