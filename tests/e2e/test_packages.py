"""A deployment whose machines need packages, at the level that can install them."""

from pathlib import Path

import pytest

from e2e.program import Program
from e2e.systems import site, system
from host_packages import tiny_package

# The index of manual pages, built anew after each installation, takes ten times its time.
QUICKLY = "#!/bin/sh -e\nrm -f /var/lib/man-db/auto-update\n"


@pytest.mark.parametrize("level", ["machine"], indirect=True)
def test_a_deployment_has_its_packages_before_its_recipe_runs(program: Program, tmp_path: Path):
    package = tiny_package(tmp_path)
    recipe = f"#!/bin/sh -e\ndpkg-query -W -f '${{db:Status-Status}}' {package} >\"$HOME/seen\"\n"
    component = {
        "packages": [package],
        "recipes": {"preInstall": "quickly.sh", "deploy": "deploy.sh"},
    }
    files = site(program.level) | system(recipe, component=component)
    program.repository.commit({**files, "box/quickly.sh": QUICKLY})

    program.start()
    program.until_ready("box")

    assert (program.home("box", "one.1") / "seen").read_text() == "installed"


@pytest.mark.parametrize("level", ["machine"], indirect=True)
def test_a_package_that_does_not_exist_fails_the_run_and_is_named(program: Program):
    component = {"packages": ["no-such-package-at-all"], "recipes": {"deploy": "deploy.sh"}}
    program.repository.commit(site(program.level) | system("#!/bin/sh\n", component=component))

    program.start()
    failed = program.until_stalled("box").instances[0].message

    assert failed.startswith("packages exited with 100: ")
    assert "no-such-package-at-all" in failed
