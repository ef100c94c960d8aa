"""The commands of the documents, typed as they are printed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, check=True, text=True
).stdout.split()
BLOCK = re.compile(r"^ *```(?:sh|bash|shell|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
FIRST = "/tmp/headwater-first"  # noqa: S108  # the text of the README, replaced below
SESSION_SECONDS = 150
INSTALLS = ("python3 -m venv .venv", ".venv/bin/pip install --quiet --editable '.[dev]'")
ELSEWHERE = {
    "python3 -m venv .venv && .venv/bin/pip install --quiet -e . && .venv/bin/headwater demo": (
        (".ci/run", *INSTALLS),
        ("tests/e2e/test_demo.py", '[HEADWATER, "demo"'),
    ),
    ".venv/bin/pip install --quiet -e '.[dev]' && .venv/bin/pytest -n auto": (
        (".ci/run", INSTALLS[1], "the README's own test command"),
    ),
    "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[dev]' && "
    ".venv/bin/pytest -n auto": ((".ci/run", *INSTALLS),),
}
"""Commands that need the network, by what runs them."""
SMALL = {
    "HEADWATER_HISTORIES=100000 HEADWATER_HISTORIES_SEED=7 HEADWATER_HISTORIES_STEPS=24 "
    ".venv/bin/pytest -n auto tests/faults/test_histories.py": {
        "=100000": "=2",
        "-n auto": "-n 0",
    },
    "FUZZ_EXAMPLES=100000 .venv/bin/pytest -n auto tests/faults -k fuzz": {
        "=100000": "=2",
        "-n auto": "-n 0",
        "-k fuzz": "-k 'fuzz and not megabyte'",
    },
    ".venv/bin/pip install --quiet -e '.[fuzz]' && "
    ".venv/bin/python tests/faults/fuzz_atheris.py manifests -max_total_time=3600": {
        ".venv/bin/pip install --quiet -e '.[fuzz]' && ": "",
        "-max_total_time=3600": "-runs=20",
    },
    ".venv/bin/python tests/benchmarks/all.py > results.jsonl": {
        "all.py": "parameters.py --machines 3 --rounds 1"
    },
    ".venv/bin/python tests/benchmarks/table.py results.jsonl": {},
}
"""Commands that take long, with what is replaced for a small form."""
RESULT = (
    '{"name": "n", "value": 1, "best": 1, "runs": 1, "unit": "s", "target": null, "command": "c"}\n'
)


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


def test_every_command_of_every_document_is_run_by_a_test():
    first, second = blocks("README.md")[2:4]
    session_lines = {*lines(first), *lines(second)}
    known = session_lines | ELSEWHERE.keys() | SMALL.keys()
    shown = {line for document in DOCUMENTS for block in blocks(document) for line in lines(block)}

    assert sorted(shown - known) == []
    assert sorted(known - shown) == []


def lines(block: str) -> list[str]:
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize(("command", "parts"), ELSEWHERE.items())
def test_a_command_that_installs_is_run_by_ci_in_its_parts(command, parts):
    for file, *texts in parts:
        for text in texts:
            assert text in (ROOT / file).read_text(encoding="utf-8"), (command, file)


@pytest.mark.parametrize(("command", "replaced"), SMALL.items())
def test_a_command_that_takes_long_runs_in_a_small_form(command, replaced, tmp_path: Path):
    if "atheris" in command and importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install -e '.[fuzz]'")
    script = command
    for old, new in replaced.items():
        assert old in script
        script = script.replace(old, new)
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    script = script.replace("results.jsonl", str(tmp_path / "results.jsonl"))
    (tmp_path / "results.jsonl").write_text(RESULT)
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}

    done = session(script, environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " failed" not in done.stdout


def test_the_documents_agree_on_how_to_set_up():
    run, test = blocks("README.md")[:2]

    assert run.strip().endswith("headwater demo")
    assert test.strip().endswith("pytest -n auto")
    assert blocks("CONTRIBUTING.md")[0].strip() == "python3 -m venv .venv && " + test.strip()
