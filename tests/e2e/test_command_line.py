"""The verbs, as scripts and people use them on a running controller."""

import json
import signal
from urllib.request import ProxyHandler, build_opener

import pytest

from e2e.program import DEADLINE, Program
from e2e.systems import RUNS, site, system
from headwater.store.lock import holder_of
from local_cloud import wait_until

SAYS = '#!/bin/sh\necho "hello from $HEADWATER_INSTANCE"\n'
WAITS = RUNS + 'until [ -e "$HOME/go" ]; do sleep 0.05; done\necho the end\n'
FAILS = "#!/bin/sh\nexit 7\n"


def begin(program: Program, files: dict[str, str]) -> None:
    program.repository.commit(site(program.level) | files)
    program.start()


@pytest.mark.parametrize(
    ("recipe", "limit", "code"),
    [(RUNS, "60s", 0), (FAILS, "60s", 1), (WAITS, "2s", 3)],
    ids=["ready", "failed", "late"],
)
def test_until_ready_ends_with_what_became_of_it(
    program: Program, recipe: str, limit: str, code: int
):
    program.repository.commit(site(program.level) | system(recipe))

    ended = program.run("--until-ready", "--timeout", limit)

    assert ended.code == code, ended.err


def test_once_takes_one_step_at_a_time_until_nothing_is_left(program: Program):
    program.repository.commit(site(program.level) | system())

    first = program.run("--once")
    machines = program.machines()

    assert first.code == 0, first.err
    assert [machine["name"] for machine in machines.values()] == ["box-one-1"]

    assert program.run("--until-ready").code == 0
    last = program.run("--once")
    assert last.code == 0
    assert "action.ended" not in last.err
    assert program.machines() == machines


def test_once_tells_by_its_exit_code_that_a_manifest_is_wrong(program: Program):
    program.repository.commit(site(program.level) | {"box.toml": 'kind = "Deployment"\n'})

    assert program.run("--once").code == 1


def test_plan_tells_changes_from_none_and_from_mistakes_for_any_revision(program: Program):
    begin(program, system(replicas=2))
    program.until_ready("box")
    program.repository.git("branch", "before")
    git = program.repository.git

    git("checkout", "-q", "-b", "bigger")
    program.repository.commit(system(replicas=3))
    git("checkout", "-q", "main")
    program.repository.write({"box/system.toml": "wrong"})

    def plan(*arguments: str) -> int:
        return program.verb("plan", "--repo", ".", *arguments).code

    assert plan() == plan("--revision", "before") == plan("--revision", program.repository.head)
    assert plan() == 0
    assert plan("--revision", "bigger") == 2
    assert plan("--worktree") == 1
    assert plan("--revision", "nowhere") == 1
    assert plan("box", "--revision", "bigger") == 2
    assert plan("nothing") == 1
    program.repository.git("checkout", "-q", "--", ".")
    assert len(program.machines()) == 2


def test_plan_is_written_for_people_for_reviews_and_for_programs(program: Program):
    begin(program, system(replicas=2))
    program.until_ready("box")
    machine = program.instances("box")["one.2"].machine
    files = system(RUNS + "# changed\n", replicas=1) | system(name="new")
    program.repository.write(files)

    def shown(output: str) -> str:
        return program.verb("plan", "--repo", ".", "--worktree", "--output", output).out

    text, markdown, document = shown("text"), shown("markdown"), json.loads(shown("json"))

    assert "  ~ one.1  run deploy  # recipe or inputs changed" in text
    assert f"  - one.2  {machine}  # one has 1 instances now" in text
    assert "  + one.1  host on local  # new" in text
    assert "Plan: +1 ~1 ±0 -1" in text
    assert "| `-` | one.2 |" in markdown
    assert document["counts"] == {"create": 1, "change": 1, "replace": 0, "delete": 1}
    assert [d["name"] for d in document["deployments"]] == ["box", "new"]
    assert document["errors"] == []


@pytest.mark.parametrize(
    ("recipe", "limit", "code"),
    [(RUNS, "60s", 0), (FAILS, "60s", 1), (WAITS, "1s", 3)],
    ids=["ready", "failed", "late"],
)
def test_wait_ends_with_what_became_of_it(program: Program, recipe: str, limit: str, code: int):
    begin(program, system(recipe))

    assert program.verb("wait", "box", "--timeout", limit).code == code


def test_wait_refuses_a_name_that_is_not_there(program: Program):
    begin(program, system())
    program.until_ready("box")

    ended = program.verb("wait", "bocks", "--timeout", "20s")

    assert (ended.code, ended.out) == (1, "")
    assert "no such deployment" in ended.err


def test_logs_are_shown_per_instance_and_together(program: Program):
    begin(program, system(SAYS, replicas=2))
    program.until_ready("box")

    assert program.said("logs", "box", "one.2") == "hello from one.2\n"
    together = program.said("logs", "box").splitlines()
    assert sorted(together) == ["one.1 | hello from one.1", "one.2 | hello from one.2"]


def test_followed_logs_go_on_with_the_recipe_and_end_with_the_controller(program: Program):
    begin(program, system(RUNS + "echo begun\n" + WAITS))
    home = program.layout.home(program.until_running("box").machine)
    following = program.begin("logs", "box", "one.1", "--follow")
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"

    (home / "go").touch()
    assert following.stdout.readline() == "the end\n"
    program.stop()

    assert following.wait(DEADLINE) == 0


def test_followed_logs_end_quietly_on_an_interrupt(program: Program):
    begin(program, system(SAYS))
    program.until_ready("box")
    following = program.begin("logs", "box", "one.1", "--follow")
    assert following.stdout is not None
    assert following.stdout.readline() == "hello from one.1\n"

    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=DEADLINE)

    assert following.returncode == 130
    assert "Traceback" not in err


def test_a_command_runs_on_a_machine_and_its_exit_code_comes_back(program: Program):
    begin(program, system(replicas=2))
    program.until_ready("box")

    assert program.said("ssh", "box", "one.2", "--", "cat ~/runs") == "run\n"
    assert program.verb("ssh", "box", "one.1", "--", "echo out; exit 5").code == 5
    assert program.verb("ssh", "box", "one.9", "--", "true").code == 1


def test_an_abort_stops_the_run_with_its_reason_and_a_retry_goes_on(program: Program):
    begin(program, system(WAITS))
    home = program.layout.home(program.until_running("box").machine)

    program.said("abort", "box", "--reason", "lunch time")
    status = program.until_stalled("box")

    stalled = status.condition("Stalled")
    assert stalled is not None
    assert stalled.message == "lunch time"
    assert "lunch time" in program.repository.until_answered(program.repository.head)
    assert program.verb("wait", "box", "--timeout", "20s").code == 1

    (home / "go").touch()
    program.said("retry", "box")
    program.until_ready("box")
    assert (home / "runs").read_text() == "run\nrun\n"
    assert "nothing to retry" in program.said("retry", "box")


def test_metrics_have_the_documented_names_and_move(program: Program):
    begin(program, system(replicas=2))
    program.until_ready("box")
    holder = holder_of(program.state)
    assert holder is not None

    def value(series: str) -> float:
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{holder.listen}/metrics", timeout=DEADLINE) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(series + " ")]
        assert len(found) == 1, (series, lines)
        return float(found[0].rpartition(" ")[2])

    created = 'headwater_actions_total{action="create",result="success"}'
    assert value(created) == 2
    assert value('headwater_deployment_ready{name="box"}') == 1
    assert value('headwater_instances{deployment="box",state="ready"}') == 2
    assert value('headwater_unknown_machines{cloud="local"}') == 0
    assert value('headwater_context_seconds_count{result="success"}') == 2
    assert value('headwater_run_seconds_count{result="success"}') == 1

    program.repository.commit(system(replicas=3))
    program.until_ready("box")

    assert value(created) == 3


def test_the_log_is_json_lines_with_constant_event_names(program: Program):
    begin(program, system())
    program.until_ready("box")
    assert program.stop() == 0

    records = [json.loads(line) for line in program.log.read_text().splitlines()]

    assert all({"time", "level", "logger", "event"} <= record.keys() for record in records)
    names = {record["event"] for record in records}
    assert {"source.revision_read", "action.ended", "context.ended", "run.ended"} <= names
    assert all(" " not in name for name in names)
    assert {record["level"] for record in records} == {"info"}


def test_a_controller_that_is_asked_to_end_does_so_in_the_middle_of_a_recipe(program: Program):
    begin(program, system(WAITS))
    machine = program.until_running("box").machine

    assert program.stop(seconds=10) == 0

    assert program.machines()[machine]["state"] == "running"
    ended = program.verb("status")
    assert ended.code == 1
    assert "no controller runs on the state directory" in ended.err
    assert "Traceback" not in program.log.read_text()


def test_status_is_the_same_for_people_and_programs(program: Program):
    begin(program, system(replicas=2) | system(FAILS, name="bad"))
    program.until_ready("box")
    program.until_stalled("bad")

    table = program.said("status")
    document = json.loads(program.said("status", "--output", "json"))
    one = json.loads(program.said("status", "bad", "--output", "json"))

    assert {d["name"] for d in document["deployments"]} == {"bad", "box"}
    assert next(d for d in document["deployments"] if d["name"] == "bad") == one
    assert "bad" in table
    assert "2/2" in table
    assert program.level in document["clouds"][0]["description"]
    wait_until(lambda: program.status().settled, "everything is at rest")
    assert program.verb("wait").code == 1
