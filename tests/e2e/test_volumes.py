"""What is on a volume outlives machines, and the deployment where it is retained."""

from e2e.program import Program
from e2e.systems import Table, document, nothing, resource, site, system

WRITES = '#!/bin/sh -e\necho "on $(ss-get instanceId)" >>"$HEADWATER_ROOT/data/log"\n'
SHOWS = WRITES + 'ss-set log "$(tr "\\n" "," <"$HEADWATER_ROOT/data/log")"\n'
STORE = {"name": "store", "size": "1GiB", "mountPath": "/data", "retain": True}
IMAGE = resource("Image", "later", {"platform": "debian", "ids": {"local": "host-2"}})


def box(image: str = "host") -> dict[str, str]:
    component: Table = {
        "image": image,
        "outputs": {"log": {}},
        "volumes": [STORE, {**STORE, "name": "scratch", "mountPath": "/scratch", "retain": False}],
    }
    return system(SHOWS, component=component)


def log(program: Program) -> str:
    return program.parameters("box")["one.1"]["log"] or ""


def machine(program: Program) -> str:
    return program.instances("box")["one.1"].machine


def test_a_file_outlives_its_machine_and_a_retained_volume_its_deployment(program: Program):
    files = site(program.level) | {"images/later.toml": document(IMAGE)} | nothing()
    program.repository.commit(files | box())
    shown = program.verb("plan").out
    assert "+ one.1  volume store, 1 GiB on local" in shown
    program.start()
    program.until_ready("box")
    first = machine(program)
    made = {volume["name"]: id for id, volume in program.volumes().items()}
    assert log(program) == f"on {first},"
    assert set(made) == {"box-one-1-store", "box-one-1-scratch"}

    program.repository.commit(box(image="later"))
    program.until_ready("box")
    second = machine(program)
    assert first != second
    assert log(program) == f"on {first},on {second},"

    program.repository.git("rm", "-qr", "box")
    shown = program.verb("plan", "--worktree").out
    assert f"- one.1  volume scratch ({made['box-one-1-scratch']}, 1 GiB)" in shown
    assert "volume store" not in shown
    program.repository.commit({})
    program.until_gone("box")
    assert program.machines() == {}
    assert list(program.volumes()) == [made["box-one-1-store"]]
    counted = program.until(
        lambda status: [(v.state, v.number) for c in status.clouds for v in c.volumes],
        "the volume is counted",
    )
    assert counted == [("available", 1)]

    program.repository.commit(box())
    program.until_ready("box")
    assert log(program) == f"on {first},on {second},on {machine(program)},"
    rows = {row.volume: row for row in program.deployment("box").volumes}
    assert rows["one.1/store"].id == made["box-one-1-store"]
    assert rows["one.1/scratch"].id != made["box-one-1-scratch"]
