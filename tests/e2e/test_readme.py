"""The commands of the documents, typed as they are printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
FIRST = "/tmp/headwater-first"  # noqa: S108  # the text of the README, replaced below
SESSION_SECONDS = 150


def blocks(document: str) -> list[str]:
    return BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


def test_the_first_session_of_the_readme_works_as_it_is_printed(tmp_path: Path):
    commands, changes = blocks("README.md")[2:4]
    level = "sed -i 's/^driver = .*/&\\noptions = { level = \"sandbox\" }/' clouds/local.toml"
    script = (commands + changes).replace("git init -q", f"{level}\ngit init -q", 1)
    script = script.replace(FIRST, str(tmp_path / "first"))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(identity(tmp_path)),
        "HEADWATER_LISTEN": "",
    }
    try:
        done = session(script, environment)
    finally:  # The embedded cloud ends with its directory.
        shutil.rmtree(tmp_path / "first", ignore_errors=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "+2 ~0 ±0 -0" in done.stdout
    assert "headwater/hello-world: success - Ready: 2/2 ready" in done.stdout
    assert "no manifest is left in the repository" in done.stdout
    assert f"rm -r {tmp_path / 'first'}" in script


def session(script: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-e"],
        check=False,
        cwd=ROOT,
        env=environment,
        input=script,
        text=True,
        capture_output=True,
        timeout=SESSION_SECONDS,
    )


def identity(directory: Path) -> Path:
    file = directory / "gitconfig"
    file.write_text("[user]\nname = Reader\nemail = reader@localhost\n", encoding="utf-8")
    return file


def test_the_documents_agree_on_how_to_set_up():
    run, test = blocks("README.md")[:2]

    assert run.strip().endswith("headwater demo")
    assert test.strip().endswith("pytest -n auto")
    assert blocks("CONTRIBUTING.md")[0].strip() == "python3 -m venv .venv && " + test.strip()
