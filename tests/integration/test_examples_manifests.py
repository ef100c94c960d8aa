"""The example repository is read as its users' are."""

import ast
import subprocess
import sys
from hashlib import sha1
from pathlib import Path

import pytest

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import Catalog, RecipeKind
from headwater.manifests.snapshot import File, FileKind, Snapshot

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples-repo"
MANIFESTS = sorted(path for path in EXAMPLES.rglob("*.toml") if path.name != "tombi.toml")
TEMPLATES = [path for path in MANIFESTS if path.name.endswith(".template.toml")]
RECIPES = sorted([*EXAMPLES.rglob("*.sh"), *EXAMPLES.rglob("*.py")])


def compiled() -> Catalog:
    files = {}
    for path in filter(Path.is_file, EXAMPLES.rglob("*")):
        content = path.read_bytes()
        oid = sha1(content).hexdigest()  # noqa: S324  # as git does
        name = path.relative_to(EXAMPLES).as_posix()
        files[name] = File(oid, FileKind.REGULAR, len(content), content)
    return compile_catalog(Snapshot("", files), Parser())


def test_every_example_compiles_without_diagnostics():
    catalog = compiled()

    assert catalog.diagnostics == ()
    made = [name for names in catalog.sets.values() for name in names]
    assert catalog.deployments.keys() - set(made) == {
        "gpod-cluster",
        "hello-world",
        "mission-control",
        "mission-control-test",
        "news-contact",
    }
    assert catalog.resources == len(MANIFESTS) - len(TEMPLATES) + len(made)


def test_the_headline_example_has_one_computing_element_and_thirty_workers():
    nodes = compiled().deployments["gpod-cluster"].nodes

    assert {name: node.replicas for name, node in nodes.items()} == {"ce": 1, "wn": 30}


def test_the_test_of_mission_control_is_mission_control_itself():
    catalog = compiled()
    service, test = (catalog.deployments[f"mission-control{end}"] for end in ("", "-test"))

    assert (service.lifecycle, test.lifecycle) == ("service", "test")
    assert service.nodes == test.nodes


def test_the_news_exchange_is_one_template_in_several_shapes():
    catalog = compiled()
    shapes = {
        name: {node.name: node.replicas for node in deployment.nodes.values()}
        for name, deployment in catalog.deployments.items()
        if name.startswith(("news-exchange", "news-development"))
    }

    assert catalog.sets.keys() == {"news-exchange", "news-development"}
    assert shapes.pop("news-development-dev") == {"front": 1, "store": 1}
    assert len(shapes) == 3
    assert all(nodes == {"front": 1, "store": 2} for nodes in shapes.values())


def test_every_recipe_of_the_examples_is_used():
    used = {
        recipe.path
        for deployment in compiled().deployments.values()
        for node in deployment.nodes.values()
        for kind in RecipeKind
        for recipe in node.recipes.get(kind, ())
    }

    assert used == {path.relative_to(EXAMPLES).as_posix() for path in RECIPES}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.relative_to(EXAMPLES).as_posix())
def test_every_manifest_names_its_schema_in_its_first_line(path):
    first, _, rest = path.read_text().partition("\n")
    schema = (path.parent / first.removeprefix("#:schema ")).resolve()

    kind = next(line for line in rest.splitlines() if line.startswith("kind"))
    form = schema.name.removesuffix(".schema.json")
    assert schema.parent == ROOT / "crd"
    assert schema.is_file()
    assert kind.lower() == f'kind = "{form.removesuffix("-template")}"'
    assert form.endswith("-template") == (path in TEMPLATES)


def test_the_linter_of_editors_agrees():
    tombi = Path(sys.executable).with_name("tombi")
    lint = subprocess.run(
        [tombi, "lint", "--offline", "."], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("hello-world/deployment.toml", "component =", "componet ="),
        ("hello-world/deployment.toml", 'cloud = "local"', 'cloud = "${cloud}"'),
        ("news-exchange/site.template.toml", "replicas =", "replicsa ="),
        ("news-exchange/site.template.toml", '"${fronts}"', '"many"'),
        ("news-exchange/sites.toml", "template =", "tempalte ="),
    ],
)
def test_the_linter_of_editors_finds_what_the_controller_finds(tmp_path, file, old, new):
    for part in (EXAMPLES, ROOT / "crd"):
        target = tmp_path / part.name
        subprocess.run(["cp", "-r", part, target], check=True)
    broken = tmp_path / "examples-repo" / file
    assert old in broken.read_text()
    broken.write_text(broken.read_text().replace(old, new, 1))

    lint = subprocess.run(
        [Path(sys.executable).with_name("tombi"), "lint", "--offline", "."],
        cwd=tmp_path / "examples-repo",
        capture_output=True,
        text=True,
        check=False,
    )

    assert lint.returncode != 0
    assert Path(file).name in lint.stdout + lint.stderr


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.relative_to(EXAMPLES).as_posix())
def test_every_recipe_is_a_program_that_its_interpreter_can_read(path):
    assert path.stat().st_mode & 0o111 == 0o111
    if path.suffix == ".py":
        ast.parse(path.read_text(), feature_version=(3, 6))
    else:
        subprocess.run(["sh", "-n", path], check=True)
