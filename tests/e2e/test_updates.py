"""What a changed manifest does to machines that run."""

from functools import partial
from pathlib import Path

import pytest

from e2e.program import Program
from e2e.systems import RUNS, Table, document, resource, site, system
from local_cloud import wait_until

BLOCKS = RUNS + 'until [ -e "$HOME/go" ]; do sleep 0.05; done\nrm "$HOME/go"\n'


def runs(home: Path) -> int:
    """How often the recipe began on the machine."""
    file = home / "runs"
    return file.read_text().count("run\n") if file.exists() else 0


def ran_again(home: Path) -> bool:
    return runs(home) == 2


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def release(home: Path) -> None:
    """Let the recipe on the machine go on."""
    wait_until(lambda: runs(home), f"a recipe runs in {home}")
    (home / "go").touch()


def replaced(program: Program, old: str) -> Path:
    """The home of the machine that is about to take the place of the old one."""

    def newcomer() -> list[str]:
        return [id for id in program.machines() if id != old]

    wait_until(newcomer, "the replacement is there")
    return program.layout.home(newcomer()[0])


def test_a_changed_recipe_runs_again_only_where_it_is_used(program: Program):
    begin(program, system(replicas=2) | system(name="other"))
    program.until_ready("other")
    machines = program.machines().keys()

    program.repository.commit(system(RUNS + "# changed\n", replicas=2))
    program.until_ready("box")
    program.until_ready("other")

    assert program.machines().keys() == machines
    assert [runs(program.home("box", i)) for i in ("one.1", "one.2")] == [2, 2]
    assert runs(program.home("other", "one.1")) == 1


@pytest.mark.parametrize("change", ["image", "size"])
def test_another_image_or_size_makes_a_new_machine_before_the_old_one_goes(
    program: Program, change: str
):
    """The old machine is there, and serves, until the new one is Ready."""
    image = resource("Image", "later", {"platform": "debian", "ids": {"local": "host-2"}})
    begin(program, system(BLOCKS) | {"images/later.toml": document(image)})
    old = program.until_running("box").machine
    release(program.layout.home(old))
    program.until_ready("box")

    component: Table = {"image": "later"} if change == "image" else {"size": {"cpus": 2}}
    program.repository.commit(system(BLOCKS, component=component))
    new = replaced(program, old)
    wait_until(lambda: runs(new), "the recipe runs on the new machine")

    assert program.machines()[old]["state"] == "running"
    assert program.parameters("box")["one.1"]["instanceId"] == old

    release(new)
    status = program.until_ready("box")

    assert set(program.machines()) == {status.instances[0].machine} != {old}
    assert status.instances[0].incarnation == 2


def test_a_changed_recipe_replaces_where_the_manifest_says_so(program: Program):
    begin(program, system(update={"onRecipeChange": "replace"}))
    [old] = [i.machine for i in program.until_ready("box").instances]

    program.repository.commit(system(RUNS + "# changed\n", update={"onRecipeChange": "replace"}))
    [new] = program.until_ready("box").instances

    assert (new.incarnation, set(program.machines())) == (2, {new.machine})
    assert new.machine != old
    assert runs(program.home("box", "one.1")) == 1


def test_a_changed_recipe_is_left_for_new_machines_where_the_manifest_says_so(program: Program):
    begin(program, system(update={"onRecipeChange": "ignore"}))
    [old] = [i.machine for i in program.until_ready("box").instances]

    program.repository.commit(system(RUNS + "# changed\n", update={"onRecipeChange": "ignore"}))
    [same] = [i.machine for i in program.until_ready("box").instances]

    assert same == old
    assert runs(program.home("box", "one.1")) == 1


def test_a_changed_input_runs_the_recipe_of_its_reader_again(program: Program):
    inputs = {"inputs": {"colour": {"required": True}}}
    recipe = RUNS + 'ss-get colour >"$HOME/colour"\n'

    def painted(colour: str) -> dict[str, str]:
        return system(recipe, component=inputs, node={"inputs": {"colour": colour}})

    begin(program, painted("red") | system(name="other"))
    program.until_ready("box")
    home = program.home("box", "one.1")
    assert (home / "colour").read_text() == "red\n"

    program.repository.commit(painted("blue"))
    program.until_ready("box")
    program.until_ready("other")

    assert (home / "colour").read_text() == "blue\n"
    assert (runs(home), runs(program.home("other", "one.1"))) == (2, 1)


def test_an_update_takes_no_more_instances_away_than_it_may(program: Program):
    limits = {"maxUnavailable": 2, "maxSurge": 0}
    begin(program, system(replicas=4, update=limits))
    program.until_ready("box")
    homes = [program.home("box", f"one.{n}") for n in range(1, 5)]

    program.repository.commit(system(BLOCKS, replicas=4, update=limits))
    wait_until(lambda: sum(map(runs, homes)) == 6, "two recipes run again")

    again = [home for home in homes if ran_again(home)]
    assert len(again) == 2
    assert program.deployment("box").diagnostics == ("one: 2 more to update, within the limits",)

    release(again[0])
    wait_until(lambda: sum(map(runs, homes)) == 7, "the next one follows the first")
    for home in homes:
        if home != again[0]:
            wait_until(partial(ran_again, home), f"a turn for {home}")
            release(home)
    program.until_ready("box")
    assert [runs(home) for home in homes] == [2, 2, 2, 2]
