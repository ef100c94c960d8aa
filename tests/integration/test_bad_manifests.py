"""Every mistake in one repository: told once, in its place, by `validate` and by `plan` alike."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.program import Ended, Program, program
from e2e.systems import Table, document, resource, site, system


@dataclass(frozen=True, slots=True)
class Mistake:
    """A sound system in a folder of its own, what is changed in it, and what is said of that."""

    said: str
    old: str = ""
    """Of `system.toml`."""
    new: str = ""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """In the folder, beside or in place of the system's own."""
    file: str = "system.toml"


def recipe(path: str, said: str) -> Mistake:
    return Mistake(said, '"deploy.sh"', f'"{path}"')


def extending(name: str, parent: str) -> Table:
    return resource("Component", name, {"image": "host", "extends": parent})


def twin(name: str) -> str:
    nodes = {"one": {"component": name}}
    return document(resource("Deployment", name, {"cloud": "local", "nodes": nodes}))


MISTAKES = {
    "no-toml": Mistake("not valid TOML 1.0", "replicas = 1", "replicas = = 1"),
    "unknown-key": Mistake(
        "unknown key 'replica' (did you mean 'replicas'?)", "replicas = 1", "replica = 1"
    ),
    "wrong-type": Mistake(
        "'replicas' must be an integer, not a string", "replicas = 1", 'replicas = "one"'
    ),
    "unknown-kind": Mistake(
        "(did you mean 'Deployment'?)", 'kind = "Deployment"', 'kind = "Deploymnet"'
    ),
    "no-component": Mistake(
        "unknown component 'no-componnent' (did you mean 'no-component'?)",
        'component = "no-component"',
        'component = "no-componnent"',
    ),
    "no-image": Mistake("unknown image 'hots' (did you mean 'host'?)", '"host"', '"hots"'),
    "no-cloud": Mistake("unknown cloud 'locla' (did you mean 'local'?)", '"local"', '"locla"'),
    "no-node": Mistake(
        "no node 'two' in this deployment",
        "replicas = 1",
        'replicas = 1\ninputs = { colour = { from = "two.colour" } }',
    ),
    "no-output": Mistake(
        "component 'no-output' has no output 'colour'",
        "replicas = 1",
        'replicas = 1\ninputs = { colour = { from = "one.colour" } }',
    ),
    "cycle": Mistake(
        "component 'cycle-a' extends itself: cycle-a -> cycle-b -> cycle-a",
        files={
            "cycle.toml": document(extending("cycle-a", "cycle-b"), extending("cycle-b", "cycle-a"))
        },
        file="cycle.toml",
    ),
    "twice": Mistake(
        "deployment 'twice' is defined more than once (also at twice/again.toml:",
        files={"again.toml": twin("twice")},
    ),
    "recipe-gone": Mistake(
        "no file 'recipe-gone/deploy.sh' for this recipe", files={"deploy.sh": None}
    ),
    "recipe-above": recipe("../../secret", "recipe '../../secret' is outside the repository"),
    "recipe-absolute": recipe("/etc/passwd", "is not a path relative to the manifest's folder"),
    "recipe-link": recipe("link.sh", "recipe 'recipe-link/link.sh' is a symlink, not a file"),
    "recipe-submodule": recipe("vendor/deploy.sh", "'recipe-submodule/vendor' is a submodule"),
    "recipe-folder": recipe("../recipe-folder", "is a directory, not a file"),
    "recipe-plain": Mistake(
        "does not begin with a #! line (begin it with #!/bin/sh)", files={"deploy.sh": "true\n"}
    ),
}


def files_of(name: str, mistake: Mistake) -> dict[str, str | None]:
    files: dict[str, str | None] = dict(system(name=name))
    manifest = files[f"{name}/system.toml"]
    assert manifest is not None
    assert mistake.old in manifest
    files[f"{name}/system.toml"] = manifest.replace(mistake.old, mistake.new)
    return files | {f"{name}/{file}": content for file, content in mistake.files.items()}


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """All mistakes and one sound system, committed."""
    with program(tmp_path_factory.mktemp("mistakes"), "process") as made:
        repository = made.repository
        repository.write(site("process") | system(name="good"))
        for name, mistake in MISTAKES.items():
            repository.write({k: v for k, v in files_of(name, mistake).items() if v is not None})
        (repository.path / "recipe-link/link.sh").symlink_to("deploy.sh")
        vendor = repository.path / "recipe-submodule/vendor"
        vendor.mkdir()
        repository.git("-C", str(vendor), "init", "--quiet")
        (vendor / "deploy.sh").write_text("#!/bin/sh\n")
        repository.git("-C", str(vendor), "add", "--all")
        repository.git("-C", str(vendor), "commit", "--quiet", "--message=vendor")
        repository.git("-c", "advice.addEmbeddedRepo=false", "add", "--all")
        repository.git("commit", "--quiet", "--message=mistakes")
        yield made


@pytest.fixture(scope="module")
def validated(mistaken: Program) -> Ended:
    return mistaken.verb("validate", ".")


@pytest.fixture(scope="module")
def planned(mistaken: Program) -> Ended:
    return mistaken.verb("plan", "--repo", ".", "--output", "json")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_its_place(name: str, validated: Ended, planned: Ended):
    mistake = MISTAKES[name]
    place = re.compile(rf"{name}/{re.escape(mistake.file)}:\d+:\d+: ")

    for lines in (validated.out.splitlines(), planned.err.splitlines()):
        said = [line for line in lines if place.match(line) and mistake.said in line]
        assert len(said) == 1, lines


def test_both_verbs_tell_the_same_and_end_with_an_error(validated: Ended, planned: Ended):
    assert (validated.code, planned.code) == (1, 1)
    assert validated.out == planned.err
    assert json.loads(planned.out)["errors"] == planned.err.splitlines()


def test_what_is_sound_is_planned_all_the_same(planned: Ended):
    sound = {d["name"] for d in json.loads(planned.out)["deployments"] if d["actions"]}

    assert sound == {"good", "cycle"}


def test_one_file_is_checked_within_its_repository(mistaken: Program):
    good = mistaken.verb("validate", "good/system.toml")
    bad = mistaken.verb("validate", "no-cloud/system.toml")

    assert (good.code, good.out) == (0, "")
    assert bad.code == 1
    assert len(bad.out.splitlines()) == 1
    assert "unknown cloud 'locla'" in bad.out


def test_a_path_that_is_not_there_is_named(mistaken: Program):
    ended = mistaken.verb("validate", "nowhere")

    assert ended.code != 0
    assert "nowhere" in ended.err


def test_a_folder_without_manifests_has_nothing_wrong(mistaken: Program, tmp_path: Path):
    assert mistaken.verb("validate", str(tmp_path)).code == 0
