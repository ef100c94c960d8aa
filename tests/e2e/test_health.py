"""A system whose servers are asked whether they serve."""

from pathlib import Path

from e2e.program import Program
from e2e.systems import Table, site, system
from headwater.planning.status import ControllerStatus, DeploymentStatus

SERVES = """#!/bin/sh -e
echo run >>"$HOME/runs"
rm -f "$HOME/die"
HOST=$(ss-get hostname)
mkdir -p "$HOME/www"
(
    python3 -m http.server 8080 --bind "$HOST" --directory "$HOME/www" &
    until [ -e "$HOME/die" ]; do sleep 0.05; done
    kill $!
    wait
    rm "$HOME/die"
) </dev/null >/dev/null 2>&1 &
"""
STOPS = """#!/bin/sh -e
echo run >>"$HOME/runs"
touch "$HOME/die"
"""
"""What it brings ends the server, and starts none."""
HEALTH = {"http": {"port": 8080}, "interval": "1s", "failures": 2}


def web(recipe: str = SERVES, *, replicas: int = 2, update: Table | None = None) -> dict[str, str]:
    component, timeouts = {"health": HEALTH}, {"execute": "10s"}
    if update is None:
        return system(recipe, replicas=replicas, component=component)
    return system(recipe, replicas=replicas, component=component, timeouts=timeouts, update=update)


def begin(program: Program, files: dict[str, str]) -> DeploymentStatus:
    program.repository.commit(site(program.level) | files)
    program.start()
    return program.until_ready("box")


def runs(home: Path) -> int:
    return (home / "runs").read_text().count("run\n")


def homes(program: Program, status: DeploymentStatus) -> list[Path]:
    return [program.layout.home(i.machine) for i in status.instances]


def test_a_machine_whose_server_dies_is_replaced(program: Program):
    before = begin(program, web())
    (homes(program, before)[1] / "die").touch()

    def healed(status: ControllerStatus) -> DeploymentStatus | None:
        found = next(d for d in status.deployments if d.name == "box")
        return found if found.is_ready and found.instances[1].incarnation > 1 else None

    after = program.until(healed, "a new machine serves")

    assert [i.incarnation for i in after.instances] == [1, 2]
    assert after.instances[0].machine == before.instances[0].machine
    assert set(program.machines()) == {i.machine for i in after.instances}
    assert [runs(home) for home in homes(program, after)] == [1, 1]
    reasons = [e["reason"] for e in program.events("action.ended") if e["action"] == "terminate"]
    assert len(reasons) == 1
    assert reasons[0].startswith("unhealthy: ")
    assert reasons[0].endswith(":8080: Connection refused")
    healthy = after.condition("Healthy")
    assert healthy is not None
    assert healthy.status


def test_a_version_that_never_gets_healthy_is_rolled_back_before_it_touches_the_rest(
    program: Program,
):
    careful = {"maxUnavailable": 1, "maxSurge": 0, "onFailure": "rollback"}
    before = begin(program, web(update=careful))
    program.repository.commit(web(STOPS, update=careful))

    def rolled_back(status: ControllerStatus) -> DeploymentStatus | None:
        found = next(d for d in status.deployments if d.name == "box")
        stalled = found.condition("Stalled")
        return found if stalled and stalled.reason == "RolledBack" else None

    after = program.until(rolled_back, "the last good revision serves again")

    stalled = after.condition("Stalled")
    assert stalled is not None
    assert stalled.message.startswith("one.1: not healthy within 10 s: ")
    assert [i.state for i in after.instances] == ["ready", "ready"]
    assert [i.machine for i in after.instances] == [i.machine for i in before.instances]
    assert [runs(home) for home in homes(program, after)] == [3, 1]


def test_most_of_a_system_unhealthy_at_once_waits_for_a_person(program: Program):
    before = begin(program, web(replicas=3))
    for home in homes(program, before):
        (home / "die").touch()
    blocked = program.until_stalled("box").blocked

    assert "of 3 instances are unhealthy at once" in blocked
    # The first to be found out may have been replaced before the others were.
    left = {i.machine for i in before.instances} & set(program.machines())
    assert len(left) >= 2

    def approved(status: ControllerStatus) -> DeploymentStatus | None:
        found = next(d for d in status.deployments if d.name == "box")
        healed = all(i.incarnation > 1 for i in found.instances)
        return found if found.is_ready and healed else None

    assert program.verb("approve", blocked.split("`")[1].split()[-1]).code == 0
    program.until(approved, "all are replaced")
