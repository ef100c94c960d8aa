"""The document of what a recipe finds says what the code does."""

import re
from pathlib import Path

from fakes.builders import NOON, desired, node
from headwater.manifests.resolved import RecipeKind
from headwater.planning.records import TaskRecord
from headwater.reconcile.tasks import scaling
from headwater.topology.surroundings import environment as told
from headwater_agent import surroundings, verbs

README = Path(__file__).resolve().parents[3] / "agent/README.md"


def verbs_listed() -> dict[str, str]:
    """Usage by verb."""
    table = README.read_text().partition("| verb ")[2].partition("\n\n")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:3] for line in table.splitlines()[2:]]
    cells = [[c.strip().strip("`").replace("\\|", "|") for c in row] for row in rows]
    return dict(cells)


def variables(table: str) -> set[str]:
    """Listed in the table that follows these words."""
    text = README.read_text().partition(table)[2].lstrip().partition("\n\n")[0]
    return set(re.findall(r"^\| `([A-Z]+_[A-Z_]+|PATH|HOME)`", text, re.MULTILINE))


def test_every_variable_of_a_step_is_listed_and_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "HOME": "/root"})
    monkeypatch.setattr("os.environb", {b"HOME": b"/root"}, raising=False)
    system = desired(node("wn", 2))
    spec = next(iter(system.instances.values()))
    pairs = [list(pair) for pair in told(spec.key, spec.machine.cloud, system.nodes)]
    found = {name.decode() for name in surroundings.environment(str(tmp_path), pairs)}

    assert variables("## Environment") == found


def test_what_hooks_find_besides_is_listed():
    task = TaskRecord("t", RecipeKind.ON_INSTANCE_ADD, NOON, 1, change="add", instances=("wn.3",))

    assert variables("Hooks find more:") == {name for name, _ in scaling(task)}


def test_every_verb_is_listed_with_its_usage():
    assert verbs_listed() == {name: usage for name, (usage, *_) in verbs.GRAMMAR.items()}
    assert set(surroundings.VERBS) == set(verbs.GRAMMAR)


def test_every_option_of_every_verb_is_explained():
    text = README.read_text()
    for _, flags, valued, *_ in verbs.GRAMMAR.values():
        for option in (*flags.split(), *valued.split()):
            assert f"--{option}" in text


def test_every_exit_code_is_explained():
    codes = set(re.findall(r"^\| (\d+) ", README.read_text(), re.MULTILINE))
    own = {verbs.OK, verbs.UNEQUAL, verbs.USAGE, verbs.REFUSED, verbs.TIMEOUT, verbs.INTERRUPTED}

    assert codes == {str(code) for code in own} | {"8"}


def test_the_variables_of_a_place_are_right():
    system = desired(node("ce"), node("wn", 3, skip=[2]))
    spec = list(system.instances.values())[-1]

    assert dict(told(spec.key, spec.machine.cloud, system.nodes)) == {
        "HEADWATER_DEPLOYMENT": "shop",
        "HEADWATER_INSTANCE": "wn.3",
        "HEADWATER_NODE": "wn",
        "HEADWATER_INDEX": "3",
        "HEADWATER_MULTIPLICITY": "2",
        "HEADWATER_SIZE": "3",
        "HEADWATER_CLOUD": "local",
        "SLIPSTREAM_CONNECTOR_INSTANCE": "local",
    }
