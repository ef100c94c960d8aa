"""Hooks on real machines: who is told, when, and of what."""

from typing import Any

from e2e.program import Program
from e2e.systems import Table, document, nothing, resource, site, system
from local_cloud import wait_until

TELLS = (
    '#!/bin/sh -e\necho "{0} $HEADWATER_SCALING_ACTION $HEADWATER_SCALING_NODE'
    ' $HEADWATER_SCALING_INSTANCES"\n'
)
KINDS = ("onInstanceAdd", "onInstanceRemove", "preScale", "postScale")
HOOKED = {"deploy": "deploy.sh"} | {kind: TELLS.format(kind) for kind in KINDS}


def hooked(component: Table | None = None, **spec: Any) -> dict[str, str]:
    return system(component={"recipes": HOOKED, **(component or {})}, **spec)


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def told(program: Program, instance: str) -> list[str]:
    """What the hooks of the instance's machines printed, oldest first, also of those that went."""
    files = (program.state / "logs" / "box" / instance).glob("*.log")
    return [
        line
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)
        for line in file.read_text().splitlines()
    ]


def until_told(program: Program, instance: str, *lines: str) -> None:
    wait_until(lambda: len(told(program, instance)) >= len(lines), f"{instance} is told {lines}")
    assert told(program, instance) == list(lines)


def test_survivors_are_told_of_who_comes_and_goes(program: Program):
    begin(program, hooked(replicas=2))
    program.until_ready("box")
    assert told(program, "one.1") == []

    program.repository.commit(hooked(replicas=3))
    program.until_ready("box")
    came = "onInstanceAdd add one one.3"
    for instance in ("one.1", "one.2"):
        until_told(program, instance, came)

    program.repository.commit(hooked(replicas=2))
    program.until_ready("box")
    for instance in ("one.1", "one.2"):
        until_told(program, instance, came, "onInstanceRemove remove one one.3")
    assert told(program, "one.3") == ["preScale remove one one.3"]


def test_a_replaced_machine_is_drained_before_it_goes_and_its_successor_takes_up(
    program: Program,
):
    begin(program, hooked())
    [old] = [i.machine for i in program.until_ready("box").instances]

    program.repository.commit(hooked({"size": {"cpus": 2}}))
    program.until_ready("box")

    until_told(program, "one.1", "preScale replace one one.1", "postScale replace one one.1")
    [new] = program.machines()
    assert new != old


def test_a_removed_deployment_is_drained(program: Program):
    begin(program, hooked(replicas=2) | nothing())
    program.until_ready("box")

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")

    for instance in ("one.1", "one.2"):
        assert told(program, instance) == [f"preScale remove one {instance}"]


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


def test_hooks_reach_across_clouds(program: Program):
    second = resource("Cloud", "there", {"driver": "local", "options": {"level": program.level}})
    image = {"platform": "debian", "ids": {"local": "host", "there": "host"}}
    files = {
        "clouds/there.toml": document(second),
        "images/host.toml": document(resource("Image", "host", image)),
    }
    begin(program, hooked(replicas=2, node={"spread": {"local": 1, "there": 1}}) | files)
    program.until_ready("box")

    program.repository.commit(hooked(replicas=3, node={"spread": {"local": 1, "there": 2}}))
    program.until_ready("box")

    for instance in ("one.1", "one.2"):
        until_told(program, instance, "onInstanceAdd add one one.3")
