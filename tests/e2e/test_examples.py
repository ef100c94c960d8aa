"""Every example converges, stays so, and follows what is committed."""

import pytest

from e2e.program import Program
from e2e.systems import example

EXAMPLES = {"hello-world": 2, "mission-control": 3, "gpod-cluster": 5}
MANIFEST = "{name}/deployment.toml"


def begin(program: Program, name: str) -> None:
    """The example, with few workers where it has many, is Ready."""
    files = example(name, program.level)
    manifest = MANIFEST.format(name=name)
    files[manifest] = files[manifest].replace("replicas = 30", "replicas = 4")
    program.repository.commit(files)
    program.start()
    program.until_ready(name)


@pytest.mark.parametrize(("name", "machines"), EXAMPLES.items())
def test_an_example_converges_stays_so_and_goes_without_a_trace(
    program: Program, name: str, machines: int
):
    begin(program, name)
    created = program.machines()

    plan = program.verb("plan", "--repo", ".")

    assert (plan.code, plan.err) == (0, "")
    assert len(created) == machines
    assert {m["state"] for m in created.values()} == {"running"}
    assert len(program.events("context.ended")) == machines

    program.repository.git("rm", "-qr", name)
    removed = program.repository.commit({})
    program.until_gone(name)

    assert program.machines() == {}
    assert not program.layout.machines.exists() or not list(program.layout.machines.iterdir())
    assert program.repository.until_answered(removed, f"headwater/{name}") == "success - removed"
