"""What is written and not acted upon is an error, not a surprise."""

import pytest

from headwater.manifests.parse import parse_file
from headwater.manifests.resources import KINDS
from headwater.manifests.schema_of import keys_at, schema_of
from headwater.manifests.unsupported import UNSUPPORTED
from unit.manifests.texts import HEADER, SHOP, file

IMAGE = HEADER.format("Image", "debian-12")
SET = HEADER.format("DeploymentSet", "fleet") + 'template = "site.toml"\n'
CLOUD = HEADER.format("Cloud", "lab") + 'driver = "openstack"\n'


def diagnostics(text: str) -> list[str]:
    (only,) = parse_file("x.toml", file(text)).definitions
    return [str(diagnostic) for diagnostic in only.diagnostics]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (SET + 'pullRequests = { label = "preview" }\n', "7:1: pullRequests"),
        (IMAGE + 'build = { from = "debian-12" }\n', "6:1: build"),
    ],
)
def test_what_this_version_does_not_act_upon_is_refused(text, written):
    assert diagnostics(text) == [f"x.toml:{written} is not supported yet by this version"]


@pytest.mark.parametrize(
    "text",
    [
        SHOP.replace("cloud =", 'lifecycle = "service"\ncloud ='),
        SHOP + '[spec.safety]\nprotect = false\ndeletionPolicy = "delete"\n',
        SHOP + '[spec.update]\nonFailure = "stop"\n',
        CLOUD + 'quota = { instances = 10, cpus = 20, memory = "1GiB" }\n',
    ],
)
def test_what_says_only_what_happens_anyway_is_accepted(text):
    assert diagnostics(text) == []


@pytest.mark.parametrize("entry", UNSUPPORTED, ids=lambda entry: f"{entry.kind} {entry.key}")
def test_the_table_names_keys_that_exist(entry):
    *above, last = entry.key.split(".")

    if last != "secret":  # one of the forms of an input, not a key of a table
        assert last in keys_at(schema_of(KINDS[entry.kind]), tuple(above))
