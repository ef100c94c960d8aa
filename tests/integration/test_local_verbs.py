"""`headwater local`, as people type it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headwater.cli.local import group
from headwater.errors import HeadwaterError
from local_cloud import LocalCloud, local_cloud


@pytest.fixture
def cloud(tmp_path: Path):
    with local_cloud(tmp_path / "state/local", "process") as cloud:
        yield cloud


def invoke(cloud: LocalCloud, *arguments: str) -> Result:
    state = str(cloud.directory.parent)
    return CliRunner().invoke(group, [*arguments, "--state", state])


def states(cloud: LocalCloud) -> dict[str, str]:
    listed = json.loads(invoke(cloud, "list", "--output", "json").stdout)
    return {each["name"]: each["state"] for each in listed}


def test_the_list_of_nothing_says_so_and_starts_nothing(cloud: LocalCloud) -> None:
    assert "no machines in" in invoke(cloud, "list").stdout
    assert states(cloud) == {}
    assert not cloud.directory.exists()


def test_the_list_shows_every_machine(cloud: LocalCloud) -> None:
    node = cloud.create("web")

    shown = invoke(cloud, "list").stdout

    assert all(each in shown for each in ("web", str(node.id), "running", "process"))


def test_machines_are_stopped_started_killed_and_removed_by_name_or_id(cloud: LocalCloud) -> None:
    one, _two = cloud.create("one"), cloud.create("two")

    assert "one" in invoke(cloud, "stop", "one").stdout
    assert states(cloud) == {"one": "stopped", "two": "running"}
    invoke(cloud, "start", str(one.id))
    invoke(cloud, "kill", "two")
    assert states(cloud) == {"one": "running", "two": "stopped"}
    invoke(cloud, "remove", "one", "two")
    assert states(cloud) == {}


def test_volumes_are_shown_and_deleted_when_no_machine_has_them(cloud: LocalCloud) -> None:
    assert "no volumes in" in invoke(cloud, "volumes").stdout
    node, made = cloud.create("one"), cloud.driver.create_volume(3, "one-store")
    cloud.driver.attach_volume(node, made)

    shown = invoke(cloud, "volumes").stdout
    assert all(each in shown for each in ("one-store", str(made.id), "3 GiB", str(node.id)))
    used = invoke(cloud, "delete-volume", "one-store")
    assert isinstance(used.exception, HeadwaterError)
    assert f"in use: {node.id} has it" in str(used.exception)
    unknown = invoke(cloud, "delete-volume", "store")
    assert "see headwater local volumes" in str(unknown.exception)

    invoke(cloud, "remove", "one")
    assert "gone" in invoke(cloud, "delete-volume", str(made.id)).stdout
    assert json.loads(invoke(cloud, "volumes", "--output", "json").stdout) == []


def test_one_wrong_name_among_others_changes_nothing(cloud: LocalCloud) -> None:
    cloud.create("one")

    result = invoke(cloud, "kill", "one", "onne")

    assert isinstance(result.exception, HeadwaterError)
    assert "there is no machine onne" in str(result.exception)
    assert states(cloud) == {"one": "running"}


def test_a_name_that_two_machines_have_asks_for_an_id(cloud: LocalCloud) -> None:
    ids = {str(cloud.create("twin").id), str(cloud.create("twin").id)}

    said = str(invoke(cloud, "kill", "twin").exception)

    assert all(each in said for each in ids)


def test_levels_are_listed_best_first_with_reasons(cloud: LocalCloud) -> None:
    reasons = json.loads(invoke(cloud, "levels", "--output", "json").stdout)
    table = invoke(cloud, "levels").stdout

    assert list(reasons) == ["machine", "sandbox", "process"]
    assert reasons["process"] == ""
    assert "process" in table
