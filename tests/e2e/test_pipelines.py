"""`headwater test`: what a pipeline calls, with a controller that runs and without one."""

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from e2e.program import DEADLINE, HEADWATER, Ended, Program
from e2e.systems import EXAMPLES, example, site, system
from local_cloud import wait_until

SAYS = '#!/bin/sh\necho "hello from $HEADWATER_INSTANCE"\n'
FAILS = "#!/bin/sh\necho no luck >&2\nexit 7\n"
HANGS = "#!/bin/sh\necho begun\nsleep 3600\n"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where private controllers have their state: short, as sockets' names must be."""
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        yield Path(folder)


def a_test(recipe: str = SAYS, **spec: Any) -> dict[str, str]:
    return system(recipe, lifecycle="test", **spec)


def commit(program: Program, files: dict[str, str]) -> str:
    return program.repository.commit(site(program.level) | files)


def alone(program: Program, scratch: Path, *arguments: str) -> Ended:
    """In private; nothing of it is left."""
    ended = program.verb("test", *arguments, TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == [], ended
    assert not program.machines()
    return ended


class TestInPrivate:
    @pytest.mark.parametrize(
        ("recipe", "code", "said"),
        [
            (SAYS, 0, "box: Passed: 2 instances"),
            (FAILS, 1, "deploy exited with 7: no luck"),
            (HANGS, 3, "box: not over after 20 s"),
        ],
        ids=["passes", "fails", "hangs"],
    )
    def test_the_exit_code_tells_what_came_of_it(self, program, scratch, recipe, code, said):
        commit(program, a_test(recipe, replicas=2) | system(name="other"))

        ended = alone(program, scratch, "box", "--timeout", "20s")

        assert (ended.code, said in ended.err) == (code, True), ended
        assert not program.repository.answers(program.repository.head)

    def test_what_recipes_print_is_shown_once(self, program: Program, scratch: Path):
        commit(program, a_test(replicas=2))

        ended = alone(program, scratch, "box")

        assert sorted(ended.out.splitlines()) == [
            "one.1 | hello from one.1",
            "one.2 | hello from one.2",
        ]

    def test_a_service_that_becomes_ready_has_passed_and_is_torn_down(
        self, program: Program, scratch: Path
    ):
        commit(program, system())

        assert alone(program, scratch, "box").code == 0

    def test_it_is_the_commit_that_is_tested_or_another_one(self, program: Program, scratch: Path):
        first = commit(program, a_test(FAILS))
        program.repository.commit(a_test(SAYS))
        program.repository.write({"box/deploy.sh": FAILS})

        assert alone(program, scratch, "box").code == 0
        assert alone(program, scratch, "box", "--revision", first).code == 1

    def test_what_cannot_be_run_is_told_from_what_fails(self, program: Program, scratch: Path):
        commit(
            program,
            a_test() | {"wrong/system.toml": system(name="wrong", x=1)["wrong/system.toml"]},
        )

        absent = alone(program, scratch, "boxx")
        wrong = alone(program, scratch, "wrong")
        nowhere = alone(program, scratch, "box", "--revision", "nowhere")

        assert [absent.code, wrong.code, nowhere.code] == [2, 2, 2]
        assert "did you mean 'box'" in absent.err
        assert "wrong/system.toml:" in wrong.err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_takes_everything_away(
        self, program: Program, scratch: Path, number: signal.Signals, monkeypatch
    ):
        monkeypatch.setenv("TMPDIR", str(scratch))
        commit(program, a_test(HANGS))
        child = program.begin("test", "box")
        assert child.stdout is not None
        assert child.stdout.readline() == "one.1 | begun\n"

        child.send_signal(number)
        _, err = child.communicate(timeout=DEADLINE)

        assert (child.returncode, "Traceback" in err) == (130, False), err
        assert list(scratch.iterdir()) == []


class TestWithAController:
    def begun(self, program: Program, files: dict[str, str]) -> str:
        revision = commit(program, files)
        program.start()
        return revision

    def test_the_run_of_the_commit_is_joined_and_the_next_is_a_new_one(self, program: Program):
        revision = self.begun(program, a_test())

        first = program.verb("test", "box", "--revision", revision)
        again = program.verb("test", "box", "--revision", revision)

        assert [first.code, again.code] == [0, 0], (first, again)
        assert "hello from one.1" in first.out
        assert again.out == "one.1 | hello from one.1\n"
        listed = json.loads(program.said("runs", "box", "--output", "json"))
        assert [run["result"] for run in listed][-2:] == ["success", "success"]

    def test_a_failure_is_one_and_what_cannot_run_is_two(self, program: Program):
        self.begun(program, a_test(FAILS))

        assert program.verb("test", "box").code == 1
        assert program.verb("test", "bocks").code == 2
        assert program.verb("test", "box", "--revision", "main").code == 2

    def test_a_run_begun_here_ends_when_nobody_waits_for_it_any_more(self, program: Program):
        self.begun(program, a_test(FAILS))
        assert program.verb("test", "box").code == 1
        program.repository.commit(a_test(HANGS))
        revision = program.repository.head
        program.until_running("box")
        program.said("abort", "box")
        wait_until(lambda: not program.machines(), "its machines are gone")

        ended = program.verb("test", "box", "--revision", revision, "--timeout", "10s")

        assert ended.code == 3, ended
        assert not program.machines()
        assert "gave up" in program.deployment("box").reason


def test_the_example_pipeline_s_own_command_passes(program: Program, scratch: Path):
    pipeline = (EXAMPLES / ".gitlab-ci.yml").read_text()
    (command,) = re.findall(r"^    - (headwater test .*)$", pipeline, re.MULTILINE)
    revision = program.repository.commit(example("mission-control", program.level))

    ended = subprocess.run(
        ["sh", "-ec", command],
        cwd=program.repository.path,
        env={
            **program.environment,
            "PATH": f"{Path(HEADWATER).parent}:{os.environ['PATH']}",
            "TMPDIR": str(scratch),
            "CI_COMMIT_SHA": revision,
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=2 * DEADLINE,
    )

    assert ended.returncode == 0, ended
    suites = ET.parse(program.repository.path / "junit.xml").getroot()  # noqa: S314  # our own
    machines = [f"mission-control-test/{node}.1" for node in ("backup", "client", "prime")]
    assert sorted(suite.get("name", "") for suite in suites) == sorted(
        [*machines, *(f"{machine}: mission control" for machine in machines)]
    )
    assert {suite.get("failures") for suite in suites} == {"0"}
    assert len(list((program.repository.path / "reports").iterdir())) == 3
    assert list(scratch.iterdir()) == []


LEAVES = """#!/bin/sh -e
cat >"$HEADWATER_REPORT_DIR/curl.xml" <<'XML'
<testsuite name="curl" tests="1"><testcase name="page"/></testsuite>
XML
echo '<testsuite>' >"$HEADWATER_REPORT_DIR/broken.xml"
"""


def test_reports_are_fetched_and_what_recipes_left_in_them_is_in_the_junit_file(
    program: Program, scratch: Path
):
    kind = {"recipes": {"deploy": "deploy.sh", "report": "report.sh"}}
    commit(program, a_test(FAILS, component=kind) | {"box/report.sh": LEAVES})

    ended = alone(program, scratch, "box", "--reports", "out/reports", "--junit", "out/junit.xml")

    out = program.repository.path / "out"
    suites = ET.parse(out / "junit.xml").getroot()  # noqa: S314  # our own
    assert ended.code == 1, ended
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [
        ("box/one.1", "1"),
        ("box/one.1: curl", None),
        ("box/one.1: unreadable results", "1"),
    ]
    (report,) = (out / "reports").iterdir()
    assert report.name.startswith("one.1_report_")
    assert report.name.endswith(".tgz")
