"""How runtime parameters are named, and what a value follows from."""

from dataclasses import replace

import pytest

from fakes.builders import desired, key, node
from headwater.manifests.resolved import Literal, Reference, Size
from headwater.topology.keys import InstanceKey
from headwater.topology.parameters import (
    InstanceValue,
    Lookup,
    NodeValue,
    RunValue,
    UnknownKey,
    is_writable,
    missing,
    parse_key,
    read,
    referenced_inputs,
)
from headwater.topology.secrets import Value

SYSTEM = desired(
    node("ce", outputs=["queue"]),
    node(
        "wn",
        3,
        skip=[2],
        inputs={
            "site": Literal("geneva"),
            "server": Reference("ce", 1, "hostname"),
            "peers": Reference("wn", None, "instanceid"),
            "backup.hostname": Reference("ce", None, "queue"),
            "absent": Reference("wn", 2, "hostname"),
            "optional": None,
            "slots": None,
        },
        outputs=["slots"],
    ),
)
WN1, WN3, CE = key("wn.1"), key("wn.3"), key("ce.1")


def known(**values: str) -> Lookup:
    """A look-up in `ce_1__queue=...`."""
    table = {}
    for name, value in values.items():
        instance, _, output = name.partition("__")
        table[key(instance.replace("_", ".")), output] = value
    return lambda key, name: table.get((key, name))


NOTHING = known()


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("slots", InstanceValue(WN1, "slots")),
            ("ce:cpu.nb", InstanceValue(CE, "cpu.nb")),
            ("cpu.nb", InstanceValue(WN1, "cpu.nb")),
            ("hostname", InstanceValue(WN1, "hostname")),
            ("instanceid", InstanceValue(WN1, "instanceId")),
            ("state", InstanceValue(WN1, "state")),
            ("statecustom", InstanceValue(WN1, "statecustom")),
            ("url.admin", InstanceValue(WN1, "url.admin")),
            ("site", InstanceValue(WN1, "site")),
            ("backup.hostname", InstanceValue(WN1, "backup.hostname")),
            ("ce.queue", InstanceValue(CE, "queue")),
            ("ce:queue", InstanceValue(CE, "queue")),
            ("ce.1:queue", InstanceValue(CE, "queue")),
            ("ce.url.admin", InstanceValue(CE, "url.admin")),
            ("ce:url.admin", InstanceValue(CE, "url.admin")),
            ("wn.3:hostname", InstanceValue(WN3, "hostname")),
            ("wn.3:backup.hostname", InstanceValue(WN3, "backup.hostname")),
            ("wn.hostname", InstanceValue(WN1, "hostname")),
            ("multiplicity", NodeValue("wn", "multiplicity")),
            ("ids", NodeValue("wn", "ids")),
            ("ce:multiplicity", NodeValue("ce", "multiplicity")),
            ("wn:ids", NodeValue("wn", "ids")),
            ("ss:state", RunValue("state")),
            ("ss:abort", RunValue("abort")),
        ],
    )
    def test_every_form_is_understood(self, text, address):
        assert parse_key(text, WN1, SYSTEM) == address

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("slotz", "unknown key 'slotz'; did you mean 'slots'?"),
            ("hostnam", "did you mean 'hostname'?"),
            ("ce.queu", "unknown key 'ce.queu'; did you mean 'queue'?"),
            ("ce:hostnme", "did you mean 'hostname'?"),
            ("qqq", "unknown key 'qqq'; declare it as an output of its component"),
            ("wn.2:hostname", "shop has no instance wn.2"),
            ("wn.9:hostname", "shop has no instance wn.9"),
            ("wn.0:hostname", "shop has no instance wn.0"),
            ("db:hostname", "shop has no instance db.1"),
            ("db.hostname", "unknown key 'db.hostname'"),
            ("ss:other", "shop has no instance ss.1"),
            ("wn.3:ids", "unknown key 'wn.3:ids'"),
            ("", "unknown key ''"),
            (":", "unknown key ':'"),
        ],
    )
    def test_an_unknown_key_is_an_error_that_helps(self, text, said):
        with pytest.raises(UnknownKey, match=r".") as error:
            parse_key(text, WN1, SYSTEM)

        assert said in str(error.value)

    def test_an_own_name_wins_over_a_node_of_that_name(self):
        system = desired(node("backup"), node("web", inputs={"backup.hostname": Literal("x")}))

        assert parse_key("backup.hostname", key(), system) == InstanceValue(
            key(), "backup.hostname"
        )
        assert parse_key("backup.hostname", key("backup.1"), system) == InstanceValue(
            key("backup.1"), "hostname"
        )


class TestWriting:
    @pytest.mark.parametrize("name", ["slots", "url.x", "statecustom"])
    def test_declared_outputs_links_and_what_it_displays_are_its_own(self, name):
        assert is_writable(SYSTEM.instances[WN1], name)

    @pytest.mark.parametrize("name", ["hostname", "state", "site", "server", "qqq"])
    def test_facts_and_inputs_are_not(self, name):
        assert not is_writable(SYSTEM.instances[WN1], name)


def value(name: str, lookup: Lookup, instance: InstanceKey = WN1) -> Value | None:
    return read(InstanceValue(instance, name), SYSTEM, lookup)


class TestValues:
    def test_a_literal_is_itself(self):
        assert value("site", NOTHING) == "geneva"

    def test_an_output_is_what_was_set(self):
        assert value("queue", known(ce_1__queue="q"), CE) == "q"

    def test_an_empty_value_is_set(self):
        assert value("queue", known(ce_1__queue=""), CE) == ""

    def test_a_value_that_is_not_set_is_none(self):
        assert value("queue", NOTHING, CE) is None

    def test_a_reference_follows_the_other_nodes_output(self):
        assert value("server", known(ce_1__hostname="10.0.0.1")) == "10.0.0.1"
        assert value("server", NOTHING) is None

    def test_a_list_has_every_instance_in_order_or_is_not_known(self):
        assert value("peers", known(wn_1__instanceId="a")) is None
        assert value("peers", known(wn_1__instanceId="a", wn_3__instanceId="b")) == "a\nb"

    def test_a_list_over_no_instances_is_empty(self):
        system = desired(node("none", 0), node("web", inputs={"x": Reference("none", None, "y")}))

        assert read(InstanceValue(key(), "x"), system, NOTHING) == ""

    def test_a_reference_to_an_instance_that_is_not_there_is_never_known(self):
        assert value("absent", known(wn_2__hostname="x")) is None

    def test_an_optional_input_that_nobody_binds_is_empty(self):
        assert value("optional", NOTHING) == ""

    def test_an_unbound_input_that_is_an_output_too_waits_for_its_writer(self):
        assert value("slots", NOTHING) is None
        assert value("slots", known(wn_1__slots="4")) == "4"

    def test_referenced_inputs_are_those_that_are_known_now(self):
        lookup = known(ce_1__hostname="10.0.0.1", wn_1__instanceId="a")

        assert referenced_inputs(SYSTEM.instances[WN1], SYSTEM, lookup) == {"server": "10.0.0.1"}


class TestMissing:
    def missing(
        self, name: str, lookup: Lookup, instance: InstanceKey = WN1
    ) -> tuple[InstanceKey, str] | None:
        return next(missing(InstanceValue(instance, name), SYSTEM, lookup), None)

    def test_an_output_lacks_itself(self):
        assert self.missing("queue", NOTHING, CE) == (CE, "queue")
        assert self.missing("queue", known(ce_1__queue=""), CE) is None

    def test_a_literal_lacks_nothing(self):
        assert self.missing("site", NOTHING) is None

    def test_a_list_lacks_its_first_unset_source(self):
        assert self.missing("peers", NOTHING) == (WN1, "instanceId")
        assert self.missing("peers", known(wn_1__instanceId="a")) == (WN3, "instanceId")

    def test_a_reference_names_the_writer_that_is_waited_for(self):
        assert self.missing("server", NOTHING) == (CE, "hostname")


class TestProcessors:
    def test_they_are_as_many_as_the_manifest_asks_for(self):
        assert read(InstanceValue(CE, "cpu.nb"), SYSTEM, NOTHING) == "1"

    def test_of_a_size_by_name_nobody_knows(self):
        by_name = desired(replace(node("ce"), size=Size(name="m5.large")))
        with pytest.raises(UnknownKey, match=r"unknown key 'cpu\.nb'"):
            parse_key("cpu.nb", CE, by_name)

    def test_an_output_of_this_name_is_what_its_machine_says(self):
        own = desired(node("ce", outputs=["cpu.nb"]))
        assert read(InstanceValue(CE, "cpu.nb"), own, NOTHING) is None
        assert read(InstanceValue(CE, "cpu.nb"), own, lambda *_: "7") == "7"


def test_a_reference_to_an_instance_that_is_not_there_is_missing_for_ever():
    address = InstanceValue(WN1, "absent")
    assert list(missing(address, SYSTEM, NOTHING)) == [(key("wn.2"), "hostname")]
