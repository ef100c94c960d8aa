"""Hooks on real machines: who is told, when, and of what."""

from pathlib import Path

import pytest

from e2e.program import Program
from e2e.systems import RUNS, document, nothing, resource, site, system
from local_cloud import wait_until

NOTES = (
    '#!/bin/sh -e\necho "{0} $HEADWATER_SCALING_ACTION $HEADWATER_SCALING_NODE'
    ' $HEADWATER_SCALING_INSTANCES" >>"$HOME/told"\n'
    'echo "$HEADWATER_INSTANCE {0}" >>"{1}"\n'
)


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """What all machines note down, also those that are gone."""
    file = tmp_path / "diary"
    file.touch(0o666)
    file.chmod(0o666)
    return file


def hooked(diary: Path, deploy: str = RUNS, **spec: object) -> dict[str, str]:
    kinds = ("onInstanceAdd", "onInstanceRemove", "preScale", "postScale")
    recipes = {"deploy": "deploy.sh"} | {kind: NOTES.format(kind, diary) for kind in kinds}
    component = {"recipes": recipes, **spec.pop("component", {})}  # type: ignore[dict-item]
    return system(deploy, component=component, **spec)  # type: ignore[arg-type]


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def told(program: Program, instance: str) -> list[str]:
    file = program.home("box", instance) / "told"
    return file.read_text().splitlines() if file.exists() else []


def test_survivors_are_told_of_who_comes_and_goes(program: Program, diary: Path):
    begin(program, hooked(diary, replicas=2))
    program.until_ready("box")
    assert told(program, "one.1") == []

    program.repository.commit(hooked(diary, replicas=3))
    program.until_ready("box")
    for instance in ("one.1", "one.2"):
        wait_until(lambda i=instance: told(program, i), f"{instance} is told")  # type: ignore[misc]
        assert told(program, instance) == ["onInstanceAdd add one one.3"]

    program.repository.commit(hooked(diary, replicas=2))
    program.until_ready("box")
    for instance in ("one.1", "one.2"):
        wait_until(lambda i=instance: len(told(program, i)) == 2, f"{instance} is told")  # type: ignore[misc]
        assert told(program, instance)[1:] == ["onInstanceRemove remove one one.3"]
    assert "one.3 preScale" in diary.read_text().splitlines()


def test_a_replaced_machine_is_drained_before_it_goes_and_its_successor_takes_up(
    program: Program, diary: Path
):
    begin(program, hooked(diary))
    [old] = [i.machine for i in program.until_ready("box").instances]

    program.repository.commit(hooked(diary, component={"size": {"cpus": 2}}))
    program.until_ready("box")
    wait_until(lambda: told(program, "one.1"), "the new machine is told")

    [new] = program.machines()
    assert new != old
    assert diary.read_text().splitlines() == ["one.1 preScale", "one.1 postScale"]
    assert told(program, "one.1") == ["postScale replace one one.1"]


def test_a_removed_deployment_is_drained(program: Program, diary: Path):
    begin(program, hooked(diary, replicas=2) | nothing())
    program.until_ready("box")

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")

    assert sorted(diary.read_text().splitlines()) == ["one.1 preScale", "one.2 preScale"]


def test_a_failing_hook_fails_nothing_and_is_told(program: Program):
    fails = "#!/bin/sh\necho no quorum >&2\nexit 4\n"
    recipes = {"deploy": "deploy.sh", "onInstanceAdd": fails}
    begin(program, system(component={"recipes": recipes}))
    program.until_ready("box")

    program.repository.commit(system(component={"recipes": recipes}, replicas=2))
    program.until_ready("box")
    words = "on-instance-add exited with 4: no quorum"
    program.until(
        lambda status: next(
            (d for d in status.deployments if any(i.message == words for i in d.instances)), None
        ),
        "the failure is told",
    )
    assert program.deployment("box").is_ready
    assert words in [o.message for o in program.deployment("box").outcomes]


def test_hooks_reach_across_clouds(program: Program, diary: Path):
    second = resource("Cloud", "there", {"driver": "local", "options": {"level": program.level}})
    image = {"platform": "debian", "ids": {"local": "host", "there": "host"}}
    files = {
        "clouds/there.toml": document(second),
        "images/host.toml": document(resource("Image", "host", image)),
    }
    node = {"spread": {"local": 1, "there": 1}}
    begin(program, hooked(diary, replicas=2, node=node) | files)
    program.repository.commit(files)
    program.until_ready("box")

    more = {"spread": {"local": 1, "there": 2}}
    program.repository.commit(hooked(diary, replicas=3, node=more))
    program.until_ready("box")
    wait_until(
        lambda: (
            sorted(diary.read_text().splitlines()) == ["one.1 onInstanceAdd", "one.2 onInstanceAdd"]
        ),
        "the machines at both clouds are told",
    )
