"""Reports of real machines: from every exit, whole, and there when their deployment is gone."""

import json
import tarfile
from pathlib import Path
from typing import Any

from e2e.program import Program
from e2e.systems import RUNS, document, nothing, resource, site, system
from local_cloud import wait_until

REPORT = (
    '#!/bin/sh -e\necho report >>"$HOME/reports"\ncp "$HOME/runs" "$HEADWATER_REPORT_DIR/runs"\n'
)
BLOCKS = RUNS + 'until [ -e "$HOME/go" ]; do sleep 0.05; done\n'


def reporting(deploy: str = RUNS, report: str = REPORT, **spec: Any) -> dict[str, str]:
    recipes = {"deploy": "deploy.sh", "report": report}
    return system(deploy, component={"recipes": recipes}, **spec)


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


def listed(program: Program, name: str = "box") -> list[dict[str, Any]]:
    return json.loads(program.said("reports", name, "--output", "json"))  # type: ignore[no-any-return]


def places(program: Program) -> list[tuple[int, str]]:
    return [(view["run"], view["instance"]) for view in listed(program)]


def content(file: Path) -> dict[str, bytes]:
    """The regular files in an archive, by their last names."""
    with tarfile.open(file) as archive:
        members = [member for member in archive if member.isfile()]
        found = {m.name.rpartition("/")[2]: archive.extractfile(m) for m in members}
        return {name: file.read() for name, file in found.items() if file}


def test_a_report_comes_before_ready_and_is_fetched_whole(program: Program, tmp_path: Path):
    begin(program, reporting(replicas=2))
    status = program.until_ready("box")
    answer = program.repository.until_answered(program.repository.head, "headwater/box")

    assert (status.reports, status.awaited) == (2, 0)
    assert ", 2 reports in " in answer
    assert "2 reports of this run: headwater reports box" in program.said("status", "box")
    assert places(program) == [(1, "one.1"), (1, "one.2")]

    program.said("reports", "box", "--instance", "one.1", "--to", str(tmp_path / "fetched"))
    [file] = (tmp_path / "fetched").iterdir()
    assert file.name == listed(program)[0]["file"]
    assert file.stat().st_size == listed(program)[0]["size"]
    assert content(file)["runs"] == b"run\n"


def test_a_failed_run_is_answered_after_its_reports(program: Program, tmp_path: Path):
    begin(program, reporting(RUNS + "echo no license >&2\nexit 7\n"))
    status = program.until_stalled("box")
    answer = program.repository.until_answered(program.repository.head, "headwater/box")

    assert (status.phase.value, status.reports) == ("Aborted", 1)
    assert "no license" in answer
    assert "1 report" in answer
    program.said("reports", "box", "--get", "--to", str(tmp_path / "fetched"))
    [file] = (tmp_path / "fetched").iterdir()
    assert content(file)["runs"] == b"run\n"


def test_a_run_that_times_out_or_is_aborted_reports_what_it_has(program: Program):
    begin(program, reporting(BLOCKS, timeouts={"execute": "2s"}))
    assert program.until_stalled("box").reports == 1

    program.repository.commit(reporting(BLOCKS + "# longer\n"))
    program.until_running("box")
    program.said("abort", "box", "--reason", "enough")
    program.until_stalled("box")

    assert places(program) == [(1, "one.1"), (2, "one.1")]


def test_a_removed_deployment_reports_before_it_goes(program: Program, tmp_path: Path):
    begin(program, reporting() | nothing())
    program.until_ready("box")

    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.until_gone("box")

    assert places(program) == [(1, "one.1"), (2, "one.1")]
    program.said("reports", "box", "--get", "--to", str(tmp_path / "fetched"))
    [file] = (tmp_path / "fetched").iterdir()
    assert file.name == listed(program)[1]["file"]
    assert "no deployment 'bax'" in program.verb("reports", "bax").err


def test_a_removal_while_the_controller_is_away_reports_too(program: Program):
    begin(program, reporting() | nothing())
    program.until_ready("box")

    program.kill()
    program.repository.commit({"box/system.toml": None, "box/deploy.sh": None})
    program.start()
    program.until_gone("box")

    assert places(program) == [(1, "one.1"), (2, "one.1")]


def test_a_scale_down_reports_from_the_one_that_goes(program: Program):
    begin(program, reporting(replicas=2))
    program.until_ready("box")

    program.repository.commit(reporting(replicas=1))
    program.until_ready("box")

    assert places(program) == [(1, "one.1"), (1, "one.2"), (2, "one.2")]


def test_a_report_that_fails_fails_nothing_and_brings_what_there_is(program: Program):
    begin(program, reporting(report=REPORT + "echo disk is full >&2\nexit 3\n"))
    status = program.until_ready("box")

    assert status.instances[0].message == "report exited with 3: disk is full"
    assert places(program) == [(1, "one.1")]
    told = [o for o in status.outcomes if o.action == "report"]
    assert [(o.succeeded, o.message) for o in told] == [
        (False, "report exited with 3: disk is full")
    ]


def test_a_report_that_outlives_its_controller_happens_once(program: Program):
    waits = REPORT + 'until [ -e "$HOME/go" ]; do sleep 0.05; done\n'
    begin(program, reporting(report=waits))
    awaited = program.until(
        lambda status: next((d for d in status.deployments if d.awaited), None),
        "a report is awaited",
    )
    home = program.layout.home(awaited.instances[0].machine)
    wait_until((home / "reports").exists, "the report begins")

    program.kill()
    (home / "go").touch()
    program.start()
    program.until_ready("box")

    assert (home / "reports").read_text() == "report\n"
    assert (home / "runs").read_text() == "run\n"
    assert places(program) == [(1, "one.1")]


def test_what_a_report_prints_does_not_hide_what_the_recipe_printed(program: Program):
    begin(program, reporting(RUNS + "echo deployed\n", report=REPORT + "echo reported\n"))
    program.until_ready("box")

    assert program.said("logs", "box", "one.1") == "deployed\nreported\n"


def test_a_hanging_report_is_stopped_at_its_timeout(program: Program):
    hangs = reporting(report=REPORT + "sleep 1000\n", timeouts={"report": "2s"})
    begin(program, hangs)
    status = program.until_ready("box")

    assert status.instances[0].message.startswith("report ran into its timeout and was stopped")
    assert places(program) == [(1, "one.1")]


def test_a_component_without_a_report_recipe_sends_none(program: Program):
    begin(program, system())
    assert program.until_ready("box").reports == 0
    assert program.verb("reports", "box").err == "box has no reports\n"


def test_reports_go_to_a_directory_that_an_object_store_driver_keeps(program: Program):
    """The `local` driver of libcloud: no network, and the same code as for S3."""
    root = program.state.parent / "objects"
    (root / "ci").mkdir(parents=True)
    table = f'reports = {{ driver = "local", container = "ci", options = {{ key = "{root}" }} }}\n'
    (program.repository.path / "headwater.toml").write_text(table)
    program.repository.write({".gitignore": "headwater.toml\n"})
    begin(program, reporting())
    program.until_ready("box")

    def stored() -> list[Path]:
        return [path for path in (root / "ci").rglob("*.tgz") if path.is_file()]

    wait_until(stored, "the report is in the store")
    [file] = stored()
    assert file.relative_to(root / "ci").parts[:2] == ("box", "1")
    program.said("reports", "box", "--to", str(root / "fetched"))
    assert content(root / "fetched" / file.name)["runs"] == b"run\n"


def test_two_nodes_report_under_their_own_names(program: Program):
    kinds = [
        resource(
            "Component", name, {"image": "host", "recipes": {"deploy": RUNS, "report": REPORT}}
        )
        for name in ("first", "second")
    ]
    nodes = {name: {"component": name} for name in ("first", "second")}
    both = resource("Deployment", "pair", {"cloud": "local", "nodes": nodes})
    begin(program, {"pair.toml": document(*kinds, both)})
    program.until_ready("pair")

    files = [view["file"] for view in listed(program, "pair")]
    assert [file.partition("_report_")[0] for file in sorted(files)] == ["first.1", "second.1"]
