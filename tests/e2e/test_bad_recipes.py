"""Recipes that fail in every way: said in their own words, and nothing else is harmed."""

from pathlib import Path

import pytest

from e2e.program import Program
from e2e.systems import RUNS, document, resource, site, system
from headwater.store.outputs import LIMIT

BLOCKS = RUNS + "sleep 1000\n"
MEBIBYTE = 2**20


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def peak_memory(pid: int) -> int:
    """Bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def pair(first: str, second: str) -> dict[str, str]:
    """A deployment `pair` of two nodes with a recipe each."""
    kinds = [
        resource("Component", name, {"image": "host", "recipes": {"deploy": text}})
        for name, text in (("first", first), ("second", second))
    ]
    nodes = {name: {"component": name} for name in ("first", "second")}
    both = resource("Deployment", "pair", {"cloud": "local", "nodes": nodes})
    return {"pair.toml": document(*kinds, both)}


def test_a_failure_stops_its_deployment_in_its_own_words_and_no_other(program: Program):
    """The failing recipe waits until the other one runs: so there is something to stop."""
    fails = '#!/bin/sh\nsleep 0.3\nuntil [ -e "$HOME/go" ]; do sleep 0.05; done\n'
    fails += "echo no license for node first >&2\nexit 7\n"
    begin(program, pair(fails, BLOCKS) | system(name="good"))
    program.until_running("pair", "second.1")
    home = program.layout.home(program.until_running("pair", "first.1").machine)

    (home / "go").touch()
    status = program.until_stalled("pair")

    states = {i.instance: (i.state, i.message) for i in status.instances}
    words = "deploy exited with 7: no license for node first"
    assert states["first.1"] == ("failed", words)
    assert states["second.1"][0] == "failed"
    assert "stopped" in states["second.1"][1]
    assert program.verb("wait", "pair", "--timeout", "5s").code == 1
    assert words in program.said("status", "pair")
    assert words in program.repository.until_answered(program.repository.head, "headwater/pair")
    assert program.until_ready("good").is_ready
    assert len(program.machines()) == 3


def test_a_commit_that_mends_the_recipe_goes_on_with_the_same_machine(program: Program):
    begin(program, system(RUNS + "exit 7\n"))
    [failed] = [i.machine for i in program.until_stalled("box").instances]

    program.repository.commit(system(RUNS))
    [mended] = [i.machine for i in program.until_ready("box").instances]

    assert mended == failed
    assert (program.home("box", "one.1") / "runs").read_text() == "run\nrun\n"


def test_retry_runs_again_what_failed_and_only_that(program: Program):
    recipe = RUNS + '[ "$HEADWATER_INDEX" = 1 ] || [ -e "$HOME/mended" ]\n'
    begin(program, system(recipe, replicas=2))
    program.until_stalled("box")
    first, second = program.home("box", "one.1"), program.home("box", "one.2")

    (second / "mended").touch()
    program.said("retry", "box")
    program.until_ready("box")

    assert (second / "runs").read_text() == "run\nrun\n"
    assert (first / "runs").read_text().count("run") <= 2


def test_a_recipe_that_hangs_is_stopped_at_its_deadline(program: Program):
    begin(program, system("#!/bin/sh\necho nearly there\nsleep 1000\n", timeouts={"execute": "2s"}))

    status = program.until_stalled("box")

    words = "deploy ran into the execute timeout and was stopped: nearly there"
    assert status.instances[0].message == words
    home = program.home("box", "one.1")
    listed = program.verb("ssh", "box", "one.1", "--", "pgrep", "-f", "sleep[ ]1000")
    assert (home.exists(), listed.out) == (True, "")


def test_an_interpreter_that_is_not_there_is_named(program: Program):
    begin(program, system("#!/opt/missing/interpreter\ntrue\n"))

    status = program.until_stalled("box")

    assert status.instances[0].message.startswith("deploy could not be started: ")
    assert "/opt/missing/interpreter" in status.instances[0].message


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("exit 7\n", "deploy exited with 7"),
        ("kill -9 $$\n", "deploy exited with 137"),
        (r"printf '\377\376 \033[31mred\n'; exit 7" + "\n", "deploy exited with 7: "),
    ],
    ids=["silent", "killed", "binary"],
)
def test_a_failure_without_words_of_its_own_is_told_all_the_same(
    program: Program, recipe: str, words: str
):
    begin(program, system("#!/bin/sh\n" + recipe))

    status = program.until_stalled("box")

    assert status.instances[0].message.startswith(words)
    answer = program.repository.until_answered(program.repository.head, "headwater/box")
    assert words in answer
    assert "\033" not in answer + program.said("status", "box")


def test_a_flood_of_binary_output_neither_fails_nor_fills_the_controller(program: Program):
    flood = 64 * MEBIBYTE
    begin(program, system(f"#!/bin/sh\nhead -c {flood} /dev/urandom\n"))

    program.until_ready("box")

    kept = sum(f.stat().st_size for f in (program.state / "logs").rglob("*") if f.is_file())
    assert kept <= LIMIT + 64 * 1024
    assert peak_memory(program.pid) < 200 * MEBIBYTE
    assert len(program.said("logs", "box", "one.1")) > MEBIBYTE
