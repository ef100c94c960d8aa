"""What a commit would take away by surprise is held back until somebody says so."""

import re

from e2e.program import Program
from e2e.systems import RUNS, site, system
from headwater.planning.status import ControllerStatus


def blocked(status: ControllerStatus) -> str:
    """The digest to approve, of whatever is held back."""
    said = [c.message for d in status.deployments for c in d.conditions if c.status or c.message]
    found = re.search(r"headwater approve ([0-9a-f]+)", " ".join(said))
    return found[1] if found else ""


def test_a_repository_that_lost_every_manifest_loses_no_machine_without_an_approval(
    program: Program,
):
    program.repository.commit(site(program.level) | system(replicas=2))
    program.start()
    program.until_ready("box")
    before = program.machines()

    program.repository.git("rm", "-qr", "box")
    removed = program.repository.commit({})
    digest = program.until(blocked, "the removal is held back")

    assert program.machines() == before
    assert digest in program.verb("plan", "--repo", ".").out
    approving = f"Good bye\n\nHeadwater-Approve: {digest}"
    program.repository.git("checkout", "-qb", "proposal")
    program.repository.git("commit", "--quiet", "--allow-empty", "--message", approving)
    proposed = program.verb("plan", "--repo", ".", "--revision", "proposal").out
    assert "waits for" not in proposed
    assert proposed.count("no longer in the repository") == 2
    program.repository.git("checkout", "-q", "main")
    program.kill()
    program.start()
    assert program.until(blocked, "it is held back by the next controller, too") == digest

    program.said("approve", digest)
    program.until_gone("box")

    assert program.machines() == {}
    assert program.repository.until_answered(removed, "headwater/box") == "success - removed"


def test_a_suspended_deployment_is_left_alone_until_it_is_resumed(program: Program):
    program.repository.commit(site(program.level) | system() | system(name="other"))
    program.start()
    program.until_ready("box")
    home = program.home("box", "one.1")

    program.said("suspend", "box", "--reason", "an audit")
    changed = RUNS + "# changed\n"
    program.repository.commit(system(changed) | system(changed, name="other"))
    program.until_ready("other")

    assert (home / "runs").read_text() == "run\n"
    assert "an audit" in program.said("status", "box")
    assert "suspended: an audit" in program.said("plan", "box", "--repo", ".")

    program.said("resume", "box")
    program.until_ready("box")

    assert (home / "runs").read_text() == "run\nrun\n"
