"""Recipes that no machine could run are told before any machine is made."""

import pytest

from headwater.manifests.catalog import compile_catalog
from headwater.manifests.parse import Parser
from headwater.manifests.resolved import RecipeKind
from headwater.manifests.snapshot import File, FileKind, Snapshot
from unit.manifests.texts import GOOD, WEB, catalog, file, snapshot, told

PLACE = "web/web.toml:12:1: "


def refusal(written: str, files: dict[str, File] | None = None) -> str:
    web = WEB.replace('"deploy.sh"', written)
    all_files = {**snapshot(GOOD | {"web/web.toml": web}).files, **(files or {})}
    found = compile_catalog(Snapshot("1", all_files), Parser())
    assert list(found.failed) == ["shop"]
    return str(found.diagnostics[-1])


def link(kind: FileKind) -> File:
    return File("1", kind, 0, None)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"deply.sh"', "no file 'web/deply.sh' for this recipe (did you mean 'deploy.sh'?)"),
        ('"../../x.sh"', "recipe '../../x.sh' is outside the repository"),
        ('"a/../../../x.sh"', "recipe 'a/../../../x.sh' is outside the repository"),
        ('"/bin/sh"', "recipe '/bin/sh' is not a path relative to the manifest's folder"),
        ('""', "recipe '' is not a path relative to the manifest's folder"),
        ('"."', "recipe 'web' is a directory, not a file"),
        ('"../web"', "recipe 'web' is a directory, not a file"),
        ('".."', "recipe '' is a directory, not a file"),
        (
            '"deploy.sh/x"',
            "recipe 'web/deploy.sh/x' cannot be read: 'web/deploy.sh' is not a folder",
        ),
        (
            '"true\\nfalse"',
            "the recipe in the manifest does not begin with a #! line (begin it with #!/bin/sh)",
        ),
    ],
)
def test_a_path_that_leads_to_no_file_is_refused(written, words):
    assert refusal(written) == PLACE + words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (link(FileKind.SYMLINK), "recipe 'web/x' is a symlink, not a file"),
        (link(FileKind.SUBMODULE), "recipe 'web/x' is a submodule, not a file"),
        (file(b"#!/bin/sh\n\xff"), "recipe 'web/x' is not UTF-8 text"),
        (file("echo"), "recipe 'web/x' does not begin with a #! line (begin it with #!/bin/sh)"),
        (file(""), "recipe 'web/x' does not begin with a #! line (begin it with #!/bin/sh)"),
        (file("#! \n"), "recipe 'web/x' names no interpreter in its #! line"),
        (
            file("#!/bin/sh\r\n"),
            "recipe 'web/x' has CRLF line ends: no interpreter is found (save it with LF)",
        ),
        (file("#!/bin/sh\n" * 7000), "recipe 'web/x' has 70000 bytes, at most 65536"),
        (
            File("1", FileKind.REGULAR, 9, None),
            "recipe 'web/x' was not read: the repository's files are too large",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(found, words):
    assert refusal('"x"', {"web/x": found}) == PLACE + words


@pytest.mark.parametrize("kind", [FileKind.SYMLINK, FileKind.SUBMODULE])
def test_no_path_goes_through_a_link(kind):
    assert refusal('"lib/x"', {"web/lib": link(kind)}) == (
        f"{PLACE}recipe 'web/lib/x' cannot be read: 'web/lib' is a {kind.value}"
    )


def test_a_recipe_may_be_anywhere_in_the_repository():
    found = catalog(web=WEB.replace("deploy.sh", ".././shop//../web/deploy.sh"))

    (recipe,) = found.deployments["shop"].nodes["front"].recipes[RecipeKind.DEPLOY]
    assert recipe.path == "web/deploy.sh"


def test_a_recipe_may_stand_in_the_manifest():
    found = catalog(web=WEB.replace('"deploy.sh"', "'''#!/usr/bin/env python3\nprint()\n'''"))

    (recipe,) = found.deployments["shop"].nodes["front"].recipes[RecipeKind.DEPLOY]
    assert (recipe.path, recipe.text) == ("", "#!/usr/bin/env python3\nprint()\n")


def test_every_wrong_recipe_is_told():
    found = catalog(web=WEB + 'preInstall = "a.sh"\npostInstall = "b.sh"\n')

    assert [d for d in told(found) if "no file" in d] == [
        "web/web.toml:13:1: no file 'web/a.sh' for this recipe",
        "web/web.toml:14:1: no file 'web/b.sh' for this recipe",
    ]
