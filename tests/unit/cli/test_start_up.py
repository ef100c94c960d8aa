import subprocess
import sys

import pytest

import headwater.cli

HEAVY = ("asyncio", "asyncssh", "libcloud", "prometheus_client", "pydantic", "pygit2", "rich")
PROGRAM = """
import sys
from headwater.cli import main
try:
    main(sys.argv[1:], prog_name="headwater")
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print("loaded:", *sorted(loaded & set(%r)), file=sys.stderr)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM % ((*HEAVY, "starlette", "uvicorn", "watchdog"),)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_the_first_words_load_no_heavy_library(arguments: list[str]):
    done = run(*arguments)

    assert (done.returncode, done.stderr) == (0, "loaded:\n")


def test_the_help_names_every_verb():
    commands = run("--help").stdout.partition("Commands:\n")[2]
    listed = " ".join(line.split()[0] for line in commands.splitlines())

    assert listed == (
        "run plan validate status wait params logs reports ssh runs test retry abort approve "
        "suspend resume schema cloud local demo"
    )


@pytest.mark.parametrize(
    "verb", ["status", "wait", "params", "logs", "ssh", "retry", "abort", "schema"]
)
def test_the_summary_of_a_verb_is_found_without_its_module(verb: str):
    command = headwater.cli.main.get_command(None, verb)  # type: ignore[arg-type]

    assert command is not None
    assert command.name == verb


def test_wrong_usage_is_not_mistaken_for_an_answer():
    assert run("params").returncode == 64
    assert run("no-such-verb").returncode == 64
