import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.controller import READY, deployment, everything
from headwater.planning.events import (
    ActionEnded,
    CloudListed,
    HealthChanged,
    PassEnded,
    RevisionRead,
    RunEnded,
    SourceFailed,
    StatusChanged,
    StepEnded,
    TaskFinished,
)
from headwater.planning.status import Condition
from headwater.reporting.metrics import Metrics

EVENTS = (
    RevisionRead("a" * 40, 3, (), 0.02),
    SourceFailed("no route to host"),
    CloudListed("local", 2, 1, complete=True, seconds=0.01),
    CloudListed("local", 0, 0, complete=False, seconds=0.01, error="timed out"),
    PassEnded("hello", "changed", 2, 0.01),
    ActionEnded("hello", "wn.1", "create", "missing", 0.3),
    ActionEnded("hello", "wn.2", "create", "missing", 0.3, "quota"),
    StepEnded("hello", "wn.1", succeeded=True, seconds=2),
    TaskFinished("hello", "wn.1", "report", succeeded=True, seconds=3, report="f", size=100),
    TaskFinished("hello", "wn.1", "preScale", succeeded=False, seconds=1, exit_code=3),
    StatusChanged("hello", None),
    RunEnded("hello", "a" * 40, "success", 5.2),
)


class World:
    def __init__(self) -> None:
        self.status = everything(deployment("hello"), deployment("gpod"))
        self.metrics = Metrics(lambda: self.status, lambda: 4)

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        text = self.metrics.render("")[0].decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.samples().get((f"headwater_{name}", frozenset(labels.items())))


@pytest.fixture
def world() -> World:
    return World()


def test_events_are_counted_by_their_result(world: World):
    for event in EVENTS:
        world.metrics(event)

    assert world.value("actions_total", action="create", result="success") == 1
    assert world.value("task_seconds_count", kind="report", result="success") == 1
    assert world.value("task_seconds_count", kind="preScale", result="failure") == 1
    assert world.value("report_bytes_total") == 100
    assert world.value("actions_total", action="create", result="failure") == 1
    assert world.value("cloud_listings_total", cloud="local", result="incomplete") == 1
    assert world.value("source_failures_total") == 1
    assert world.value("passes_total", result="changed") == 1
    assert world.value("run_seconds_sum", result="success") == 5.2
    assert world.value("context_seconds_count", result="success") == 1


def test_gauges_are_the_present_snapshot(world: World):
    assert world.value("instances", deployment="hello", state="ready") == 2
    assert world.value("machines", cloud="local", state="ready") == 4
    assert world.value("unknown_machines", cloud="local") == 1
    assert world.value("volumes", cloud="local", state="leaked") == 2
    assert world.value("deployment_ready", name="gpod") == 1
    assert world.value("queue_depth") == 4


def test_health_has_a_series_where_something_is_checked(world: World):
    ill = Condition("Healthy", status=False, reason="Unhealthy", message="wn.1: no answer")
    world.status = everything(deployment("hello"), deployment("gpod", conditions=(*READY, ill)))
    world.metrics(HealthChanged("gpod", "wn.1", "unhealthy", "no answer"))

    assert world.value("deployment_healthy", name="gpod") == 0
    assert [dict(labels) for name, labels in world.samples() if "healthy" in name] == [
        {"name": "gpod"}
    ]
    assert world.value("health_changes_total", state="unhealthy") == 1


def test_series_vanish_with_their_object(world: World):
    assert world.value("deployment_ready", name="gpod") == 1
    world.status = everything(deployment("hello"))

    assert not [labels for _, labels in world.samples() if "gpod" in dict(labels).values()]


def test_names_of_objects_stand_on_gauges_only(world: World):
    for event in EVENTS:
        world.metrics(event)

    counted = {
        (name, label)
        for name, labels in world.samples()
        for label, value in labels
        if value in {"hello", "gpod", "wn.1"} and name.endswith(("_total", "_count", "_bucket"))
    }
    assert counted == set()


def test_two_registries_do_not_share_anything(world: World):
    world.metrics(EVENTS[0])

    assert World().value("source_reads_total") == 0


def test_the_client_chooses_the_format(world: World):
    assert world.metrics.render("")[1].startswith("text/plain")
    body, content_type = world.metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert b"_created" not in body


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_of(world: World):
    for event in EVENTS:
        world.metrics(event)

    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=world.metrics.render("")[0],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
