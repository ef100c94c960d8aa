"""A node over two clouds, and one that may lose some: as a commit makes them, grow and move."""

from e2e.program import Program
from e2e.systems import RUNS, document, nothing, resource, system

FAILS_ON_TWO = '#!/bin/sh -e\n[ "$HEADWATER_INDEX" != 2 ] || { echo no space left >&2; exit 7; }\n'
MANIFEST = "box/system.toml"


def two_clouds(level: str, recipe: str = RUNS, **node: object) -> dict[str, str]:
    """Both are embedded ones, on this host."""
    driver = {"driver": "local", "options": {"level": level}}
    clouds = document(*(resource("Cloud", name, driver) for name in ("geneva", "paris")))
    return {**system(recipe, node=node), **nothing(), "clouds.toml": clouds}


def where(program: Program) -> dict[str, str]:
    return {i.instance: i.cloud for i in program.deployment("box").instances}


def machines(program: Program) -> dict[str, str]:
    return {i.instance: i.machine for i in program.deployment("box").instances}


def spread(program: Program, **clouds: int) -> None:
    """Commit it, and wait until it is so."""
    total = sum(clouds.values())
    program.repository.commit(two_clouds(program.level, replicas=total, spread=clouds))
    program.until_ready("box")


def test_a_node_is_spread_over_two_clouds_grows_and_moves_instance_by_instance(program: Program):
    program.repository.commit(
        two_clouds(program.level, replicas=3, spread={"geneva": 2, "paris": 1})
    )
    program.start()
    program.until_ready("box")
    three, first = where(program), machines(program)

    spread(program, geneva=3, paris=1)
    four, grown = where(program), machines(program)
    spread(program, geneva=2, paris=2)
    moved, after = where(program), machines(program)
    spread(program, geneva=2, paris=1)

    assert three == {"one.1": "geneva", "one.2": "geneva", "one.3": "paris"}
    assert four == {**three, "one.4": "geneva"}
    assert first.items() <= grown.items()
    assert sorted(moved.values()) == ["geneva", "geneva", "paris", "paris"]
    assert len({i for i in after if after[i] != grown[i]}) == 1
    assert len(where(program)) == 3
    assert set(program.machines()) == set(machines(program).values())
    assert [c.machines for c in program.status().clouds if c.name in {"geneva", "paris"}] == [2, 1]


def test_a_node_does_without_a_failed_instance_and_a_retry_brings_it_back(program: Program):
    files = two_clouds(program.level, FAILS_ON_TWO, replicas=3, cloud="geneva", tolerateFailures=1)
    revision = program.repository.commit(files)
    program.start()
    status = program.until_ready("box")

    ready = status.condition("Ready")
    words = "without one.2 (deploy exited with 7: no space left)"
    assert (status.ready, status.desired, status.failed) == (2, 3, 1)
    assert ready is not None
    assert ready.message == words
    answer = program.repository.until_answered(revision, "headwater/box")
    assert answer.startswith("success - Ready: 2/3 ready, 1 failed")
    assert words in answer

    program.repository.commit({"box/deploy.sh": RUNS})
    mended = program.until_ready("box")

    assert (mended.ready, mended.failed) == (3, 0)
