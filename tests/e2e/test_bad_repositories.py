"""A repository that vanishes, is rewritten or is full of mistakes: what runs goes on."""

from e2e.program import Program
from e2e.systems import RUNS, site, system
from headwater.planning.status import ControllerStatus

OFTEN = {"HEADWATER_INTERVAL": "0.5s"}


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start(**OFTEN)


def trouble(status: ControllerStatus) -> str:
    return status.source_error


def test_a_repository_that_vanishes_changes_nothing_until_it_is_back(program: Program):
    begin(program, system())
    program.until_ready("box")
    before = program.machines()
    aside = program.repository.path.with_name("aside")

    program.repository.path.rename(aside)
    said = program.until(trouble, "the loss is noticed")
    aside.rename(program.repository.path)
    program.repository.commit(system(RUNS + "# changed\n"))
    program.until_ready("box")

    assert "vanished" in said or "no such directory" in said
    assert str(program.repository.path) in said
    assert program.status().source_error == ""
    assert program.machines() == before


def test_a_rewritten_branch_is_refused_until_somebody_accepts_it(program: Program):
    begin(program, system())
    program.until_ready("box")
    accepted = program.repository.head

    rewritten = program.repository.commit(system(RUNS + "# changed\n"), "--amend")
    said = program.until(trouble, "the rewrite is noticed")

    assert f"force-pushed: {accepted[:10]} is no longer in branch 'main'" in said
    assert "--allow-rewind" in said
    assert program.status().revision == accepted
    assert program.deployment("box").is_ready

    assert program.stop() == 0
    program.start(**OFTEN)
    assert "force-pushed" in program.until(trouble, "it is refused by the next controller, too")
    assert program.stop() == 0
    program.start("--allow-rewind", **OFTEN)
    program.until_ready("box", rewritten)

    assert (program.home("box", "one.1") / "runs").read_text() == "run\nrun\n"


def test_a_broken_manifest_stays_as_it_is_while_everything_else_goes_on(program: Program):
    begin(program, system(name="broken") | system(name="good"))
    program.until_ready("broken")
    program.until_ready("good")
    before = program.machines()

    changed = system(RUNS + "# changed\n", name="good")
    manifest = system(name="broken")["broken/system.toml"].replace("replicas", "replica")
    revision = program.repository.commit(changed | {"broken/system.toml": manifest})
    program.until_ready("good")
    status = program.until_stalled("broken")

    [said] = status.diagnostics
    assert said.startswith("broken/system.toml:")
    assert "replica" in said
    assert "replicas" in said
    assert program.status().diagnostics == (said,)
    assert program.machines() == before
    assert program.repository.until_answered(revision, "headwater/broken").startswith("failure")
    assert program.repository.until_answered(revision).startswith("failure - 1/2 deployments ready")

    program.repository.commit(system(name="broken"))
    program.until_ready("broken")
    assert program.machines() == before


def test_a_file_that_cannot_be_read_as_toml_removes_nothing(program: Program):
    begin(program, system() | system(name="other"))
    program.until_ready("box")
    program.until_ready("other")
    before = program.machines()

    revision = program.repository.commit({"box/system.toml": "this is = = not TOML\n"})
    answer = program.repository.until_answered(revision)

    assert answer.startswith("failure - 2/2 deployments ready; box/system.toml:1:6: not valid TOML")
    assert program.status().diagnostics[0].startswith("box/system.toml:1:6: not valid TOML")
    assert [d.is_ready for d in program.status().deployments] == [True, True]
    assert program.verb("wait").code == 1
    assert program.machines() == before


def test_a_component_that_breaks_holds_its_users_as_they_are(program: Program):
    begin(program, system())
    program.until_ready("box")
    before = program.machines()

    revision = program.repository.commit({"box/deploy.sh": None})
    status = program.until_stalled("box")

    assert any("no file 'box/deploy.sh' for this recipe" in d for d in program.status().diagnostics)
    assert "component 'box' is broken (see box/system.toml)" in status.diagnostics[0]
    assert status.diagnostics[0] in program.repository.until_answered(revision, "headwater/box")
    assert program.machines() == before


def test_a_repository_without_a_commit_is_waited_for(program: Program):
    program.start(**OFTEN)
    said = program.until(trouble, "the empty repository is told")
    assert "no commit yet" in said

    program.repository.commit(site(program.level) | system())

    program.until_ready("box")
