"""Machines that tell each other values, and what becomes of those that wait in vain."""

import pytest

from e2e.program import Program
from e2e.systems import Table, document, resource, site

PRIME = """\
# Retrieve hostnames/IPs of nodes
CLIENT_IP=$(ss-get client.hostname)
CLIENT_HOSTNAME=$(awk '/'$CLIENT_IP'/ {print $3}' /etc/hosts)
PRIME_SERVER_IP=$(ss-get hostname)
PRIME_SERVER_HOSTNAME=$(awk '/'$PRIME_SERVER_IP'/ {print $3}' /etc/hosts)
BACKUP_SERVER_IP=$(ss-get backup.hostname)
BACKUP_SERVER_HOSTNAME=$(awk '/'$BACKUP_SERVER_IP'/ {print $3}' /etc/hosts)

CORBA_PRIME_SERVER_HOSTNAME=$PRIME_SERVER_HOSTNAME
CORBA_PRIME_SERVER_PORT=28084
CORBA_BACKUP_SERVER_HOSTNAME=$BACKUP_SERVER_HOSTNAME
CORBA_BACKUP_SERVER_PORT=28200

# NB! scm_configuration/SDCF_MICONYS.xml in 'scm_configuration' tarball was parametrized
sed -i 's/CLIENT_HOSTNAME/'$CLIENT_HOSTNAME'/g' $TMPDIR/scm_configuration/SDCF_MICONYS.xml
sed -i 's/PRIME_SERVER_HOSTNAME/'$PRIME_SERVER_HOSTNAME'/g' $TMPDIR/scm_configuration/SDCF_MICONYS.xml
sed -i 's/BACKUP_SERVER_HOSTNAME/'$BACKUP_SERVER_HOSTNAME'/g' $TMPDIR/scm_configuration/SDCF_MICONYS.xml
"""  # noqa: E501  # the slide's lines
"""What the slides show of the recipe of PRIME, as it stands there."""
BEFORE = """\
#!/bin/sh -xe
sed -i '/# this machine/d' /etc/hosts
TMPDIR=/tmp
mkdir -p $TMPDIR/scm_configuration
echo CLIENT_HOSTNAME PRIME_SERVER_HOSTNAME BACKUP_SERVER_HOSTNAME \\
    >$TMPDIR/scm_configuration/SDCF_MICONYS.xml
"""
"""What they do not show of it: the unpacking of the tarball.

An image of the slides' time had no line for its own address in /etc/hosts, as these machines have.
"""
QUIET = "#!/bin/sh\n"


def start(program: Program, recipes: dict[str, str], **replicas: int) -> None:
    """Commit a deployment `pair` with a node for each recipe, and start. Outputs: `x`, `y`."""
    outputs: Table = {"outputs": {"x": {}, "y": {}}}
    components = [
        resource("Component", name, {"image": "host", "recipes": {"deploy": text}, **outputs})
        for name, text in recipes.items()
    ]
    nodes = {name: {"component": name, "replicas": replicas.get(name, 1)} for name in recipes}
    both = resource("Deployment", "pair", {"cloud": "local", "nodes": nodes})
    program.repository.commit(site(program.level) | {"pair.toml": document(*components, both)})
    program.start()


def words(program: Program) -> str:
    """Why the run failed. A get that had given up by itself would say: not set in time."""
    stalled = program.until_stalled("pair").condition("Stalled")
    return stalled.message if stalled else ""


@pytest.mark.parametrize("level", ["sandbox"], indirect=True)
def test_the_recipe_of_the_slides_runs_unchanged(program: Program):
    start(program, {"prime": BEFORE + PRIME, "client": QUIET, "backup": QUIET})

    program.until_ready("pair")

    written = "/tmp/scm_configuration/SDCF_MICONYS.xml"  # noqa: S108  # of a machine of its own
    shown = program.verb("ssh", "pair", "prime.1", "--", "cat", written)
    assert shown.out == "client.1 prime.1 backup.1\n"


def test_a_circle_of_waits_fails_the_run_at_once_and_is_named(program: Program):
    start(
        program,
        {
            "one": "#!/bin/sh -e\nx=$(ss-get two:x)\nss-set y 1\n",
            "two": "#!/bin/sh -e\nss-get --timeout 0 one:y\nss-set x 1\n",
        },
    )

    assert words(program) == (
        "one.1: deploy exited with 9: ss-get: two.1:x will never be set: "
        "one.1 waits for two.1:x, two.1 waits for one.1:y"
    )


def test_a_value_that_its_writer_has_not_set_fails_the_run_at_once(program: Program):
    start(program, {"one": "#!/bin/sh -e\nss-get-all two x\n", "two": QUIET}, two=2)

    said = words(program)

    assert said.startswith("one.1: deploy exited with 9: ss-get-all: two.")
    assert said.endswith("has ended its recipes without setting it")


def test_a_fallback_is_taken_at_once(program: Program):
    recipe = "#!/bin/sh -e\nvalue=$(ss-get --timeout 600 two:x) || value=$?\nss-set x $value\n"
    start(program, {"one": recipe, "two": QUIET})

    program.until_ready("pair")

    assert program.parameters("pair")["one.1"]["x"] == "9"


def test_a_machine_that_works_beside_its_wait_is_in_no_circle(program: Program):
    """The other one waits for what is set only after a while."""
    start(
        program,
        {
            "one": "#!/bin/sh -e\nss-get two:x\nss-set y 1\n",
            "two": "#!/bin/sh -e\nss-get one:y & sleep 3\nss-set x 1\nwait\n",
        },
    )

    program.until_ready("pair")


def test_a_step_knows_its_place_and_a_neighbour_more_runs_no_recipe_again(program: Program):
    recipe = (
        '#!/bin/sh -e\nss-set x "$HEADWATER_INDEX/$HEADWATER_MULTIPLICITY/$HEADWATER_SIZE '
        '$HEADWATER_CLOUD $SLIPSTREAM_CONNECTOR_INSTANCE"\n'
    )
    start(program, {"one": recipe, "two": QUIET}, one=2)
    program.until_ready("pair")
    before = program.parameters("pair")

    program.repository.edit("pair.toml", "replicas = 2", "replicas = 3")
    program.until_ready("pair")

    after = program.parameters("pair")
    assert before["one.2"]["x"] == "2/2/3 local local"
    assert after["one.3"]["x"] == "3/3/4 local local"
    assert after["one.2"] == before["one.2"]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("ss-set two:x 1", 7, "two:x is not one.1's to set"),
        ("ss-set z 1", 7, "unknown key 'z'"),
        ("ss-get two.4:x", 7, "unknown key 'two.4:x': pair has no instance two.4"),
        ("ss-get two:hostnam", 7, "did you mean 'hostname'?"),
        ('ss-set x "$(head -c 66560 /dev/zero | tr "\\0" x)"', 7, "the value has 66560 bytes"),
        ("ss-set x \"$(printf '\\377')\"", 7, "the value is no UTF-8 text"),
    ],
)
def test_what_may_not_be_said_fails_the_recipe_in_clear_words(
    program: Program, line: str, code: int, said: str
):
    start(program, {"one": f"#!/bin/sh -e\n{line}\n", "two": QUIET})

    failed = words(program)

    assert failed.startswith(f"one.1: deploy exited with {code}: ss-")
    assert said in failed
